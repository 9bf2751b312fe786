"""What does an answer look like to a person, before it is known what it is shown on?

A page is blocks from top to bottom: lines and grids. It knows no colours and no widths, render.py does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Tone(StrEnum):
    """What a piece of text means for the reader."""

    PLAIN = "plain"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    DIM = "dim"
    HEAD = "head"


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text on one line."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Line:
    """Pieces one after the other."""

    parts: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a grid."""

    heading: str
    right: bool = False
    """Aligned to the right: numbers."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows under headings. Every row has as many cells as there are columns; an empty cell reads `-`."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Text, ...], ...]


Block = Line | Grid
Page = Sequence[Block]

BLANK = Line(())


def line(*parts: str | Text) -> Line:
    """A line of these pieces; a plain str is of no particular tone."""
    return Line(tuple(Text(part) if isinstance(part, str) else part for part in parts))


def grid(columns: Sequence[str], rows: Sequence[Sequence[str | int | Text | None]]) -> Grid:
    """A grid; a column that is called `>NAME` is aligned to the right."""
    heads = tuple(Column(name.removeprefix(">"), name.startswith(">")) for name in columns)
    return Grid(heads, tuple(tuple(_cell(value) for value in row) for row in rows))


def _cell(value: str | int | Text | None) -> Text:
    if isinstance(value, Text):
        return value if value.text else Text("-", Tone.DIM)
    return Text("-", Tone.DIM) if value in (None, "") else Text(str(value))


def without_empty(found: Grid, *names: str) -> Grid:
    """The same without those of these columns that say nothing in any row."""
    keep = [
        at
        for at, column in enumerate(found.columns)
        if column.heading not in names or any(row[at].text != "-" for row in found.rows)
    ]
    rows = tuple(tuple(row[at] for at in keep) for row in found.rows)
    return Grid(tuple(found.columns[at] for at in keep), rows)
