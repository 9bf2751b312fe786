"""What does a check find? A value with its way out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    HINT = "hint"  # nothing is in the way; there is more to be had
    WARNING = "warning"  # it works, and less well than it could
    PROBLEM = "problem"  # something does not work, or will not


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    what: str
    why: str = ""
    way_out: str = ""


def ok(what: str) -> Finding:
    """As it should be, or good to know."""
    return Finding(Level.OK, what)


def hint(what: str, why: str, way_out: str) -> Finding:
    """See Level."""
    return Finding(Level.HINT, what, why, way_out)


def warning(what: str, why: str, way_out: str) -> Finding:
    """See Level."""
    return Finding(Level.WARNING, what, why, way_out)


def problem(what: str, why: str, way_out: str) -> Finding:
    """See Level."""
    return Finding(Level.PROBLEM, what, why, way_out)
