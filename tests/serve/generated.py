"""Pages of the docs that are made of the code: they are compared with it, and written anew where that is asked for.

In a page, what is made stands between `<!-- made: NAME -->` and `<!-- end -->`. `REWRITE_DOCS=1 make test` (or pytest)
writes those parts; without it, a page that differs is a failure that says so.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

_PART = re.compile(r"(<!-- made: (?P<name>[^>]*?) -->\n)(?P<text>.*?)(<!-- end -->)", re.DOTALL)


def check_page(page: str, parts: Mapping[str, str]) -> None:
    """Compare, or rewrite, docs/`page`; `parts` is what should stand there, by name."""
    path = DOCS / page
    text = path.read_text()
    found = {match["name"]: match["text"] for match in _PART.finditer(text)}
    assert set(found) == set(parts), f"docs/{page} has other parts than there are things to describe"
    if os.environ.get("REWRITE_DOCS"):
        path.write_text(_PART.sub(lambda match: match[1] + parts[match["name"]] + match[4], text))
        return
    for name, made in parts.items():
        assert found[name] == made, f"docs/{page}, {name}: run the tests once with REWRITE_DOCS=1"


def table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n" + "".join("| " + " | ".join(cells) + " |\n" for cells in lines) + "\n"
