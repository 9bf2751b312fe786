"""The table holds what the nodes have said last, whatever they say: against a naive model."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from speaker.bgp.attributes import Attributes
from speaker.bgp.iana import Family
from speaker.rib.source import Source
from speaker.rib.table import Refused, Table
from tests.rib.paths import node, via

NODES = [node(f"10.0.0.{n}") for n in range(1, 4)]
PREFIXES = [bytes((32, 192, 168, 30, n)) for n in range(4)]
SETS = {one: [via(str(one.address), med=med) for med in range(2)] for one in NODES}

nodes = st.sampled_from(NODES)
prefixes = st.lists(st.sampled_from(PREFIXES), max_size=5)
which = st.integers(0, 1)


class _AnySequence(RuleBasedStateMachine):
    """Announcements, refusals, withdrawals and lost nodes in any order; the model is a dict of (node, prefix)."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Table(Family.IPV4)
        self.accepted: dict[tuple[Source, bytes], Attributes] = {}
        self.refused: dict[tuple[Source, bytes], Refused] = {}
        self.replayed: dict[tuple[Source, bytes], Attributes] = {}

    @rule(one=nodes, prefixes=prefixes, which=which)
    def announce(self, one: Source, prefixes: list[bytes], which: int) -> None:
        self.table.announce(one, prefixes, SETS[one][which])
        for prefix in prefixes:
            self.refused.pop((one, prefix), None)
            self.accepted[one, prefix] = SETS[one][which]

    @rule(one=nodes, prefixes=prefixes, which=which)
    def refuse(self, one: Source, prefixes: list[bytes], which: int) -> None:
        refused = Refused(SETS[one][which], "next-hop-not-own")
        self.table.refuse(one, prefixes, refused)
        for prefix in prefixes:
            self.accepted.pop((one, prefix), None)
            self.refused[one, prefix] = refused

    @rule(one=nodes, prefixes=prefixes)
    def withdraw(self, one: Source, prefixes: list[bytes]) -> None:
        self.table.withdraw(one, prefixes)
        for prefix in prefixes:
            self.accepted.pop((one, prefix), None)
            self.refused.pop((one, prefix), None)

    @rule(one=nodes)
    def drop(self, one: Source) -> None:
        self.table.drop(one)
        for model in (self.accepted, self.refused):
            for key in [key for key in model if key[0] is one]:
                del model[key]

    @rule()
    def changes_applied_in_order_give_the_present_state(self) -> None:
        for source, prefixes, attributes in self.table.take_changes():
            assert prefixes
            for prefix in prefixes:
                if attributes is None:
                    del self.replayed[source, prefix]
                else:
                    self.replayed[source, prefix] = attributes
        assert self.replayed == self.accepted
        assert self.table.take_changes() == []

    @invariant()
    def every_view_is_the_models(self) -> None:
        for one in NODES:
            own = {prefix: a for (source, prefix), a in self.accepted.items() if source is one}
            no = {prefix: r for (source, prefix), r in self.refused.items() if source is one}
            assert self.table.adj_rib_in(one) == own
            assert self.table.refused(one) == no
            assert self.table.count(one) == len(own) + len(no)
            assert (one in self.table.sources()) == bool(own)
        assert self.table.path_count() == len(self.accepted)
        by_prefix = {p: {s: a for (s, q), a in self.accepted.items() if q == p} for _, p in self.accepted}
        assert self.table.prefixes == by_prefix
        assert all(self.table.paths(prefix) == by_prefix.get(prefix, {}) for prefix in PREFIXES)


TestAnySequenceOfWhatNodesSay = _AnySequence.TestCase
TestAnySequenceOfWhatNodesSay.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def table_with(one: Source, *prefixes: bytes) -> Table:
    """A table in which a node has these, already taken note of."""
    table = Table(Family.IPV4)
    table.announce(one, list(prefixes), SETS[one][0])
    table.take_changes()
    return table


def test_the_same_again_changes_nothing() -> None:
    """MetalLB announces all anew when its settings change; what is the same costs the router nothing."""
    table = table_with(NODES[0], *PREFIXES)
    table.announce(NODES[0], PREFIXES, SETS[NODES[0]][0])
    assert table.take_changes() == []


def test_only_what_differs_is_a_change() -> None:
    """A run of prefixes with one new among them is one change of one prefix."""
    one = NODES[0]
    table = table_with(one, *PREFIXES[:3])
    table.announce(one, PREFIXES, SETS[one][0])
    assert table.take_changes() == [(one, PREFIXES[3:], SETS[one][0])]


def test_a_withdrawal_of_what_is_not_there_is_nothing() -> None:
    """A withdrawal twice, or from a node that never announced."""
    table = table_with(NODES[0], PREFIXES[0])
    table.withdraw(NODES[0], [PREFIXES[1]])
    table.withdraw(NODES[1], PREFIXES)
    table.drop(NODES[2])
    assert table.take_changes() == []


def test_a_refused_path_takes_the_accepted_one_with_it() -> None:
    """What a node says of a prefix replaces what it said before, also where it may not."""
    table = table_with(NODES[0], PREFIXES[0])
    table.refuse(NODES[0], [PREFIXES[0]], Refused(SETS[NODES[0]][1], "as-loop"))
    assert table.take_changes() == [(NODES[0], [PREFIXES[0]], None)]
    assert table.count(NODES[0]) == 1
