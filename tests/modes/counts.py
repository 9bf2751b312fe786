"""What the tests of this folder measured, printed once at the end of the run (conftest.py) and kept nowhere."""

TABLES: dict[str, list[tuple[object, ...]]] = {}
"""A title -> its rows, the first of them the head."""


def row(title: str, head: tuple[str, ...], *cells: object) -> None:
    """One more measured row."""
    TABLES.setdefault(title, [head]).append(cells)


def text() -> str:
    """All tables, aligned."""
    shown = []
    for title, rows in TABLES.items():
        cells = [[str(cell) for cell in one] for one in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ("  ".join(c.ljust(w) for c, w in zip(one, widths, strict=True)).rstrip() for one in cells)
        shown.append("\n".join([title, *lines]))
    return "\n\n".join(shown)
