"""What did one failure cost? One row on one router, once."""

import time
from dataclasses import dataclass

from tests.failures.rows import Row
from tests.failures.world import SERVICE, World
from tests.modes.traffic import LongFlows

BEFORE, AFTER = 1.0, 1.0
"""Seconds of packets before the failure, so that every flow has come to some node, and after all is whole again."""
LONG_FLOWS = 50


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run. `own` are the packets of nodes that the failure took off the wire, `lost` those of all others."""

    sent: int
    lost: int
    own: int
    broken: int
    """TCP connections that broke although their node was there all the time, of `LONG_FLOWS`."""
    flaps: int
    whole: float
    """Seconds from the failure until all was whole again."""
    ways: tuple[str, ...]
    """How the router's sessions were taken over, in the words of Onepeer's log."""


def measure(world: World, row: Row) -> Outcome:
    """Hurts, waits, mends. Raises NotInTime where it does not become whole again."""
    world.wait_whole()
    world.wait_hot()
    world.wait_steady()
    flaps = world.router.flaps()
    seen = {name: replica.mark() for name, replica in world.replicas.items()}
    stream, flows = world.stream(), LongFlows(world.client, [SERVICE], LONG_FLOWS)
    time.sleep(BEFORE)
    failure = row.failure(world)
    begun = time.monotonic()
    off = next(failure)
    while time.monotonic() - begun < row.lasts:
        time.sleep(0.1)
    world.wait_whole(without=off.gone)
    whole = time.monotonic() - begun - row.lasts
    time.sleep(AFTER)
    loss = stream.stop()
    broken = sum(flow.broken and flow.node not in off.own for flow in flows.end())
    more = world.router.flaps() - flaps
    ways = tuple(way for name, replica in world.replicas.items() for way in replica.ways(seen[name]))
    next(failure, None)
    world.wait_whole()
    return Outcome(loss.sent, loss.beside(*off.own), loss.lost - loss.beside(*off.own), broken, more, whole, ways)
