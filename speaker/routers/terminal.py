"""What is text of the router's, and what is only of the terminal it came through?"""

import re


class UnreadableText(Exception):
    """It is not what was asked for; the text is for the user."""


_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")
_MORE = re.compile(r"\s*-+\s*\(?more\)?\s*-+[\x08 ]*|^:\s*$", re.IGNORECASE)
_PROMPT = re.compile(r"^(?:\[edit[^\]]*\]|[\w.-]+@[\w.-]+(?::[^\s#$]*)?[#$]|[\w.-]+(?:\([\w-]+\))?#)\s*")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def lines_of(text: str) -> list[str]:
    """Without comments, prompts, colours and pages; ends of lines as on any system."""
    text = _COMMENT.sub("", _ESCAPE.sub("", text)).replace("\r\n", "\n").replace("\r", "\n")
    return [_PROMPT.sub("", _MORE.sub("", line)).replace("\x08", "").rstrip() for line in text.split("\n")]
