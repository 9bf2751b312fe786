"""Waiting for a condition with a deadline: the lab never sleeps for a guessed time.

Rules: the deadline is in seconds from the call; what was being waited for stands in the error; a condition
that raises NotYet (a daemon that does not answer yet) is asked again.
"""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL = 0.03
"""Seconds between two looks: below what a person sees, above what two shared cores notice."""


class NotInTime(AssertionError):
    """The deadline passed. The text says what was awaited, for how long, and what was seen last."""


class NotYet(Exception):
    """A query could not be answered yet (a daemon without its socket): `wait_until` asks again."""


def wait_until(
    condition: Callable[[], T],
    deadline: float,
    why: str,
    *,
    seen: Callable[[], object] | None = None,
    every: float = POLL,
) -> T:
    """Call `condition` until it returns something true, and return that.

    `deadline`: seconds. `why`: what is awaited, as a failure shall read. `seen`: asked once, on failure, for
    the state that explains it.
    """
    start = time.monotonic()
    last: object = None
    while True:
        try:
            last = value = condition()
            if value:
                return value
        except NotYet as error:
            last = error
        if time.monotonic() - start > deadline:
            shown = seen() if seen is not None else last
            raise NotInTime(f"not within {deadline:g} s: {why}\nlast seen: {shown}")
        time.sleep(every)


def holds_for(condition: Callable[[], object], seconds: float, why: str, *, every: float = 0.1) -> None:
    """Assert that `condition` is true at every look during `seconds`: the opposite of `wait_until`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        assert value, f"did not stay so for {seconds:g} s: {why}\nlast seen: {value}"
        time.sleep(every)
