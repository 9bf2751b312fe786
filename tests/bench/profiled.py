"""Onepeer, and at its end what the choice of paths took: `python -m tests.bench.profiled run -c FILE`.

The choice is what the path modes (speaker/paths) do: they yield placements, and everything else in a flush happens
between two of them. Here each of their answers is made whole first, between two looks at the thread's CPU clock.
The last line written is {"choice_seconds": ...}.
"""

import atexit
import json
import time
from collections.abc import Iterable

from speaker.bgp.iana import Family
from speaker.cli.main import main
from speaker.paths.base import Placement
from speaker.paths.router import RouterPaths

_place = RouterPaths._place
_spent = 0.0


def _clocked(router: RouterPaths, family: Family, placements: Iterable[Placement]) -> None:
    global _spent
    begun = time.thread_time()
    chosen = list(placements)
    _spent += time.thread_time() - begun
    _place(router, family, chosen)


def _tell() -> None:
    print(json.dumps({"choice_seconds": _spent}))


if __name__ == "__main__":
    RouterPaths._place = _clocked  # type: ignore[method-assign]
    atexit.register(_tell)
    main()
