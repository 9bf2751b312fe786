"""What is done to the world? One row of docs/failures.md each: it hurts, is waited for, and is mended.

A row is a generator function: what stands before its `yield` is the failure, what it yields is who is off, and what
follows mends it, after all is whole again.
"""

import signal
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

from tests.failures.world import NODES, REPLICAS, World


@dataclass(frozen=True, slots=True)
class Off:
    """Whom a failure takes away.

    own     nodes whose own packets it must cost: the router does not reach them
    gone    nodes that have to leave the router, and cannot lead
    """

    own: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


Hurting = Generator[Off, None, None]
Failure = Callable[[World], Hurting]

FROZEN = 30.0
"""Seconds for which a leader is frozen at least: longer than any Lease."""
AWAY = 12.0
"""Seconds for which the API server or etcd is away."""


@dataclass(frozen=True, slots=True)
class Row:
    """One failure.

    lasts   seconds for which it goes on before it is asked whether all is whole
    spares  no packet and no flap may be lost by it; else only what a goal of its own says
    """

    name: str
    failure: Failure
    lasts: float = 0.0
    spares: bool = True


def leader_killed(world: World) -> Hurting:
    leader = world.leading()
    world.replicas[leader].crash()
    yield Off()
    world.replicas[leader].start()


def leader_frozen(world: World) -> Hurting:
    leader = world.leading()
    world.replicas[leader].signal(signal.SIGSTOP)
    yield Off()
    world.replicas[leader].signal(signal.SIGCONT)


def leaders_host_vanishes(world: World) -> Hurting:
    leader = world.leading()
    world.hosts[leader].unplug()
    yield Off((leader,), (leader,))
    world.hosts[leader].plug()


def planned_stop(world: World) -> Hurting:
    leader = world.leading()
    world.replicas[leader].stop()
    yield Off()
    world.replicas[leader].start()


def rolling_update(world: World) -> Hurting:
    for replica in world.replicas.values():
        replica.stop()
        replica.start()
        world.wait_hot()
    yield Off()


def leader_without_api(world: World) -> Hurting:
    with world.cut(world.hosts[world.leading()], world.cluster.host):
        yield Off()


def leader_without_router(world: World) -> Hurting:
    leader = world.leading()
    with world.cut(world.hosts[leader], world.router_host):
        yield Off(own=(leader,))


def leader_without_nodes(world: World) -> Hurting:
    leader = world.leading()
    others = [world.hosts[name] for name in NODES if name != leader]
    with world.cut(world.hosts[leader], *others):
        yield Off()
    # TCP waits as long again as it was cut off before it sends again, and a run after this one would add to that.
    time.sleep(AWAY)


def api_killed(world: World) -> Hurting:
    world.cluster.kill_api()
    yield Off()
    world.cluster.start_api()


def etcd_killed(world: World) -> Hurting:
    world.cluster.kill_etcd()
    yield Off()
    world.cluster.start_etcd()


def router_restarts(world: World) -> Hurting:
    world.router.crash()
    world.router.start()
    yield Off()


def node_vanishes(world: World) -> Hurting:
    world.hosts[NODES[-1]].unplug()
    yield Off((NODES[-1],), (NODES[-1],))
    world.hosts[NODES[-1]].plug()


def speaker_restarts(world: World) -> Hurting:
    speaker = world.speakers[NODES[-1]]
    speaker.stop()
    speaker.start()
    yield Off()


def all_speakers_restart(world: World) -> Hurting:
    for speaker in world.speakers.values():
        speaker.stop()
    for speaker in world.speakers.values():
        speaker.start()
    yield Off()


def leader_and_node_vanish(world: World) -> Hurting:
    leader = world.leading()
    for name in (leader, NODES[-1]):
        world.hosts[name].unplug()
    yield Off((leader, NODES[-1]), (leader, NODES[-1]))
    for name in (leader, NODES[-1]):
        world.hosts[name].plug()


def two_replicas_killed(world: World) -> Hurting:
    leader = world.leading()
    killed = [leader, next(name for name in REPLICAS if name != leader)]
    for name in killed:
        world.replicas[name].crash()
    yield Off()
    for name in killed:
        world.replicas[name].start()


ROWS = (
    Row("leader: kill -9", leader_killed),
    Row("leader: SIGSTOP for 30 s, then thawed", leader_frozen, lasts=FROZEN),
    Row("leader's host vanishes", leaders_host_vanishes),
    Row("leader: planned stop", planned_stop),
    Row("rolling update of Onepeer", rolling_update),
    Row("leader cut off from the API server", leader_without_api, lasts=AWAY),
    Row("leader cut off from the router", leader_without_router, lasts=AWAY, spares=False),
    Row("leader cut off from the other nodes", leader_without_nodes, lasts=AWAY),
    Row("API server killed", api_killed, lasts=AWAY),
    Row("etcd killed", etcd_killed, lasts=AWAY),
    Row("router's BGP restarts", router_restarts, spares=False),
    Row("node vanishes", node_vanishes, spares=False),
    Row("a node's speaker restarts", speaker_restarts),
    Row("all nodes' speakers restart", all_speakers_restart),
    Row("leader's host and another node vanish", leader_and_node_vanish),
    Row("leader and another replica: kill -9", two_replicas_killed),
)
