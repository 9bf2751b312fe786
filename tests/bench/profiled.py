"""Onepeer, and at its end what the choice of paths took: `python -m tests.bench.profiled run -c FILE`.

The choice is what the path modes (speaker/paths) do: they yield placements, and everything else in a flush happens
between two of them. Here each of their answers is made whole first, between two looks at the thread's CPU clock, until
the first session to the router ends. The last line written is {"choice_seconds": ...}.
"""

import atexit
import json
import time
from collections.abc import Iterable

from speaker.bgp.iana import Family
from speaker.cli.main import main
from speaker.paths.base import Placement
from speaker.paths.router import RouterPaths


class _Choice:
    """The clock."""

    def __init__(self) -> None:
        self._place, self._session_down = RouterPaths._place, RouterPaths.session_down
        self._seconds = 0.0
        self._counts = True

    def place(self, router: RouterPaths, family: Family, placements: Iterable[Placement]) -> None:
        """RouterPaths._place, clocked."""
        begun = time.thread_time()
        chosen = list(placements)
        if self._counts:
            self._seconds += time.thread_time() - begun
        self._place(router, family, chosen)

    def session_down(self, router: RouterPaths, lane: int) -> None:
        """RouterPaths.session_down; what moves for it is no part of what is measured."""
        self._counts = False
        self._session_down(router, lane)

    def tell(self) -> None:
        """The last line."""
        print(json.dumps({"choice_seconds": self._seconds}))


def _clock() -> None:
    choice = _Choice()
    RouterPaths._place = lambda *arguments: choice.place(*arguments)  # type: ignore[method-assign]
    RouterPaths.session_down = lambda *arguments: choice.session_down(*arguments)  # type: ignore[method-assign]
    atexit.register(choice.tell)


if __name__ == "__main__":
    _clock()
    main()
