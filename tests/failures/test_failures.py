"""The short form: each failure once, on FRR without graceful restart, with what must hold as assertions."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

import pytest

from tests.e2e import objects
from tests.failures.measure import measure
from tests.failures.rows import ROWS, Row
from tests.failures.world import NODES, REPLICAS, World
from tests.lab import wait_until

DEAF = "table inet deaf { chain in { type filter hook input priority 0; policy accept;\ntcp sport 1791 drop\n}\n}\n"

LATE = 1.0
"""Seconds: less than it takes to be called silent."""


@pytest.mark.parametrize("row", [row for row in ROWS if row.spares and not row.lasts], ids=lambda row: row.name)
def test_nothing_is_lost_by_what_happens_to_onepeer(world: World, row: Row) -> None:
    """No packet of a node that is there, and no flap of the router's session."""
    outcome = measure(world, row)
    assert (outcome.lost, outcome.flaps) == (0, 0), outcome


def test_a_leader_that_stops_while_the_others_are_too_busy_is_gone_on_from(world: World) -> None:
    """Nobody answers it for as long as it may wait: it ends without a word to the router."""
    assert _stopped_among_frozen(world, None) == ({"transplant"}, 0)


def test_a_leader_that_stops_hands_over_also_to_who_is_a_second_late(world: World) -> None:
    """It is there for as long as that takes: the way is `planned`, which knows most and is whole at once."""
    assert _stopped_among_frozen(world, LATE) == ({"planned"}, 0)


def _stopped_among_frozen(world: World, seconds: float | None) -> tuple[set[str], int]:
    """The leader stops while the others are frozen, for so many seconds or (None) until it has ended.

    The ways in which it was gone on, and how often the session came up."""
    world.wait_whole()
    world.wait_hot()
    leader = world.leading()
    others = [world.replicas[name] for name in REPLICAS if name != leader]
    seen, flaps = [other.mark() for other in others], world.router.flaps()
    for other in others:
        other.signal(signal.SIGSTOP)
    with ThreadPoolExecutor() as pool:
        stopping = pool.submit(world.replicas[leader].stop)
        wait([stopping], seconds)
        for other in others:
            other.signal(signal.SIGCONT)
        stopping.result()
    world.wait_whole()
    ways = {way for other, at in zip(others, seen, strict=True) for way in other.ways(at)}
    world.replicas[leader].start()
    return ways, world.router.flaps() - flaps


def test_a_follower_that_knows_too_little_opens_the_session_anew_at_once(world: World) -> None:
    """It had not heard of what the leader said last, and the router has: the way is `reclaim`, and the router takes the
    new session although it believes in the old one."""
    with _leader_lost_unheard(world, "192.168.30.2") as (_, ways, flaps):
        assert (ways, flaps) == ({"reclaim"}, 1)


def test_the_same_with_a_router_that_does_graceful_restart_loses_no_packet(world: World, graceful: None) -> None:
    """The session is new, and the router forwards by what it had until it has been told anew."""
    stream = world.stream()
    with _leader_lost_unheard(world, "192.168.30.3") as (lost, ways, flaps):
        loss = stream.stop()
        assert (ways, flaps) == ({"graceful-restart"}, 1)
        assert loss.beside(lost) == 0, loss


def test_with_nobody_left_who_knows_anything_the_router_is_dialled_as_for_the_first_time(world: World) -> None:
    """All replicas are killed at once: the way is `plain`."""
    world.wait_whole()
    world.wait_hot()
    seen, flaps = {name: one.mark() for name, one in world.replicas.items()}, world.router.flaps()
    for replica in world.replicas.values():
        replica.crash()
    for replica in world.replicas.values():
        replica.start()
    wait_until(lambda: world.router.flaps() == flaps + 1, 60, "the session comes up anew", seen=world.story, every=0.2)
    world.wait_whole()
    ways = {way for name, replica in world.replicas.items() for way in replica.ways(seen[name])}
    assert (ways, world.router.flaps()) == ({"plain"}, flaps + 1)


@pytest.fixture
def graceful(world: World) -> Iterator[None]:
    """The router helps a neighbor that restarts, for once."""
    for helps in (True, False):
        world.router.graceful = helps
        world.router.crash()
        world.router.start()
        world.wait_whole()
        if helps:
            yield


@contextmanager
def _leader_lost_unheard(world: World, fresh: str) -> Iterator[tuple[str, set[str], int]]:
    """The leader tells the router of a new service while the others hear nothing of it, and vanishes with its host.

    Gives its name, the ways in which it was gone on, and how often the session came up, once all is whole."""
    world.wait_whole()
    world.wait_hot()
    leader = world.leading()
    others = [world.hosts[name] for name in REPLICAS if name != leader]
    seen, flaps = {name: world.replicas[name].mark() for name in REPLICAS}, world.router.flaps()
    for host in others:
        host.run("sh", "-c", f"printf '{DEAF}' | nft -f -")
    world.cluster.apply(objects.endpoints("gitea", *NODES), objects.service("gitea", fresh))
    wait_until(lambda: world.router_host.route(f"{fresh}/32"), 10, "the router has the new service")
    world.hosts[leader].unplug()
    world.wait_whole(without=[leader])
    ways = {way for name in REPLICAS if name != leader for way in world.replicas[name].ways(seen[name])}
    try:
        yield leader, ways, world.router.flaps() - flaps
    finally:
        for host in others:
            host.run("nft", "delete", "table", "inet", "deaf")
        world.hosts[leader].plug()
        world.wait_whole()


def test_another_host_with_the_leaders_address_is_named(world: World) -> None:
    """Until it is gone; the router's session goes on meanwhile, for the link is told anew who has it."""
    world.wait_whole()
    leader, address = world.leading(), world.variant.addresses[0]
    other, flaps = world.hosts[NODES[-1]], world.router.flaps()
    mac = other.ip_json("link", "show", "eth0")[0]["address"]

    def conflict() -> object:
        return world.replicas[leader].said()["routers"][0]["lead"]["conflict"]

    other.ip(f"addr add {address}/32 dev eth0")
    wait_until(lambda: conflict() == mac, 40, "it is named", seen=world.replicas[leader].output, every=0.5)
    other.ip(f"addr del {address}/32 dev eth0")
    wait_until(lambda: conflict() is None, 40, "it is over", seen=world.replicas[leader].output, every=0.5)
    assert (world.leader(), world.router.flaps()) == (leader, flaps)
