"""A drained node's paths are out while another node has the prefix, and in again when it is needed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.bgp.iana import GRACEFUL_SHUTDOWN, Family
from speaker.rib.decide import equal_cost, is_leaving
from speaker.rib.drain import Drain, Drained
from speaker.rib.guard import Reason
from speaker.rib.source import Source
from speaker.rib.table import Refused, Table
from tests.paths.world import host_routes, paths_of, source

P, Q = host_routes(2)
N1, N2, N3 = (source(number) for number in (1, 2, 3))


class World:
    """Three nodes; n1 and n2 have P, n1 alone has Q."""

    def __init__(self) -> None:
        self.table = Table(Family.IPV4)
        self.drained = Drained({Family.IPV4: self.table})
        self.announce(N1, P, Q)
        self.announce(N2, P)

    def announce(self, one: Source, *prefixes: bytes) -> None:
        self.table.announce(one, list(prefixes), paths_of(one))

    def has(self, prefix: bytes) -> set[str]:
        self.drained.settle()
        return {one.node for one in self.table.paths(prefix)}


def test_a_drained_node_loses_what_others_have_and_keeps_what_it_alone_has() -> None:
    """And has everything back when it is undrained."""
    world = World()
    world.drained.set(N1, Drain(force=False))
    assert (world.has(P), world.has(Q)) == ({"n2"}, {"n1"})
    assert world.drained.kept(N1) == [(Family.IPV4, Q)]
    world.drained.set(N1, None)
    assert (world.has(P), world.has(Q)) == ({"n1", "n2"}, {"n1"})


def test_with_force_the_last_path_goes_too() -> None:
    """As asked for."""
    world = World()
    world.drained.set(N1, Drain(force=True))
    assert (world.has(P), world.has(Q)) == ({"n2"}, set())


def test_a_path_that_stayed_goes_when_another_node_has_it_and_is_back_when_that_one_leaves() -> None:
    """The last path of a service is always there."""
    world = World()
    world.drained.set(N1, Drain(force=False))
    world.announce(N3, Q)
    assert world.has(Q) == {"n3"}
    world.table.drop(N3)
    assert world.has(Q) == {"n1"}


def test_where_all_are_drained_all_stay() -> None:
    """Nobody else could take over."""
    world = World()
    world.drained.set(N1, Drain(force=False))
    world.drained.set(N2, Drain(force=False))
    assert world.has(P) == {"n1", "n2"}


def test_what_is_leaving_is_there_and_after_all_others() -> None:
    """RFC 8326: the community, and the cost of step 0; then it goes, and is back as it was when the drain is over."""
    world = World()
    before = world.table.paths(P)[N1]
    world.drained.set(N1, Drain(force=False, leaving=True))
    assert (world.has(P), world.has(Q)) == ({"n1", "n2"}, {"n1"})
    assert all(GRACEFUL_SHUTDOWN in world.table.paths(prefix)[N1].communities for prefix in (P, Q))
    assert set(equal_cost(world.table.paths(P))) == {N2}
    world.drained.set(N1, Drain(force=False))
    assert (world.has(P), world.has(Q)) == ({"n2"}, {"n1"})
    assert is_leaving(world.table.paths(Q)[N1])
    world.drained.set(N1, None)
    assert world.table.paths(P)[N1] is world.table.paths(Q)[N1] is before


def test_what_is_refused_while_it_is_the_least_preferred_comes_back_as_it_was() -> None:
    """A node that does not answer for a while, and is undrained in between: MetalLB's speaker says nothing again."""
    world = World()
    before = world.table.paths(Q)[N1]
    world.drained.set(N1, Drain(force=False))
    assert world.has(Q) == {"n1"}
    world.table.refuse(N1, [Q], Refused(world.table.paths(Q)[N1], Reason.SILENT))
    world.drained.set(N1, None)
    assert world.table.refused(N1) == {Q: Refused(before, Reason.SILENT)}


def test_what_is_told_of_a_drain_is_what_nodes_say_and_what_goes() -> None:
    """Nobody has announced anything when a path is made the least preferred."""
    world = World()
    world.table.take_changes()
    world.drained.set(N1, Drain(force=False, leaving=True))
    world.drained.settle()
    assert not world.drained.news(world.table.take_changes())
    world.announce(N3, Q)
    world.drained.set(N1, Drain(force=False))
    world.drained.settle()
    told = {(change.source.node, bool(change.attributes)) for change in world.drained.news(world.table.take_changes())}
    assert told == {("n3", True), ("n1", False)}


@pytest.mark.parametrize("prefix", [P, Q])
@given(st.lists(st.tuples(st.sampled_from([N1, N2, N3]), st.sampled_from(["leave", "drain", "undrain", "come", "go"]))))
def test_a_prefix_that_somebody_announces_is_never_without_a_path(prefix: bytes, steps: list) -> None:
    """Whatever is drained in whatever order, without force."""
    world = World()
    there = {N1, N2} if prefix == P else {N1}
    for one, step in steps:
        if step in ("leave", "drain", "undrain"):
            world.drained.set(one, None if step == "undrain" else Drain(force=False, leaving=step == "leave"))
        elif step == "come":
            world.announce(one, prefix)
            there.add(one)
        else:
            world.table.withdraw(one, [prefix])
            there.discard(one)
        assert bool(world.has(prefix)) == bool(there)
