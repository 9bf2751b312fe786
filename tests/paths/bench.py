"""What the choice of paths costs by itself: `python -m tests.paths.bench [NODES] [PREFIXES]`, in milliseconds.

Reading the same paths takes about 0.5 us a path, sending them over ADD-PATH 0.04 us (tests/bench has the whole).
"""

import sys
import time
from collections.abc import Callable

from speaker.paths.addpath import AddPath
from speaker.paths.base import PathMode
from speaker.paths.lanes import Lanes
from speaker.paths.spread import Spread
from speaker.rib.table import Table
from tests.paths.world import World, host_routes, source

MODES: dict[str, tuple[Callable[[Table], PathMode], int]] = {
    "addpath": (AddPath, 1),
    "lanes 4": (lambda table: Lanes(table, 4), 4),
    "spread": (Spread, 1),
}


def clocked(world: World) -> float:
    """CPU milliseconds of the mode's part of a flush."""
    changes = world.table.take_changes()
    started = time.process_time()
    for _ in world.mode.apply(changes):
        pass
    return 1e3 * (time.process_time() - started)


def measure(build: Callable[[Table], PathMode], lanes: int, nodes: int, prefixes: int) -> list[float]:
    """One row of the table."""
    sources = [source(number) for number in range(1, nodes + 1)]
    routes = host_routes(prefixes)
    together = World(build)
    together.lane_up(*range(lanes))
    for one in sources:
        together.announce(one, routes)
    row = [clocked(together)]
    world = World(build)
    world.lane_up(*range(lanes))
    apart = []
    for one in sources:
        world.announce(one, routes)
        apart.append(clocked(world))
    row += [sum(apart), apart[-1]]
    world.table.drop(sources[7])
    row.append(clocked(world))
    repeats, single = 200, dict.fromkeys(("withdraw", "again", "new", "gone"), 0.0)
    for at in range(repeats):
        one, prefix = sources[at % nodes], [routes[at * 7 % prefixes]]
        world.table.withdraw(one, prefix)
        single["withdraw"] += clocked(world)
        world.announce(one, prefix)
        single["again"] += clocked(world)
        fresh = [host_routes(prefixes + 1)[-1]]
        world.announce(one, fresh)
        single["new"] += clocked(world)
        world.table.withdraw(one, fresh)
        single["gone"] += clocked(world)
    return row + [total / repeats for total in single.values()]


def main() -> None:
    """Prints the table."""
    nodes, prefixes = (int(argument) for argument in (*sys.argv[1:3], 250, 400)[:2])
    print(f"{nodes} nodes x {prefixes} prefixes, ms")
    heads = (
        "all at once",
        "one by one",
        "the last",
        "one leaves",
        "a path goes",
        "comes",
        "a prefix comes",
        "goes",
    )
    print(" " * 8, *(f"{head:>14}" for head in heads))
    for name, (build, lanes) in MODES.items():
        print(f"{name:8}", *(f"{ms:14.3f}" for ms in measure(build, lanes, nodes, prefixes)))


if __name__ == "__main__":
    main()
