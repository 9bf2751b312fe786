"""What was measured: per line of the table and reflector the samples, or why there are none."""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .rig import Failed


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the tables: less is better in all of them."""

    suite: str
    title: str
    unit: str

    @property
    def key(self) -> str:
        """How the line is called in the JSON output."""
        return f"{self.suite}: {self.title}, {self.unit}"


@dataclass(slots=True)
class Cell:
    """One reflector's samples in one line, the reasons of its failures, and how often an earlier line failed."""

    samples: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    not_reached: int = 0

    @property
    def median(self) -> float | None:
        """The median of what was measured; None when nothing was."""
        return statistics.median(self.samples) if self.samples else None


class Results:
    """All cells, in the order in which their lines were first met."""

    def __init__(self) -> None:
        self.cells: dict[Line, dict[str, Cell]] = {}
        self.remarks: list[str] = []

    def cell(self, line: Line, reflector: str) -> Cell:
        """The cell, made when it is not there."""
        return self.cells.setdefault(line, {}).setdefault(reflector, Cell())

    @contextmanager
    def expecting(self, reflector: str, lines: list[Line]) -> Iterator["Recorder"]:
        """A block that is to fill all these lines: when it fails, the first still empty says why."""
        recorder = Recorder(self, reflector, lines)
        try:
            yield recorder
        except Failed as failure:
            if not recorder.missing:
                raise
            failed, *not_reached = recorder.missing
            self.cell(failed, reflector).failures.append(str(failure))
            for line in not_reached:
                self.cell(line, reflector).not_reached += 1


class Recorder:
    """Takes the samples of one reflector in one suite."""

    def __init__(self, results: Results, reflector: str, lines: list[Line]) -> None:
        self._results = results
        self._reflector = reflector
        self.missing = list(lines)

    def __call__(self, line: Line, *samples: float) -> None:
        self.missing.remove(line)
        self._results.cell(line, self._reflector).samples.extend(samples)
