"""How is an answer shown? One answer, three ways: for a terminal, for a pipe, and as JSON.

What goes through a pipe is plain: no boxes, no colours, one row a line and nothing cut off, whatever the width. Rich is
for terminals only, and imported for them alone: it takes longer to load than an answer to come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TextIO

from speaker.cli.page import Grid, Line, Page, Text, Tone

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text as RichText


class Output(StrEnum):
    """What `-o` can be."""

    TABLE = "table"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Answer:
    """The same twice: for programs, and for people."""

    view: BaseModel
    page: Page


class Renderer(Protocol):
    """A way to show answers."""

    def show(self, answer: Answer) -> None:
        """Write the answer out."""
        ...


def renderer(output: Output, stream: TextIO) -> Renderer:
    """The way that fits what was asked for and where it goes."""
    if output is Output.JSON:
        return Json(stream)
    return Terminal(stream) if stream.isatty() else Plain(stream)


@dataclass(frozen=True, slots=True)
class Json:
    """The view as it is, keys in the order of views.py."""

    stream: TextIO

    def show(self, answer: Answer) -> None:
        self.stream.write(answer.view.model_dump_json(indent=2) + "\n")
        self.stream.flush()


@dataclass(frozen=True, slots=True)
class Plain:
    """Aligned text."""

    stream: TextIO

    def show(self, answer: Answer) -> None:
        for block in answer.page:
            for line in _plain(block):
                self.stream.write(line.rstrip() + "\n")
        self.stream.flush()


def _plain(block: Line | Grid) -> Iterator[str]:
    if isinstance(block, Line):
        yield "".join(part.text for part in block.parts)
        return
    rows = [[column.heading for column in block.columns], *([cell.text for cell in row] for row in block.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        columns = zip(row, widths, block.columns, strict=True)
        yield "  ".join(text.rjust(width) if column.right else text.ljust(width) for text, width, column in columns)


@dataclass(frozen=True, slots=True)
class Terminal:
    """Tables with colours, as wide as the terminal; what does not fit is wrapped, never cut."""

    stream: TextIO

    def show(self, answer: Answer) -> None:
        from rich.console import Console

        Console(file=self.stream, highlight=False).print(rich_page(answer.page))


_STYLES = {
    Tone.PLAIN: "",
    Tone.GOOD: "green",
    Tone.WARN: "yellow",
    Tone.BAD: "bold red",
    Tone.DIM: "dim",
    Tone.HEAD: "bold",
}


def rich_page(page: Page) -> RenderableType:
    """The page for a rich console."""
    from rich.console import Group

    return Group(*(_rich_line(block.parts) if isinstance(block, Line) else _rich_grid(block) for block in page))


def _rich_line(parts: tuple[Text, ...]) -> RichText:
    from rich.text import Text as RichText

    return RichText.assemble(*((part.text, _STYLES[part.tone]) for part in parts))


def _rich_grid(block: Grid) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in block.columns:
        table.add_column(column.heading, justify="right" if column.right else "left", overflow="fold")
    for row in block.rows:
        table.add_row(*(_rich_line((cell,)) for cell in row))
    return table
