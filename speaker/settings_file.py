"""What does a file of the user's say, at which line, and what is wrong with it?

Reads YAML into plain values and remembers the line of each. Knows no key of any file: config.py and
cluster/file.py say what may stand in theirs. A mistake is a `Problem`, never a traceback, and all of them
are told at once.

    SettingsError         one or more problems, in the order of their lines
      .problems           tuple[Problem, ...]

Read is the part of YAML that a person writes by hand: mappings, lists, text, whole numbers, true, false and
null. The rest of YAML 1.1 changes what was written: `64512:10` (a community) is a number in base 60 there,
`0179` is octal and `no` is false. Anchors, aliases and tags are refused: ten lines of them fill any memory.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml

Loc = tuple[str | int, ...]
"""The way to a value from the top of its file: `("routers", 0, "hold_time")`."""

MAX_OCTETS: Final = 4 * 1024 * 1024
"""A roster of 10,000 nodes has 0.7 MiB. Reading what is larger would hold up the sessions."""

MAX_DEPTH: Final = 16
"""The deepest value of any of our files lies at 5. libyaml's composer overruns its stack at 100,000."""

# libyaml reads a roster of 1000 nodes in 11 ms, PyYAML's own parser in 124 ms (2 cores, PyYAML 6.0.3).
_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,39})")
_WORDS: Final[Mapping[str, object]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake, for the person who can put it right."""

    file: str
    """The file as it was named to us."""
    line: int | None
    """From 1. None where no line is to blame (the file cannot be read)."""
    key: str
    """`routers[0].hold_time`; empty when it is about the file as a whole."""
    what: str
    """What is wrong, with the value: `2s is too short`."""
    why: str
    """The limit or the RFC behind it; may be empty."""
    way_out: str
    """What to write or do instead."""

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        said = ": ".join(part for part in (where, self.key, self.what, self.why) if part)
        return f"{said}; {self.way_out}"


class SettingsError(Exception):
    """A file of the user's cannot be used as it is.

    `problems` has every mistake found in it, by line. `files` has the password files that it names: the
    mistake may be in one of them, so whoever waits for a better file watches them as well.
    """

    def __init__(self, problems: Sequence[Problem], files: Sequence[Path] = ()) -> None:
        self.files = tuple(files)
        self.problems = tuple(sorted(dict.fromkeys(problems), key=lambda p: (p.file, p.line or 0)))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class Document:
    """A file's values, with the line of each key and each list item."""

    file: str
    data: object
    """Made of dict[str, ...], list, str, int, bool and None only."""
    lines: Mapping[Loc, int]
    problems: tuple[Problem, ...] = ()
    """Mistakes that do not keep the rest from being read: keys written twice."""

    def problem(self, loc: Loc, what: str, why: str, way_out: str) -> Problem:
        """A mistake at `loc`, or at the nearest thing around it that has a line."""
        at = next((self.lines[loc[:n]] for n in range(len(loc), -1, -1) if loc[:n] in self.lines), None)
        return Problem(self.file, at, dotted(loc), what, why, way_out)


def dotted(loc: Loc) -> str:
    """`("routers", 0, "name")` as a person writes it: `routers[0].name`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".")


def read_octets(path: Path, limit: int) -> bytes:
    """The octets of a regular file of at most `limit` of them.

    Raises OSError where that cannot be had. Other kinds of file are refused because a pipe without a writer
    would keep the whole of Onepeer waiting when it reads its settings again.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("not a regular file")
    with path.open("rb") as file:
        octets = file.read(limit + 1)
    if len(octets) > limit:
        raise OSError(f"larger than {limit} octets")
    return octets


def reason(error: OSError | ValueError) -> str:
    """Why the system would not do it, in its own words: `No such file or directory`."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def read_document(path: Path) -> Document:
    """What `path` says. Raises SettingsError where it cannot be read at all or is not YAML."""
    file = str(path)
    try:
        octets = read_octets(path, MAX_OCTETS)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        way_out = "name a file that this user may read"
        raise SettingsError([Problem(file, None, "", "cannot be read", reason(error), way_out)]) from None
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        way_out = "save the file as UTF-8"
        raise SettingsError([Problem(file, line, "", "is not UTF-8 text", "", way_out)]) from None
    return parse_document(text, file)


def parse_document(text: str, file: str) -> Document:
    """What `text` says; `file` is the name used in problems. Raises SettingsError where it is not YAML."""
    builder = _Builder(file)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            builder.feed(event)
    except yaml.reader.ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        line = before.count("\n") + 1
        what, way_out = "is not YAML", "remove the control character"
        raise SettingsError([Problem(file, line, "", what, str(error.reason), way_out)]) from None
    except yaml.MarkedYAMLError as error:
        raise SettingsError([_not_yaml(error, text, file)]) from None
    return Document(file, builder.root, builder.lines, tuple(builder.problems))


def _not_yaml(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    number = mark.line if mark else 0
    lines = text.split("\n")
    number = min(number, len(lines) - 1)
    # A missing bracket is noticed at the end of the file; the last line with something on it is of more help.
    while number > 0 and not lines[number].strip():
        number -= 1
    way_out = "check the indentation, brackets, quotes and colons here"
    if "\t" in lines[number]:
        way_out = "indent with spaces, not with tabs"
    elif "::" in lines[number]:
        way_out = "put an IPv6 address that begins or ends with a colon in quotes"
    return Problem(file, number + 1, "", "is not YAML", error.problem or error.context or "", way_out)


class _Builder:
    """Makes values of PyYAML's events, without recursion: how deep a file goes is not ours to choose."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: object = None
        self.lines: dict[Loc, int] = {}
        self.problems: list[Problem] = []
        self._documents = 0
        self._open: list[dict[str, object] | list[object]] = []
        self._keys: list[str | None] = []  # beside each open value: the key that waits for its own value
        self._loc: list[str | int] = []  # the way to the innermost open value

    def feed(self, event: yaml.Event) -> None:
        line = 1 + (event.start_mark.line if event.start_mark else 0)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._refuse(line, "has a second document", "one file is one document", "remove the `---`")
        elif isinstance(event, yaml.NodeEvent):
            self._node(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
            self._keys.pop()
            if self._loc:
                self._loc.pop()

    def _node(self, event: yaml.NodeEvent, line: int) -> None:
        if event.anchor is not None or getattr(event, "tag", None) not in (None, "!"):
            what = "has an anchor, an alias or a tag (&, *, !)"
            way_out = "write the value out, or put it in quotes if it is text"
            self._refuse(line, what, "they are not read here", way_out)
        if self._open and isinstance(self._open[-1], dict) and self._keys[-1] is None:
            if not isinstance(event, yaml.ScalarEvent):
                self._refuse(line, "has a key that is not a word", "", "write `key: value`")
            else:
                self._key(event.value, line)
            return
        step = self._step(line)
        if isinstance(event, yaml.ScalarEvent):
            self._put(_scalar(event))
            return
        value: dict[str, object] | list[object] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._put(value)
        self._open.append(value)
        self._keys.append(None)
        if step is not None:
            self._loc.append(step)
        if len(self._open) > MAX_DEPTH:
            why = f"no file of Onepeer's goes deeper than {MAX_DEPTH}"
            self._refuse(line, "is nested too deeply", why, "check the brackets")

    def _key(self, key: str, line: int) -> None:
        loc = (*self._loc, key)
        if loc in self.lines:
            first = f"it stands at line {self.lines[loc]} already"
            self._problem(line, dotted(loc), "is written twice", first, "keep one of the two")
            self.lines = {at: n for at, n in self.lines.items() if at[: len(loc)] != loc}
        self.lines[loc] = line
        self._keys[-1] = key

    def _step(self, line: int) -> str | int | None:
        """From the innermost open value to the one that comes now; None at the top of the file."""
        if not self._open:
            self.lines[()] = line
            return None
        if isinstance(self._open[-1], list):
            step = len(self._open[-1])
            self.lines[(*self._loc, step)] = line
            return step
        return self._keys[-1]

    def _put(self, value: object) -> None:
        if not self._open:
            self.root = value
            return
        inner, key = self._open[-1], self._keys[-1]
        if isinstance(inner, list):
            inner.append(value)
        elif key is not None:
            inner[key] = value
            self._keys[-1] = None

    def _problem(self, line: int, key: str, what: str, why: str, way_out: str) -> None:
        self.problems.append(Problem(self.file, line, key, what, why, way_out))

    def _refuse(self, line: int, what: str, why: str, way_out: str) -> NoReturn:
        self._problem(line, dotted(tuple(self._loc)), what, why, way_out)
        raise SettingsError(self.problems)


def _scalar(event: yaml.ScalarEvent) -> object:
    if not event.implicit[0]:  # in quotes, or a block of text
        return event.value
    if event.value in _WORDS:
        return _WORDS[event.value]
    return int(event.value) if _WHOLE.fullmatch(event.value) else event.value


EACH: Final = -1
"""In the pattern of `find`: every item of the list there."""


def find(data: object, pattern: Loc) -> Iterator[tuple[Loc, object]]:
    """The values that lie where `pattern` says, each with the way to it; nothing for what is not there."""
    if not pattern:
        yield (), data
        return
    head, rest = pattern[0], pattern[1:]
    if head == EACH and isinstance(data, list):
        inner: Iterator[tuple[str | int, object]] = enumerate(data)
    elif isinstance(head, str) and isinstance(data, dict) and head in data:
        inner = iter([(head, data[head])])
    else:
        return
    for step, value in inner:
        for loc, found in find(value, rest):
            yield (step, *loc), found
