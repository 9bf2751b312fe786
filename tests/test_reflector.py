"""The whole way of the data: whatever nodes and routers do, what each router holds is what the nodes have said.

nodes             Reflector             routers
n1 10.0.0.1   ->                  ->    all       iBGP, ADD-PATH
n2 10.0.0.2   ->                  ->    two       iBGP, ADD-PATH, max_paths 2
n3 10.0.0.3   ->                  ->    lanes     iBGP, three sessions
n4 (eBGP)     ->                  ->    spread    iBGP, one plain session
                                  ->    beyond    eBGP, ADD-PATH
"""

from dataclasses import dataclass
from ipaddress import ip_network

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from speaker.bgp import nlri
from speaker.bgp.attributes import Attributes, Segment
from speaker.bgp.events import Announced, Withdrawn
from speaker.bgp.iana import Family, SegmentType
from speaker.reflector import Reflector
from speaker.rib.decide import equal_cost
from speaker.rib.guard import Guard, Reason
from speaker.rib.reflection import Stance, Withheld, export
from speaker.rib.source import Source
from tests.paths.receiver import Receiver, negotiated, values
from tests.rib.paths import OURS, node, octets

OUR_ID = octets("10.255.0.1")
HOPS = {n: (f"2001:db8::{n}",) for n in range(1, 5)}
NODES = [node(f"10.0.0.{n}", asn=OURS if n < 4 else 65004, next_hops=HOPS[n]) for n in range(1, 5)]
INSIDE = ["192.168.30.1/32", "192.168.30.2/32", "2001:db8:30::1/128"]
SOMETIMES = ["192.168.40.1/32", "2001:db8:40::1/128"]
NEVER = ["8.8.8.8/32"]
POOLS = (["192.168.30.0/24", "2001:db8:30::/64"], ["192.168.0.0/16", "2001:db8::/32"])
NO_ADVERTISE = bytes.fromhex("ffffff02")


@dataclass(frozen=True)
class Router:
    """A router as it is configured."""

    lanes: int = 1
    add_path: bool = False
    ibgp: bool = True
    max_paths: int | None = None


ROUTERS = {
    "all": Router(add_path=True),
    "two": Router(add_path=True, max_paths=2),
    "lanes": Router(lanes=3),
    "spread": Router(),
    "beyond": Router(add_path=True, ibgp=False),
}


def guard(pools: list[str]) -> Guard:
    """The guard with these prefixes."""
    return Guard([ip_network(pool) for pool in pools], OURS, OUR_ID, OUR_ID)


def stance(router: Router) -> Stance:
    """How we stand to a router."""
    return Stance(OURS, OUR_ID, ibgp=router.ibgp, as4=True, max_size=4096)


def wire(prefix: str) -> tuple[Family, bytes]:
    """A prefix as the tables have it."""
    network = ip_network(prefix)
    return (Family.IPV4 if network.version == 4 else Family.IPV6), nlri.from_network(network)


class _AnySequence(RuleBasedStateMachine):
    """`said` is the model: what each node that is up or held has said last of each prefix. `lost` are those whose
    session is lost, `stale` what they have not said again since."""

    def __init__(self) -> None:
        super().__init__()
        self.pools = POOLS[0]
        self.reflector = Reflector(guard(self.pools))
        self.said: dict[Source, dict[tuple[Family, bytes], Attributes]] = {}
        self.lost: set[Source] = set()
        self.stale: dict[Source, set[tuple[Family, bytes]]] = {}
        self.sessions: dict[tuple[str, int], Receiver] = {}
        for name, router in ROUTERS.items():
            self.reflector.add_router(name, router.lanes, None, router.max_paths)

    # --- what happens ---

    @initialize(up=st.sets(st.sampled_from(NODES)), routers=st.sets(st.sampled_from(list(ROUTERS))))
    def start(self, up: set[Source], routers: set[str]) -> None:
        for one in sorted(up, key=str):
            self.node_up_or_down(one)
        for name in sorted(routers):
            for lane in range(ROUTERS[name].lanes):
                self.toggle(name, lane)

    @rule(one=st.sampled_from(NODES))
    def node_up_or_down(self, one: Source) -> None:
        if one in self.lost:
            self.lost.remove(one)
            self.reflector.node_up(one, one.address.packed)
        elif one in self.said:
            del self.said[one]
            self.stale.pop(one, None)
            self.reflector.node_down(one)
        else:
            self.said[one] = {}
            self.reflector.node_up(one, one.address.packed)

    @precondition(lambda self: self.up())
    @rule(data=st.data())
    def node_lost(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.up()))
        self.lost.add(one)
        self.stale[one] = set(self.said[one])
        self.reflector.node_lost(one)

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), but_last=st.booleans())
    def stale_paths_go(self, data: st.DataObject, but_last: bool) -> None:
        one = data.draw(st.sampled_from(list(self.stale)))
        model = self.accepted()
        going = {path for path in self.stale[one] if not (but_last and model.get(path, {}).keys() == {one})}
        self.said[one] = {path: said for path, said in self.said[one].items() if path not in going}
        self.stale[one] -= going
        assert self.reflector.drop_stale(one, but_last=but_last) == len(going)
        assert but_last or one not in self.reflector.stale

    def up(self) -> list[Source]:
        return [one for one in self.said if one not in self.lost]

    @precondition(lambda self: self.up())
    @rule(
        data=st.data(),
        prefix=st.sampled_from(INSIDE + SOMETIMES + NEVER),
        longer=st.integers(0, 1),
        foreign=st.sampled_from([False, False, False, True]),
        quiet=st.sampled_from([False, False, False, True]),
    )
    def announce(self, data: st.DataObject, prefix: str, longer: int, foreign: bool, quiet: bool) -> None:
        one = data.draw(st.sampled_from(self.up()))
        family, octets_ = wire(prefix)
        own = one.address.packed if family is Family.IPV4 else octets(next(h for h in HOPS[NODES.index(one) + 1]))
        asns = (65004,) * (longer + (not one.ibgp))
        attributes = Attributes(
            bytes(len(own)) if foreign else own,
            as_path=(Segment(SegmentType.AS_SEQUENCE, asns),) if asns else (),
            communities=(NO_ADVERTISE,) if quiet else (),
        )
        self.said[one][family, octets_] = attributes
        self.stale.get(one, set()).discard((family, octets_))
        self.reflector.announced(one, Announced(family, attributes, [octets_]))

    @precondition(lambda self: self.up())
    @rule(data=st.data(), prefix=st.sampled_from(INSIDE + SOMETIMES + NEVER))
    def withdraw(self, data: st.DataObject, prefix: str) -> None:
        one = data.draw(st.sampled_from(self.up()))
        family, octets_ = wire(prefix)
        self.stale.get(one, set()).discard((family, octets_))
        self.said[one].pop((family, octets_), None)
        self.reflector.withdrawn(one, Withdrawn(family, [octets_]))

    @rule(pools=st.sampled_from(POOLS))
    def other_guard(self, pools: list[str]) -> None:
        self.pools = pools
        self.reflector.set_guard(guard(pools))

    @rule(name=st.sampled_from(list(ROUTERS)), data=st.data())
    def session_up_or_down(self, name: str, data: st.DataObject) -> None:
        self.toggle(name, data.draw(st.integers(0, ROUTERS[name].lanes - 1)))

    def toggle(self, name: str, lane: int) -> None:
        router = ROUTERS[name]
        if self.sessions.pop((name, lane), None) is not None:
            self.reflector.routers[name].session_down(lane)
            return
        agreed = negotiated(ibgp=router.ibgp, add_path=router.add_path)
        self.sessions[name, lane] = Receiver(agreed)
        self.reflector.routers[name].session_up(lane, agreed, stance(router))

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), family=st.sampled_from(Family))
    def refresh(self, data: st.DataObject, family: Family) -> None:
        name, lane = data.draw(st.sampled_from(list(self.sessions)))
        self.reflector.routers[name].refresh(lane, family)

    @rule()
    def more_is_to_come(self) -> None:
        self.reflector.flush(more=True)

    @rule(budget=st.sampled_from([1, 100, 1 << 20]))
    def routers_read(self, budget: int) -> None:
        self.reflector.flush()
        for (name, lane), session in self.sessions.items():
            while octets_ := self.reflector.routers[name].take(lane, budget):
                session.feed(octets_)
            assert self.reflector.routers[name].idle(lane)
        self.compare()

    # --- what must be so ---

    @invariant()
    def every_path_is_counted(self) -> None:
        for one in NODES:
            stale = self.stale.get(one, set())
            assert self.reflector.path_count(one) == len(self.said.get(one, ())) - len(stale)
            assert self.reflector.stale.count(one) == len(stale)
            assert (one in self.reflector.stale) == bool(stale)

    def accepted(self) -> dict[tuple[Family, bytes], dict[Source, Attributes]]:
        """By the model: prefixes in the pools, next hops of the node."""
        allowed = [ip_network(pool) for pool in self.pools]
        found: dict[tuple[Family, bytes], dict[Source, Attributes]] = {}
        for one, paths in self.said.items():
            for (family, prefix), attributes in paths.items():
                network = nlri.to_network(prefix, family)
                inside = any(n.version == network.version and network.subnet_of(n) for n in allowed)
                if inside and attributes.next_hop in one.next_hops:
                    originator = one.address.packed if one.ibgp else None
                    found.setdefault((family, prefix), {})[one] = attributes.but(originator_id=originator)
        return found

    def compare(self) -> None:
        model = self.accepted()
        for (name, lane), session in self.sessions.items():
            router = ROUTERS[name]
            for (family, path_id, prefix), read in session.held.items():
                exported = [export(one, a, stance(router)) for one, a in model[family, prefix].items()]
                assert read in [values(a) for a in exported if isinstance(a, Attributes)]
                senders = [one for one in model[family, prefix] if one.path_id == path_id]
                assert not router.add_path or senders
            assert lane < router.lanes
        for name, router in ROUTERS.items():
            self.compare_router(name, router, model)

    def compare_router(self, name: str, router: Router, model: dict) -> None:
        sessions = {lane: s for (owner, lane), s in self.sessions.items() if owner == name}
        for (family, prefix), paths in model.items() if sessions else ():
            held = [(lane, *key) for lane, session in sessions.items() for key in session.held]
            sent = [(lane, path_id) for lane, f, path_id, p in held if (f, p) == (family, prefix)]
            sendable = {one for one, a in paths.items() if not isinstance(export(one, a, stance(router)), Withheld)}
            places = self.reflector.routers[name].where(family, prefix)
            assert set(places) == set(paths)
            assert sorted(p for p in places.values() if isinstance(p, int)) == sorted(lane for lane, _ in sent)
            assert all((place is Withheld.NO_ADVERTISE) == (one not in sendable) for one, place in places.items())
            if router.add_path and router.max_paths is None:
                assert sorted(path_id for _, path_id in sent) == sorted(one.path_id for one in sendable)
            else:
                seen = {one: a for one, a in paths.items() if one in sendable}
                usable = seen if router.add_path else equal_cost(seen)
                at_most = router.max_paths or len(sessions)
                assert len(sent) == min(at_most, len({a.next_hop for a in usable.values()}))


TestWhatARouterHoldsIsWhatTheNodesHaveSaid = _AnySequence.TestCase
TestWhatARouterHoldsIsWhatTheNodesHaveSaid.settings = settings(
    max_examples=max(60, settings.default.max_examples), stateful_step_count=40, deadline=None
)


N1 = NODES[0]
V4, P1 = wire(INSIDE[0])
_, P2 = wire(INSIDE[1])
_, OUTSIDE = wire(SOMETIMES[0])


def reflector_with(one: Source = N1) -> Reflector:
    """A reflector with one node up, and the narrow guard."""
    reflector = Reflector(guard(POOLS[0]))
    reflector.node_up(one, octets("9.9.9.9"))
    return reflector


def own(one: Source) -> Attributes:
    """What a node may announce."""
    return Attributes(one.address.packed, as_path=() if one.ibgp else (Segment(SegmentType.AS_SEQUENCE, (one.asn,)),))


def test_what_is_refused_is_told_with_reason_count_and_an_example() -> None:
    """The log and the metrics say it in these words."""
    reflector = reflector_with()
    (outside,) = reflector.announced(N1, Announced(V4, own(N1), [OUTSIDE, P1]))
    assert outside == (N1, Reason.PREFIX, 1, "192.168.40.1/32")
    (foreign,) = reflector.announced(N1, Announced(V4, own(NODES[1]), [P1, P2]))
    assert foreign == (N1, Reason.NEXT_HOP, 2, "192.168.30.1/32")
    assert reflector.tables[V4].path_count() == 0
    assert reflector.path_count(N1) == 3


def test_a_guard_that_widens_lets_in_what_was_refused() -> None:
    """MetalLB's native speaker has no route refresh: the node is not asked again. And back again."""
    reflector = reflector_with()
    reflector.announced(N1, Announced(V4, own(N1), [P1, OUTSIDE]))
    assert reflector.set_guard(guard(POOLS[1])) == []
    assert set(reflector.tables[V4].adj_rib_in(N1)) == {P1, OUTSIDE}
    assert [(r.reason, r.paths) for r in reflector.set_guard(guard(POOLS[0]))] == [(Reason.PREFIX, 1)]
    assert set(reflector.tables[V4].adj_rib_in(N1)) == {P1}


def test_a_guard_that_changes_nothing_moves_nothing() -> None:
    """Settings are read again; no router hears of it."""
    reflector = reflector_with()
    reflector.announced(N1, Announced(V4, own(N1), [P1, P2]))
    reflector.flush()
    reflector.set_guard(guard(POOLS[1]))
    assert not reflector.flush()


def test_only_routers_with_few_paths_wait_for_more() -> None:
    """ADD-PATH has every path at once; with one line a node is chosen when all is there."""
    reflector = reflector_with()
    for name, add_path in (("all", True), ("spread", False)):
        agreed = negotiated(ibgp=True, add_path=add_path)
        reflector.add_router(name, 1, None, None).session_up(0, agreed, stance(ROUTERS[name]))
    many, one = reflector.routers["all"], reflector.routers["spread"]
    reflector.announced(N1, Announced(V4, own(N1), [P1]))
    assert reflector.change_count() == 1
    reflector.flush(more=True)
    assert (many.idle(0), one.idle(0), reflector.waits(), reflector.change_count()) == (False, True, True, 0)
    reflector.flush()
    assert (one.idle(0), reflector.waits()) == (False, False)


@pytest.mark.parametrize(("one", "originator"), [(N1, octets("9.9.9.9")), (NODES[3], None)])
def test_a_path_carries_the_bgp_identifier_of_its_node(one: Source, originator: bytes | None) -> None:
    """RFC 4456 8: ORIGINATOR_ID is that of the speaker the path is from, over iBGP only."""
    reflector = reflector_with(one)
    reflector.announced(one, Announced(V4, own(one), [P1]))
    assert reflector.tables[V4].paths(P1)[one].originator_id == originator


def test_an_originator_that_is_there_already_is_kept() -> None:
    """The node is a reflector itself."""
    reflector = reflector_with()
    reflector.announced(N1, Announced(V4, own(N1).but(originator_id=octets("1.2.3.4")), [P1]))
    assert reflector.tables[V4].paths(P1)[N1].originator_id == octets("1.2.3.4")


def test_a_node_that_comes_back_under_another_identifier_carries_the_new_one() -> None:
    """Nothing of the old session is remembered."""
    reflector = reflector_with()
    attributes = own(N1)
    reflector.announced(N1, Announced(V4, attributes, [P1]))
    reflector.node_down(N1)
    assert reflector.tables[V4].prefixes == {}
    reflector.node_up(N1, octets("8.8.8.8"))
    reflector.announced(N1, Announced(V4, attributes, [P1]))
    assert reflector.tables[V4].paths(P1)[N1].originator_id == octets("8.8.8.8")


def test_what_a_node_says_again_after_its_session_was_lost_is_no_change() -> None:
    """The routers' side is not even asked: the table keeps the set it had."""
    reflector = reflector_with()
    reflector.announced(N1, Announced(V4, own(N1), [P1, P2]))
    reflector.flush()
    reflector.node_lost(N1)
    reflector.node_up(N1, octets("9.9.9.9"))
    reflector.announced(N1, Announced(V4, own(N1), [P1, P2]))
    assert reflector.change_count() == 0
    assert not reflector.stale


def test_a_path_that_comes_back_otherwise_is_a_change() -> None:
    """Nothing of what was held hides what the node says now."""
    reflector = reflector_with()
    reflector.announced(N1, Announced(V4, own(N1), [P1]))
    reflector.node_lost(N1)
    reflector.node_up(N1, octets("9.9.9.9"))
    reflector.announced(N1, Announced(V4, own(N1).but(med=7), [P1]))
    assert reflector.tables[V4].paths(P1)[N1].med == 7


def test_max_prefixes_does_not_count_what_a_restarted_node_has_not_said_again() -> None:
    """A node with other services than before its restart is not taken for one with twice as many."""
    reflector = reflector_with()
    reflector.announced(N1, Announced(V4, own(N1), [P1]))
    reflector.node_lost(N1)
    reflector.node_up(N1, octets("9.9.9.9"))
    reflector.announced(N1, Announced(V4, own(N1), [P2]))
    assert reflector.path_count(N1) == 1
