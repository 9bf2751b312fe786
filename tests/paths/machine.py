"""Any sequence of joins, leaves, withdrawals, announcements at another cost, and lanes that fall and come back.

A test adds one invariant to `Sequences`. `before` and `event` tell it what the last step was and what stood before it.
"""

from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from speaker.paths.base import PathMode
from speaker.rib.decide import Path
from speaker.rib.source import Source
from speaker.rib.table import Table
from tests.paths.world import NODES, World, host_routes

PREFIXES = host_routes(5)
LANES = 3

#: `pytest --hypothesis-profile=deep tests/paths` looks for longer.
SETTINGS = settings(max_examples=max(30, settings.default.max_examples // 3), stateful_step_count=30, deadline=None)

nodes = st.sampled_from(list(NODES.values()))
some_prefixes = st.lists(st.sampled_from(PREFIXES), min_size=1, unique=True)


class Event(NamedTuple):
    """The last step: its kind, and the node and prefixes or the lane that it was about."""

    kind: str
    source: Source | None = None
    prefixes: tuple[bytes, ...] = ()
    lane: int | None = None


class Sequences(RuleBasedStateMachine):
    """The steps. A subclass says which mode."""

    costs: tuple[dict[str, int], ...] = ({}, {"longer": 1})

    def build(self, table: Table) -> PathMode:
        """The mode under test."""
        raise NotImplementedError

    @initialize(up=st.sets(st.integers(0, LANES - 1)))
    def start(self, up: set[int]) -> None:
        self.world = World(self.build)
        self.event = Event("start")
        self.world.lane_up(*up)
        self.remember()

    def remember(self) -> None:
        """Keeps what the router has now."""
        self.before = {prefix: dict(self.world.carried(prefix)) for prefix in PREFIXES}
        self.eligible_before = {prefix: dict(self.world.eligible(prefix)) for prefix in PREFIXES}

    @rule(node=nodes, prefixes=some_prefixes, data=st.data())
    def announce(self, node: Source, prefixes: list[bytes], data: st.DataObject) -> None:
        self.remember()
        self.event = Event("announce", node, tuple(prefixes))
        self.world.join(node, prefixes, **data.draw(st.sampled_from(self.costs)))

    @rule(node=nodes, prefixes=some_prefixes)
    def withdraw(self, node: Source, prefixes: list[bytes]) -> None:
        self.remember()
        self.event = Event("withdraw", node, tuple(prefixes))
        self.world.withdraw(node, prefixes)

    @rule(node=nodes)
    def leave(self, node: Source) -> None:
        self.remember()
        self.event = Event("leave", node, tuple(self.world.table.adj_rib_in(node)))
        self.world.leave(node)

    @rule(
        steps=st.lists(st.tuples(nodes, some_prefixes, st.sampled_from(["announce", "withdraw", "leave"])), max_size=6)
    )
    def much_at_once(self, steps: list[tuple[Source, list[bytes], str]]) -> None:
        self.remember()
        self.event = Event("much")
        for node, prefixes, what in steps:
            if what == "announce":
                self.world.announce(node, prefixes, **self.costs[len(prefixes) % len(self.costs)])
            elif what == "withdraw":
                self.world.table.withdraw(node, prefixes)
            else:
                self.world.table.drop(node)
        self.world.flush()

    @precondition(lambda self: len(self.world.lanes) < LANES)
    @rule(data=st.data())
    def lane_up(self, data: st.DataObject) -> None:
        self.remember()
        lane = data.draw(st.sampled_from([lane for lane in range(LANES) if lane not in self.world.lanes]))
        self.event = Event("lane up", lane=lane)
        self.world.lane_up(lane)

    @precondition(lambda self: self.world.lanes)
    @rule(data=st.data())
    def lane_down(self, data: st.DataObject) -> None:
        self.remember()
        lane = data.draw(st.sampled_from(sorted(self.world.lanes)))
        self.event = Event("lane down", lane=lane)
        self.world.lane_down(lane)

    @rule(order=st.permutations(list(NODES.values())))
    def hand_over(self, order: list[Source]) -> None:
        self.remember()
        self.event = Event("hand over")
        self.world.hand_over(order)

    # --- what invariants ask ---

    def still_eligible(self, prefix: bytes) -> dict[int, Path]:
        """What lanes carried before the last step that could stay: the lane is up, the path is there and good."""
        eligible = self.world.eligible(prefix)
        return {
            lane: path
            for lane, path in self.before[prefix].items()
            if lane in self.world.lanes and path[0] in eligible and eligible[path[0]].next_hop == path[1].next_hop
        }


def case(machine: type[Sequences]) -> type:
    """The machine as a test."""
    machine.TestCase.settings = SETTINGS
    machine.TestCase.__doc__ = machine.__doc__
    return machine.TestCase
