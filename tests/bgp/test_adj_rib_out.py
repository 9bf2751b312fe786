"""Whatever is wished for, a router that reads the octets holds it at the end, and never more than whole messages say.

The router here is a naive one: it parses UPDATEs by hand (bgp_wire.py) and keeps a dict.
"""

from collections.abc import Callable
from typing import Any

import pytest
from bgp_wire import (
    HOP4,
    HOP6,
    IPV4,
    IPV6,
    ORIGIN,
    ROUTE_REFRESH,
    UPDATE,
    as_path,
    attribute,
    parse_update,
    split,
    update,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from speaker.bgp.attributes import Encoded
from speaker.bgp.iana import Family
from speaker.bgp.update import AdjRibOut

PATH_IDS = [bytes.fromhex(text) for text in ("c0a8031f", "c0a80320", "00000001")]
FAMILIES = {Family.IPV4: IPV4, Family.IPV6: IPV6}


def encoded(family: Family, number: int, size: int = 0) -> Encoded:
    """An attribute set that is told from others by its MED, `size` octets longer than it need be."""
    field = ORIGIN + as_path(65010) + attribute(0x80, 4, number.to_bytes(4, "big"))
    field += attribute(0xD0, 8, bytes(4 * (size // 4))) if size else b""
    if family is Family.IPV4:
        return Encoded(field + attribute(0x40, 3, HOP4), HOP4)
    return Encoded(field, HOP6)


SETS = {family: [encoded(family, number, size) for number, size in enumerate((0, 0, 1000))] for family in Family}


def prefix(family: Family, number: int) -> bytes:
    """The host routes 192.168.0.1 or fd00::1 and up; every eleventh is a shorter prefix."""
    network = b"\xc0\xa8" if family is Family.IPV4 else b"\xfd" + bytes(13)
    if number % 11 == 10:
        return bytes((8 * len(network) + 8,)) + network + bytes((number // 11 % 256,))
    return bytes((family.bits,)) + network + number.to_bytes(2, "big")


class NaiveRouter:
    """What a router holds: the path with the next hop and attributes of the last UPDATE that named it."""

    def __init__(self, family: Family, id_size: int, max_size: int) -> None:
        self.family, self.id_size, self.max_size = family, id_size, max_size
        self.held: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}
        self.stale: set[tuple[bytes, bytes]] = set()
        self.told: list[str] = []

    def read(self, octets: bytes) -> None:
        for one in split(octets):
            assert len(one) <= self.max_size
            if one[18] == ROUTE_REFRESH:
                self._mark(one[19:])
            elif one == END_OF_RIB[self.family]:
                self.told.append("end-of-rib")
            else:
                assert one[18] == UPDATE
                self._update(one)

    def _mark(self, body: bytes) -> None:
        """RFC 7313 4: between BoRR and EoRR all is sent again."""
        assert (body[:2] + body[3:], body[2]) in ((FAMILIES[self.family], 1), (FAMILIES[self.family], 2))
        if body[2] == 1:
            self.stale = set(self.held)
        else:
            assert not self.stale
        self.told.append("begin" if body[2] == 1 else "end")

    def _update(self, one: bytes) -> None:
        said = parse_update(one, self.id_size)
        assert said.family == FAMILIES[self.family]
        assert said.announced or said.withdrawn
        for path in said.withdrawn:
            del self.held[path]
            self.stale.discard(path)
        for path in said.announced:
            self.held[path] = said.next_hop, said.attributes
            self.stale.discard(path)


END_OF_RIB = {
    Family.IPV4: update(),
    Family.IPV6: update(attribute(0x90, 15, IPV6)),
}

numbers = st.lists(st.integers(0, 30), min_size=1, max_size=8, unique=True)


class AnyWishes(RuleBasedStateMachine):
    """Announcements, withdrawals, refreshes and partial writes in any order, against one dict."""

    @initialize(
        family=st.sampled_from(list(Family)), add_path=st.booleans(), max_size=st.sampled_from([1300, 4096, 65535])
    )
    def begin(self, family: Family, add_path: bool, max_size: int) -> None:
        self.family = family
        self.path_ids = PATH_IDS if add_path else [b""]
        self.rib = AdjRibOut(family, max_size)
        self.router = NaiveRouter(family, 4 if add_path else 0, max_size)
        self.wished: dict[tuple[bytes, bytes], Encoded] = {}
        self.named: set[tuple[bytes, bytes]] = set()
        self.again: set[tuple[bytes, bytes]] = set()

    def paths(self, which: int, numbers: list[int]) -> tuple[bytes, list[bytes]]:
        path_id = self.path_ids[which % len(self.path_ids)]
        prefixes = [prefix(self.family, number) for number in numbers]
        self.named.update((path_id, one) for one in prefixes)
        return path_id, prefixes

    @rule(which=st.integers(0, 2), numbers=numbers, attributes=st.integers(0, 2))
    def announce(self, which: int, numbers: list[int], attributes: int) -> None:
        path_id, prefixes = self.paths(which, numbers)
        self.rib.announce(path_id, prefixes, SETS[self.family][attributes])
        self.wished.update(((path_id, one), SETS[self.family][attributes]) for one in prefixes)

    @rule(which=st.integers(0, 2), numbers=numbers)
    def withdraw(self, which: int, numbers: list[int]) -> None:
        path_id, prefixes = self.paths(which, numbers)
        self.rib.withdraw(path_id, prefixes)
        for one in prefixes:
            self.wished.pop((path_id, one), None)

    @rule()
    def withdraw_all(self) -> None:
        self.rib.withdraw_all()
        self.wished.clear()

    @rule()
    def end_of_rib(self) -> None:
        self.rib.end_of_rib()
        self.router.told.clear()

    @rule(enhanced=st.booleans())
    def refresh(self, enhanced: bool) -> None:
        self.rib.refresh(enhanced=enhanced)
        self.again = set(self.router.held)

    @rule(budget=st.integers(0, 3000))
    def take(self, budget: int) -> None:
        was_idle = self.rib.idle
        octets = self.rib.take(budget)
        assert not (was_idle and octets)
        self.router.read(octets)
        named = {
            path for one in split(octets) if one[18] == UPDATE for path in parse_update(one, self.router.id_size)[3]
        }
        self.again -= named
        if octets.endswith(END_OF_RIB[self.family]):
            assert self.router.held == self.should_hold()

    @invariant()
    def the_router_holds_what_counts_as_sent(self) -> None:
        if hasattr(self, "rib"):
            sent = {(path_id, one) for path_id, prefixes in self.rib.sent.items() for one in prefixes}
            assert sent == set(self.router.held)
            assert self.rib.sent_count() == len(sent)
            assert self.rib.pending_count() <= len(self.named)

    def should_hold(self) -> dict[tuple[bytes, bytes], tuple[bytes, bytes]]:
        return {path: (one.next_hop, one.attributes) for path, one in self.wished.items()}

    def teardown(self) -> None:
        if not hasattr(self, "rib"):
            return
        for _ in range(200):
            self.take(1000)
        assert self.rib.idle
        assert self.router.held == self.should_hold()
        assert not self.again & set(self.router.held)
        assert not self.router.stale


AnyWishes.TestCase.settings = settings(deadline=None, max_examples=200, stateful_step_count=30)
TestAnyWishes = AnyWishes.TestCase


def drained(rib: AdjRibOut, budget: int = 1 << 16) -> list[bytes]:
    """All the messages that are left to be sent."""
    out = b""
    while not rib.idle:
        out += rib.take(budget)
    return split(out)


@pytest.mark.parametrize("path_id", [b"", PATH_IDS[0]], ids=["one path each", "add-path"])
@pytest.mark.parametrize("max_size", [4096, 65535])
@pytest.mark.parametrize("family", Family, ids=str)
def test_a_table_is_packed_into_as_few_messages_as_it_takes(family: Family, max_size: int, path_id: bytes) -> None:
    """Full to the last prefix that fits, and never above what the router takes (RFC 8654)."""
    rib, router = AdjRibOut(family, max_size), NaiveRouter(family, len(path_id), max_size)
    table = [bytes((family.bits,)) + number.to_bytes(family.bits // 8, "big") for number in range(10_000)]
    attributes = encoded(family, 1)
    rib.announce(path_id, table, attributes)
    messages = drained(rib)
    router.read(b"".join(messages))
    assert set(router.held) == {(path_id, one) for one in table}
    one = len(path_id) + len(table[0])
    assert all(max_size - len(message) < one for message in messages[:-1])
    rib.withdraw(path_id, table)
    messages = drained(rib)
    router.read(b"".join(messages))
    assert not router.held
    assert all(max_size - len(message) < one for message in messages[:-1])


@pytest.mark.parametrize("family", Family, ids=str)
def test_the_largest_attributes_that_reflection_lets_through_leave_room_for_a_prefix(family: Family) -> None:
    """rib/reflection.py withholds a path with more than 4000 octets of them from a router that takes 4096."""
    rib, router = AdjRibOut(family, 4096), NaiveRouter(family, 4, 4096)
    attributes = encoded(family, 1, 3960 if family is Family.IPV4 else 3968)
    assert len(attributes.attributes) in (3991, 3992)
    rib.announce(PATH_IDS[0], [prefix(family, number) for number in range(30)], attributes)
    router.read(b"".join(drained(rib)))
    assert len(router.held) == 30


def test_what_replaces_a_path_is_sent_before_the_path_goes() -> None:
    """Within one write a node that takes a service over is there before the old one leaves."""
    rib = AdjRibOut(Family.IPV4, 4096)
    rib.announce(b"", [prefix(Family.IPV4, 1)], SETS[Family.IPV4][0])
    rib.take(1)
    rib.withdraw(b"", [prefix(Family.IPV4, 1)])
    rib.announce(b"", [prefix(Family.IPV4, 2)], SETS[Family.IPV4][0])
    first, second = (parse_update(one) for one in split(rib.take(1)))
    assert (first.announced, second.withdrawn) == ([(b"", prefix(Family.IPV4, 2))], [(b"", prefix(Family.IPV4, 1))])


def nothing_changed(rib: AdjRibOut, path: bytes) -> None:
    rib.withdraw(b"", [path])
    rib.announce(b"", [path], SETS[Family.IPV4][0])


def never_there(rib: AdjRibOut, path: bytes) -> None:
    rib.announce(b"", [prefix(Family.IPV4, 9)], SETS[Family.IPV4][0])
    rib.withdraw(b"", [prefix(Family.IPV4, 9)])


@pytest.mark.parametrize("happens", [nothing_changed, never_there])
def test_what_comes_back_before_it_is_written_costs_no_message(happens: Callable[[AdjRibOut, bytes], Any]) -> None:
    """The newest state of a path is what counts, not its history."""
    rib = AdjRibOut(Family.IPV4, 4096)
    rib.announce(b"", [prefix(Family.IPV4, 1)], SETS[Family.IPV4][0])
    rib.take(1)
    happens(rib, prefix(Family.IPV4, 1))
    assert rib.take(1 << 16) == b""
    assert rib.idle


@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize("withdrawn_first", [False, True])
def test_a_path_withdrawn_around_a_refresh_is_gone(enhanced: bool, withdrawn_first: bool) -> None:
    """Without RFC 7313 nothing but the withdrawal itself would tell the router."""
    rib, router = AdjRibOut(Family.IPV4, 4096), NaiveRouter(Family.IPV4, 0, 4096)
    rib.announce(b"", [prefix(Family.IPV4, 1), prefix(Family.IPV4, 2)], SETS[Family.IPV4][0])
    router.read(rib.take(1))
    if withdrawn_first:
        rib.withdraw(b"", [prefix(Family.IPV4, 1)])
    rib.refresh(enhanced=enhanced)
    if not withdrawn_first:
        rib.withdraw(b"", [prefix(Family.IPV4, 1)])
    router.read(b"".join(drained(rib)))
    assert set(router.held) == {(b"", prefix(Family.IPV4, 2))}
    assert router.told == (["begin", "end"] if enhanced else [])


def test_a_router_that_asks_faster_than_it_reads_costs_one_answer() -> None:
    """Ten thousand requests are answered by one table and one End-of-RIB."""
    rib = AdjRibOut(Family.IPV4, 4096)
    rib.announce(b"", [prefix(Family.IPV4, 1)], SETS[Family.IPV4][0])
    rib.take(1)
    for _ in range(10_000):
        rib.refresh(enhanced=True)
        rib.end_of_rib()
    assert [one[18] for one in drained(rib)] == [ROUTE_REFRESH, UPDATE, ROUTE_REFRESH, UPDATE]


@pytest.mark.parametrize("family", Family, ids=str)
def test_end_of_rib_comes_after_the_whole_table_in_however_many_writes(family: Family) -> None:
    """RFC 4724 2: a router that restarted us gracefully drops what has not come by then."""
    rib = AdjRibOut(family, 4096)
    for path_id in PATH_IDS:
        rib.announce(path_id, [prefix(family, number) for number in range(500)], SETS[family][0])
    rib.end_of_rib()
    messages = drained(rib, budget=1)
    assert messages.index(END_OF_RIB[family]) == len(messages) - 1


def test_a_write_is_as_long_as_the_budget_says_and_a_path_identifier_more() -> None:
    """What a slow router has not asked for stays a wish, so that memory is bounded by the table."""
    rib = AdjRibOut(Family.IPV4, 4096)
    for number in range(100):
        rib.announce(number.to_bytes(4, "big"), [prefix(Family.IPV4, n) for n in range(10)], SETS[Family.IPV4][0])
    longest = max(map(len, drained(rib)))
    rib.refresh(enhanced=False)
    while not rib.idle:
        assert len(rib.take(1000)) < 1000 + longest


@pytest.mark.parametrize("family", list(Family), ids=str)
def test_what_replaces_a_path_is_there_before_that_goes(family: Family) -> None:
    """With `max_paths` a node's path gives way to another's: the prefix has one at any moment, in whatever order
    the two were wished for."""
    out = AdjRibOut(family, 4096)
    old, new = PATH_IDS[:2]
    router = NaiveRouter(family, 4, 4096)
    out.announce(old, [prefix(family, 1)], SETS[family][0])
    router.read(out.take(4096))
    out.withdraw(old, [prefix(family, 1)])
    out.announce(new, [prefix(family, 1)], SETS[family][1])
    for one in split(out.take(4096)):
        router.read(one)
        assert router.held
    assert [path_id for path_id, _ in router.held] == [new]
