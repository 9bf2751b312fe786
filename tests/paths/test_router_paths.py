"""What each session of one router is sent: modes that change, sessions that fall, paths that must not be told."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from speaker.bgp.iana import Family
from speaker.bgp.opening import GracefulRestart, Negotiated
from speaker.paths.base import ModeName, NotPlaced
from speaker.paths.router import ONLY_PATH, RouterPaths
from speaker.rib.reflection import Stance, Withheld
from speaker.rib.source import Source
from speaker.rib.table import Table
from tests.paths.receiver import Receiver, negotiated
from tests.paths.world import host_routes, paths_of, source

PREFIXES = host_routes(20)
P = PREFIXES[0]
NODES = [source(number) for number in range(1, 5)]
NO_ADVERTISE = bytes.fromhex("ffffff02")
PLAIN, MANY = negotiated(), negotiated(add_path=True)


class Lab:
    """One router with its sessions, and the table."""

    def __init__(self, lanes: int = 1, mode: ModeName | None = None, max_paths: int | None = None) -> None:
        self.tables = {family: Table(family) for family in Family}
        self.router = RouterPaths(self.tables, lanes, mode, max_paths)
        self.sessions: dict[int, Receiver] = {}

    def up(self, lane: int, agreed: Negotiated, **stance: object) -> None:
        """A session comes up and reads all it is sent."""
        self.sessions[lane] = Receiver(agreed)
        self.router.session_up(lane, agreed, Stance(64512, b"\1\1\1\1", ibgp=True, as4=True, max_size=4096, **stance))
        self.read()

    def down(self, lane: int) -> None:
        """A session is gone."""
        del self.sessions[lane]
        self.router.session_down(lane)
        self.read()

    def announce(self, node: Source, *prefixes: bytes, quiet: bool = False) -> None:
        """A node has these; `quiet` is NO_ADVERTISE."""
        attributes = paths_of(node).but(communities=(NO_ADVERTISE,) if quiet else ())
        self.tables[Family.IPV4].announce(node, list(prefixes), attributes)
        self.flush()

    def withdraw(self, node: Source, *prefixes: bytes) -> None:
        """A node has these no more."""
        self.tables[Family.IPV4].withdraw(node, prefixes)
        self.flush()

    def flush(self) -> None:
        """The router hears of it."""
        self.router.apply({family: table.take_changes() for family, table in self.tables.items()})
        self.read()

    def read(self) -> None:
        """Every session reads whole messages."""
        for lane, session in self.sessions.items():
            while octets := self.router.take(lane, 1):
                session.feed(octets)

    def next_hops(self, prefix: bytes) -> list[object]:
        """What the router could use for a prefix."""
        return [a["next_hop"] for s in self.sessions.values() for (_, _, p), a in s.held.items() if p == prefix]


def full(**settings: object) -> Lab:
    """A router not yet up, and four nodes with all prefixes."""
    lab = Lab(**settings)
    for node in NODES:
        lab.announce(node, *PREFIXES)
    return lab


@pytest.mark.parametrize(
    ("lanes", "agreed", "mode", "next_hops"),
    [
        (1, MANY, ModeName.ADDPATH, 4),
        (1, PLAIN, ModeName.SPREAD, 1),
        (3, PLAIN, ModeName.LANES, 3),
        (3, MANY, ModeName.ADDPATH, 4),
    ],
)
def test_what_the_router_offers_decides_how_many_next_hops_it_gets(
    lanes: int, agreed: Negotiated, mode: ModeName, next_hops: int
) -> None:
    """Four nodes, and nothing but the number of lines configured."""
    lab = full(lanes=lanes)
    for lane in range(lanes):
        lab.up(lane, agreed)
    assert lab.router.choices()[Family.IPV4].mode is mode
    assert {len(set(lab.next_hops(prefix))) for prefix in PREFIXES} == {next_hops}


def test_the_mode_is_chosen_anew_when_the_router_comes_back_with_another_offer() -> None:
    """The router is upgraded and takes ADD-PATH now; and back again."""
    lab = full()
    for agreed, next_hops in ((PLAIN, 1), (MANY, 4), (PLAIN, 1)):
        lab.up(0, agreed)
        assert len(lab.next_hops(P)) == next_hops
        lab.down(0)


def test_a_mode_that_changes_leaves_a_session_with_what_it_should_have() -> None:
    """Lane 0 takes ADD-PATH and has all; lane 1 does not, so both are lanes now: what was too much is withdrawn."""
    lab = full(lanes=2)
    lab.up(0, MANY)
    assert len(lab.next_hops(P)) == 4
    lab.up(1, PLAIN)
    assert lab.router.choices()[Family.IPV4].mode is ModeName.LANES
    assert {path_id for _, path_id, _ in lab.sessions[0].held} == {ONLY_PATH}
    assert all(len(lab.next_hops(prefix)) == len(set(lab.next_hops(prefix))) == 2 for prefix in PREFIXES)


@pytest.mark.parametrize(("lanes", "agreed"), [(1, PLAIN), (1, MANY), (3, PLAIN)])
def test_a_session_that_comes_back_is_sent_what_it_had(lanes: int, agreed: Negotiated) -> None:
    """A restart of the router's speaker, with nothing changed meanwhile."""
    lab = full(lanes=lanes)
    for lane in range(lanes):
        lab.up(lane, agreed)
    before = dict(lab.sessions[0].held)
    lab.down(0)
    lab.up(0, agreed)
    assert lab.sessions[0].held == before


@pytest.mark.parametrize("mode", [ModeName.ADDPATH, ModeName.SPREAD, ModeName.LANES])
@pytest.mark.parametrize("max_paths", [None, 1, 2])
@pytest.mark.parametrize("agreed", [PLAIN, MANY])
def test_any_mode_works_over_any_number_of_sessions(mode: ModeName, max_paths: int | None, agreed: Negotiated) -> None:
    """Three sessions come up and fall one by one: while one is up every prefix has a next hop."""
    lab = full(lanes=3, mode=mode, max_paths=max_paths)
    for lane in (2, 0, 1):
        lab.up(lane, agreed)
        assert all(lab.next_hops(prefix) for prefix in PREFIXES)
    assert len(lab.next_hops(P)) <= (max_paths or 4)
    for lane in (0, 2):
        lab.down(lane)
        assert all(lab.next_hops(prefix) for prefix in PREFIXES)
    lab.down(1)
    assert lab.router.where(Family.IPV4, P) == dict.fromkeys(NODES, NotPlaced.SESSION_DOWN)


def quiet_then_not() -> Iterator[tuple[str, Lab]]:
    """n1's path must not be told; then n2 has the prefix, n1 has it no more, and n1 has it again and may be told."""
    lab = Lab()
    lab.up(0, PLAIN)
    lab.announce(NODES[0], P, quiet=True)
    yield "quiet", lab
    lab.withdraw(NODES[0], P)
    lab.announce(NODES[1], P)
    lab.announce(NODES[0], P)
    yield "told", lab


def test_why_a_path_is_kept_from_the_router_is_named_while_it_is_so() -> None:
    """`onepeer routes` says community-no-advertise, and does not when the path came back without it."""
    steps = quiet_then_not()
    _, lab = next(steps)
    assert lab.next_hops(P) == []
    assert lab.router.where(Family.IPV4, P) == {NODES[0]: Withheld.NO_ADVERTISE}
    next(steps)
    assert len(lab.next_hops(P)) == 1
    assert set(lab.router.where(Family.IPV4, P).values()) == {0, NotPlaced.ONE_PATH}


def test_end_of_rib_comes_after_the_routes_and_once() -> None:
    """RFC 4724 2, for each family; a session that comes later is told too."""
    lab = full(lanes=2)
    lab.up(0, PLAIN)
    lab.router.end_of_rib()
    lab.read()
    lab.up(1, PLAIN)
    assert lab.sessions[1].ends == []
    lab.router.end_of_rib()
    lab.read()
    assert sorted(lab.sessions[0].ends, key=str) == sorted(lab.sessions[1].ends, key=str) == list(Family)


def test_end_of_rib_is_repeated_only_to_a_router_that_may_keep_several_stale_paths() -> None:
    """FRR 8.4.4 drops one stale path of a prefix with each; nodes that left during our restart would stay."""
    kept = GracefulRestart(120, restarting=False, notification=True, families=(Family.IPV4,))
    lab = full(lanes=3)
    for lane, agreed in enumerate((replace(MANY, graceful=kept), MANY, replace(PLAIN, graceful=kept))):
        lab.up(lane, agreed)
    assert [lab.router.may_keep_stale(lane) for lane in range(3)] == [True, False, False]
    lab.router.end_of_rib()
    lab.read()
    lab.router.repeat_end_of_rib(0)
    lab.read()
    assert lab.sessions[0].ends.count(Family.IPV4) == 2


def test_a_family_that_the_router_does_not_speak_is_not_sent() -> None:
    """IPv4 alone is agreed on."""
    lab = Lab()
    lab.tables[Family.IPV6].announce(NODES[0], [b"\0"], paths_of(NODES[0]).but(next_hop=bytes(16)))
    lab.up(0, negotiated(families=(Family.IPV4,)))
    lab.flush()
    assert lab.sessions[0].held == {}
    assert set(lab.router.choices()) == {Family.IPV4}
    assert lab.router.where(Family.IPV6, b"\0") == {NODES[0]: NotPlaced.SESSION_DOWN}


def test_communities_that_are_stripped_now_are_not_seen_any_more() -> None:
    """The settings change while the session is up."""
    lab = Lab()
    lab.up(0, PLAIN)
    community = b"\xfc\0\0\1"
    lab.tables[Family.IPV4].announce(NODES[0], [P], paths_of(NODES[0]).but(communities=(community,)))
    lab.flush()
    seen = [a["communities"] for a in lab.sessions[0].held.values()]
    lab.router.set_stance(0, Stance(64512, b"\1\1\1\1", True, True, 4096, frozenset((community,))))
    lab.read()
    assert seen == [(community,)]
    assert [a["communities"] for a in lab.sessions[0].held.values()] == [()]


def test_lanes_share_what_is_encoded() -> None:
    """Four nodes' attribute sets are encoded once each, not once a lane."""
    lab = full(lanes=3)
    for lane in range(3):
        lab.up(lane, PLAIN)
    outs = [lab.router.outs(lane)[Family.IPV4] for lane in range(3)]
    assert len({encoded for out in outs for encoded in out.sent[b""].values()}) == len(NODES)


def test_a_path_that_must_not_be_told_takes_no_lane() -> None:
    """Two lanes, three nodes, one of which says NO_ADVERTISE (RFC 1997): the other two have a lane each, and the reason
    stands with the third."""
    lab = Lab(lanes=2)
    for lane in (0, 1):
        lab.up(lane, PLAIN)
    for node in NODES[:3]:
        lab.announce(node, P, quiet=node is NODES[0])
    assert len(lab.next_hops(P)) == 2
    assert lab.router.where(Family.IPV4, P)[NODES[0]] is Withheld.NO_ADVERTISE
    lab.announce(NODES[1], P, quiet=True)
    assert len(lab.next_hops(P)) == 1
    assert NotPlaced.LANES_FULL not in lab.router.where(Family.IPV4, P).values()


@pytest.mark.parametrize(("lanes", "agreed"), [(1, PLAIN), (1, MANY), (3, PLAIN)])
def test_a_replica_that_goes_on_with_live_sessions_moves_nothing_and_withdraws_what_is_gone_in_the_end(
    lanes: int, agreed: Negotiated
) -> None:
    """Its own tables may lack what a node has not told it yet: nothing is withdrawn before they are whole."""
    old, new = full(lanes=lanes), full(lanes=lanes)
    for lane in range(lanes):
        old.up(lane, agreed)
    before = [dict(old.sessions[lane].held) for lane in range(lanes)]
    gone = next(node for node in NODES if node.address.packed in old.next_hops(P))
    new.withdraw(gone, P)
    new.router.gather()
    for lane in range(lanes):
        outs = old.router.outs(lane)
        held = {f: {i: {p: e.next_hop for p, e in sent.items()} for i, sent in o.sent.items()} for f, o in outs.items()}
        new.router.session_up(lane, agreed, Stance(64512, b"\1\1\1\1", ibgp=True, as4=True, max_size=4096))
        new.router.inherit(lane, held, told_end=True)
    new.router.gathered(whole=False)
    new.sessions = old.sessions
    new.read()
    rest = [{key: a for key, a in session.items() if key[2] != P} for session in before]
    for lane in range(lanes):
        assert {key: a for key, a in new.sessions[lane].held.items() if key[2] != P} == rest[lane]
    new.router.end_of_rib()
    new.read()
    assert gone.address.packed not in new.next_hops(P)
    assert len(new.next_hops(P)) == (3 if agreed is MANY else lanes)
    assert not any(session.ends for session in new.sessions.values())


def test_a_path_that_must_not_be_told_takes_no_place_from_one_that_may() -> None:
    """The first that is met of its kind, on the same prefix and a moment later."""
    lab = Lab(lanes=2)
    lab.up(0, PLAIN)
    lab.announce(NODES[1], P)
    lab.announce(NODES[0], P, quiet=True)
    assert len(lab.next_hops(P)) == 1
    lab.announce(NODES[0], PREFIXES[1], quiet=True)
    lab.announce(NODES[1], PREFIXES[1])
    assert len(lab.next_hops(PREFIXES[1])) == 1
