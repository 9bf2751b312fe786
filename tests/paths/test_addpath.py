"""One line with ADD-PATH: every path under an identifier of its own, at most `max_paths` of a prefix."""

import pytest
from hypothesis.stateful import invariant

from speaker.paths.addpath import AddPath, LimitedAddPath
from speaker.paths.base import NotPlaced, PathMode
from speaker.rib.decide import cost, ranked
from speaker.rib.table import Table
from tests.paths.machine import PREFIXES, Sequences, case
from tests.paths.world import World, host_routes, source

P = PREFIXES[0]


class _All(Sequences):
    def build(self, table: Table) -> PathMode:
        return AddPath(table)


class _Two(Sequences):
    costs = ({}, {"longer": 1}, {"longer": 2})

    def build(self, table: Table) -> PathMode:
        return LimitedAddPath(table, 2)


class _EveryPath(_All):
    """The router has every path of every prefix, each once and under its node's identifier."""

    @invariant()
    def all_paths(self) -> None:
        for prefix in PREFIXES if self.world.lanes else ():
            assert dict(self.world.sent(prefix)) == self.world.table.paths(prefix)
            assert len(self.world.sent(prefix)) == len(self.world.table.paths(prefix))

    @invariant()
    def each_under_its_identifier(self) -> None:
        for lane in self.world.lanes.values():
            assert all(path_id == node.path_id for (path_id, _), (node, _) in lane.items())


class _WhereAgrees(_All):
    """`onepeer routes` names the line that carries a path."""

    @invariant()
    def where_is_what_was_placed(self) -> None:
        for prefix in PREFIXES:
            sent = {
                (at, path[0]) for at, lane in self.world.lanes.items() for (_, p), path in lane.items() if p == prefix
            }
            assert self.world.where_says(prefix) == sent


class _AtMostTwo(_Two):
    """Of each prefix min(max_paths, next hops to be had) paths are sent, each with a next hop of its own."""

    @invariant()
    def as_many_as_there_may_be(self) -> None:
        for prefix in PREFIXES if self.world.lanes else ():
            to_be_had = {attributes.next_hop for attributes in self.world.table.paths(prefix).values()}
            hops = self.world.next_hops(prefix)
            assert len(hops) == len(set(hops)) == min(2, len(to_be_had))


class _TheBest(_Two):
    """No path is sent while a better one, with another next hop, is not."""

    @invariant()
    def the_best_are_sent(self) -> None:
        for prefix in PREFIXES if self.world.lanes else ():
            best: dict[bytes, tuple] = {}
            for path in ranked(self.world.table.paths(prefix)):
                best.setdefault(path[1].next_hop, cost(*path))
            assert sorted(cost(*path) for path in self.world.sent(prefix)) == sorted(best.values())[:2]


class _LimitedWhere(_Two):
    """`onepeer routes` says of a path that is not sent that max_paths others are, or that its next hop is."""

    @invariant()
    def where_is_what_was_placed(self) -> None:
        for prefix in PREFIXES:
            sent = {
                (at, path[0]) for at, lane in self.world.lanes.items() for (_, p), path in lane.items() if p == prefix
            }
            assert self.world.where_says(prefix) == sent
            reasons = {place for place in self.world.mode.where(prefix).values() if isinstance(place, NotPlaced)}
            assert reasons <= {NotPlaced.MAX_PATHS, NotPlaced.SAME_NEXT_HOP, NotPlaced.SESSION_DOWN}


TestTheRouterHasEveryPath = case(_EveryPath)
TestRoutesNamesTheLine = case(_WhereAgrees)
TestMaxPathsIsRespected = case(_AtMostTwo)
TestMaxPathsLeavesTheBest = case(_TheBest)
TestRoutesSaysWhyAPathIsNotSent = case(_LimitedWhere)


def test_churn_of_one_node_touches_no_other_nodes_paths() -> None:
    """A node joins a full table: one placement, for its own paths."""
    world = World(AddPath)
    world.lane_up(0)
    routes = host_routes(50)
    for number in range(1, 6):
        world.join(source(number), routes)
    assert world.placed == 5
    world.join(source(6), routes)
    assert world.placed == 6


@pytest.mark.parametrize("build", [AddPath, lambda table: LimitedAddPath(table, 2)])
def test_a_line_that_comes_back_moves_nothing(build) -> None:
    """Of two lines that take ADD-PATH the one that carries all carries on, until it falls."""
    world = World(build)
    world.lane_up(1)
    world.join(source(1), [P])
    world.lane_up(0)
    assert [len(world.lanes[lane]) for lane in (0, 1)] == [0, 1]
    world.lane_down(1)
    assert len(world.lanes[0]) == 1


def test_a_better_path_takes_the_place_of_a_worse_one() -> None:
    """max_paths 3: one good path and three worse ones; another good one comes."""
    world = World(lambda table: LimitedAddPath(table, 3))
    world.lane_up(0)
    world.join(source(1), [P])
    for number in (2, 3, 4):
        world.join(source(number), [P], longer=2)
    before = {node.node for node, _ in world.sent(P)}
    world.join(source(5), [P])
    after = {node.node for node, _ in world.sent(P)}
    assert {"n1", "n5"} <= after
    assert len(after - before) == len(before - after) == 1
