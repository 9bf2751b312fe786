"""docs/failures.md: what the last whole run measured. The tables between the marks are written, the words stay."""

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.failures.measure import LONG_FLOWS, Outcome
from tests.failures.stream import RATE

DOCS = Path(__file__).parents[2] / "docs" / "failures.md"
MARKS = re.compile(r"(<!-- measured -->\n).*?(<!-- end -->)", re.DOTALL)

Results = Mapping[str, Mapping[str, Sequence[Outcome]]]
"""The runs by router and row."""

HEADINGS = ("failure", "packets lost", "of its own", "TCP broken", "flaps", "whole again", "way taken")


def tables(results: Results) -> str:
    """One table for each router."""
    parts = []
    for router, rows in results.items():
        lines = [f"\n### {router}\n", "| " + " | ".join(HEADINGS) + " |", "| --- " * len(HEADINGS) + "|"]
        lines += ["| " + " | ".join([name, *_cells(runs)]) + " |" for name, runs in rows.items() if runs]
        parts.append("\n".join(lines) + "\n")
    runs = {len(outcomes) for rows in results.values() for outcomes in rows.values() if outcomes}
    note = (
        f"\nMedian (and worst) of {min(runs, default=0)} runs; {RATE} packets a second, {LONG_FLOWS} TCP connections.\n"
    )
    return note + "".join(parts) + "\n"


def write(results: Results) -> None:
    """Puts the tables into the page."""
    DOCS.write_text(MARKS.sub(lambda found: found[1] + tables(results) + found[2], DOCS.read_text()))


def save(results: Results, path: Path) -> None:
    """Keeps the runs, so that routers can be tried in several processes and come together in one page."""
    path.write_text(
        json.dumps({r: {row: list(map(asdict, runs)) for row, runs in of.items()} for r, of in results.items()})
    )


def load(path: Path) -> Results:
    """What `save` has kept."""
    found = json.loads(path.read_text())
    return {r: {row: [Outcome(**run) for run in runs] for row, runs in of.items()} for r, of in found.items()}


def _cells(runs: Sequence[Outcome]) -> list[str]:
    ways = dict.fromkeys(way for run in runs for way in run.ways)
    return [
        _median_worst([run.lost for run in runs]),
        _median_worst([run.own for run in runs]),
        _median_worst([run.broken for run in runs]),
        _median_worst([run.flaps for run in runs]),
        _median_worst([round(run.whole, 1) for run in runs]) + " s",
        ", ".join(ways) or "none needed",
    ]


def _median_worst(values: Sequence[float]) -> str:
    middle, worst = statistics.median(values), max(values)
    return f"{middle:g}" if middle == worst else f"{middle:g} ({worst:g})"
