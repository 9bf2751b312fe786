"""K plain sessions carry K next hops of every prefix: what holds whatever happens to nodes and lanes."""

import pytest
from hypothesis.stateful import invariant

from speaker.bgp.iana import GRACEFUL_SHUTDOWN
from speaker.paths.base import NotPlaced, PathMode
from speaker.paths.lanes import Lanes
from speaker.rib.table import Table
from tests.paths.machine import LANES, PREFIXES, Sequences, case
from tests.paths.world import World, host_routes, source

P = PREFIXES[0]


class _Lanes(Sequences):
    def build(self, table: Table) -> PathMode:
        return Lanes(table, LANES)


class _EveryLane(_Lanes):
    """For any number of nodes the router gets min(lanes that are up, next hops to be had) next hops."""

    @invariant()
    def as_many_next_hops_as_lanes(self) -> None:
        for prefix in PREFIXES:
            to_be_had = {attributes.next_hop for attributes in self.world.eligible(prefix).values()}
            assert len(self.world.next_hops(prefix)) == min(len(self.world.lanes), len(to_be_had))


class _NextHopOnce(_Lanes):
    """Two lanes never carry the same next hop of a prefix."""

    @invariant()
    def no_next_hop_twice(self) -> None:
        for prefix in PREFIXES:
            assert len(set(self.world.next_hops(prefix))) == len(self.world.next_hops(prefix))


class _Living(_Lanes):
    """What a lane carries is there, as it was announced last, and as good as the best."""

    @invariant()
    def only_living_paths(self) -> None:
        for prefix in PREFIXES:
            for node, attributes in self.world.sent(prefix):
                assert self.world.eligible(prefix)[node] is attributes


class _KeepsLane(_Lanes):
    """A path keeps its lane while it lives; it yields to a node that comes, and on one lane of a prefix."""

    @invariant()
    def a_living_path_stays(self) -> None:
        for prefix in PREFIXES:
            now = self.world.carried(prefix)
            lost = {
                lane for lane, path in self.still_eligible(prefix).items() if now.get(lane, (None,))[0] is not path[0]
            }
            came = self.event.kind == "announce" and prefix in self.event.prefixes
            # After a hand-over another path with the same next hop may stand there, which no flow can tell.
            looked_at = self.event.kind not in ("much", "hand over")
            assert not looked_at or len(lost) <= came
            assert not looked_at or all(now[lane][0] is self.event.source for lane in lost)


class _OneLanePerChurn(_Lanes):
    """What one node does changes one lane of a prefix at most, where it leaves the others as good as they were."""

    @invariant()
    def at_most_one_lane_changes(self) -> None:
        node = self.event.source
        for prefix in PREFIXES if node else ():
            others = [{s: a for s, a in e.items() if s is not node} for e in self.both_eligible(prefix)]
            before, now = self.before[prefix], self.world.carried(prefix)
            changed = [lane for lane in self.world.lanes if before.get(lane) != now.get(lane)]
            assert others[0] != others[1] or len(changed) <= 1

    def both_eligible(self, prefix: bytes) -> tuple[dict, dict]:
        return self.eligible_before[prefix], self.world.eligible(prefix)


class _WaitingTakesOver(_Lanes):
    """When a path dies a waiting one takes its lane."""

    @invariant()
    def the_lane_of_the_dead_is_taken(self) -> None:
        if self.event.kind not in ("withdraw", "leave"):
            return
        for prefix in self.event.prefixes:
            before, now = self.before[prefix], self.world.carried(prefix)
            waiting = {a.next_hop for a in self.world.eligible(prefix).values()} - {
                a.next_hop for _, a in before.values()
            }
            for lane, (node, _) in before.items():
                assert node is not self.event.source or lane in now or not waiting


class _FallLosesNothing(_Lanes):
    """When a lane falls, no next hop is lost that fits on the lanes left, and what they carried stays."""

    @invariant()
    def what_fits_stays(self) -> None:
        for prefix in PREFIXES if self.event.kind == "lane down" else ():
            before, now = self.before[prefix], self.world.carried(prefix)
            hops = {attributes.next_hop for _, attributes in before.values()}
            assert len(hops) > len(self.world.lanes) or hops == set(self.world.next_hops(prefix))
            assert all(now[lane] == path for lane, path in before.items() if lane != self.event.lane)


class _ReturnMovesNothing(_Lanes):
    """A lane that comes up takes waiting paths; the other lanes carry on what they carried."""

    @invariant()
    def other_lanes_stay(self) -> None:
        for prefix in PREFIXES if self.event.kind == "lane up" else ():
            now = self.world.carried(prefix)
            assert all(now[lane] == path for lane, path in self.before[prefix].items())


class _HandOverMovesNothing(_Lanes):
    """Another process that takes the sessions over leaves every next hop on its lane, in whatever order it met them."""

    @invariant()
    def every_next_hop_stays(self) -> None:
        for prefix in PREFIXES if self.event.kind == "hand over" else ():
            before = {lane: path[1].next_hop for lane, path in self.before[prefix].items()}
            assert before == {lane: path[1].next_hop for lane, path in self.world.carried(prefix).items()}


class _WhereAgrees(_Lanes):
    """`onepeer routes` names the lane that carries a path, and a reason for every path that none carries."""

    @invariant()
    def where_is_what_was_placed(self) -> None:
        for prefix in PREFIXES:
            carried = {(lane, path[0]) for lane, path in self.world.carried(prefix).items()}
            assert self.world.where_says(prefix) == carried
            for node, place in self.world.mode.where(prefix).items():
                worse = node not in self.world.eligible(prefix)
                assert (place is NotPlaced.NOT_EQUAL_COST) == worse


class _SeveralAses(_EveryLane, _NextHopOnce, _Living, _WhereAgrees):
    """All this holds too where MED makes what a path is worth a matter of third ones (RFC 4451 3.1.1)."""

    costs = tuple({"longer": 1, "asn": asn, "med": med} for asn in (65001, 65002) for med in (0, 1, 2))


class _Crowds(_SeveralAses):
    """All this holds too where nodes that come are seated prefix by prefix, and without MED as well."""

    costs = ({}, *_SeveralAses.costs)

    def build(self, table: Table) -> PathMode:
        return crowded(Lanes(table, LANES))


class _ChurnInCrowds(_OneLanePerChurn):
    def build(self, table: Table) -> PathMode:
        return crowded(Lanes(table, LANES))


TestTheRouterGetsANextHopForEveryLane = case(_EveryLane)
TestNoNextHopIsOnTwoLanes = case(_NextHopOnce)
TestLanesCarryLivingPathsOnly = case(_Living)
TestAPathKeepsItsLaneWhileItLives = case(_KeepsLane)
TestChurnOfOneNodeChangesOneLaneOfAPrefix = case(_OneLanePerChurn)
TestAWaitingPathTakesTheLaneOfTheDead = case(_WaitingTakesOver)
TestALanesFallLosesNoNextHopThatFitsElsewhere = case(_FallLosesNothing)
TestALaneThatComesBackMovesNothingElse = case(_ReturnMovesNothing)
TestAHandOverMovesNothing = case(_HandOverMovesNothing)
TestRoutesNamesTheLaneThatCarriesAPath = case(_WhereAgrees)
TestLanesHoldWithMedAmongSeveralAses = case(_SeveralAses)
TestLanesHoldWhereNodesComeInCrowds = case(_Crowds)
TestChurnOfOneNodeChangesOneLaneInACrowdToo = case(_ChurnInCrowds)


def crowded(lanes: Lanes) -> Lanes:
    """One node is a crowd for these."""
    lanes._seats.crowd = 1
    return lanes


@pytest.mark.parametrize("first", [1, 3, 20])
def test_a_crowd_takes_its_share_from_those_who_were_there(first: int) -> None:
    """A hundred nodes follow a few, all in one loop turn: even loads, and what moves goes to those who came."""
    nodes, routes = [source(number) for number in range(1, 121)], host_routes(300)
    world = World(lambda table: Lanes(table, 4))
    world.lane_up(0, 1, 2, 3)
    for node in nodes[:first]:
        world.join(node, routes)
    before = {prefix: world.carried(prefix) for prefix in routes}
    for node in nodes[first:]:
        world.announce(node, routes)
    world.flush()
    for prefix in routes:
        now = world.carried(prefix)
        moved = [lane for lane, path in before[prefix].items() if now[lane] != path]
        assert len({path[0] for path in now.values()}) == 4
        assert not {now[lane][0] for lane in moved}.intersection(nodes[:first])
    assert max(world.load().values()) <= 1.1 * 4 * 300 / 120


def test_a_path_that_came_and_went_at_once_does_not_hide_another() -> None:
    """Two nodes announce a prefix and one withdraws it, all in one loop turn: the other's path is carried."""
    world = World(lambda table: Lanes(table, LANES))
    world.lane_up(0)
    one, other = source(1), source(2)
    world.announce(one, host_routes(2))
    world.announce(other, [P])
    world.table.withdraw(one, [P])
    world.flush()
    assert [node for node, _ in world.sent(P)] == [other]


def test_a_lane_may_fall_between_an_announcement_and_its_flush() -> None:
    """The table is ahead of what the lanes know; so it is when somebody looks at the routes."""
    world = World(lambda table: Lanes(table, 2))
    world.lane_up(0, 1)
    world.join(source(1), [P])
    world.announce(source(2), [P])
    world.announce(source(3, weight=2), [P])
    assert len(world.mode.where(P)) == 3
    world.lane_down(0)
    world.flush()
    assert len(world.sent(P)) == 1


def test_a_path_that_is_about_to_go_gives_its_lane_to_one_that_waits_and_is_no_loss_to_the_router() -> None:
    """By GRACEFUL_SHUTDOWN (RFC 8326): the router sees one next hop replaced, and nothing when the path goes then."""
    world = World(lambda table: Lanes(table, 2))
    nodes = [source(number) for number in (1, 2, 3)]
    world.lane_up(0, 1)
    for one in nodes:
        world.join(one, [P])
    lane, (leaving, attributes) = next(iter(world.carried(P).items()))
    stays = {one for one in nodes if one is not leaving}
    world.table.announce(leaving, [P], attributes.but(communities=(GRACEFUL_SHUTDOWN,)))
    world.flush()
    assert {path[0] for path in world.carried(P).values()} == stays
    assert world.mode.where(P)[leaving] is NotPlaced.NOT_EQUAL_COST
    before = world.carried(P)
    assert lane in before
    world.withdraw(leaving, [P])
    assert world.carried(P) == before
