"""What becomes of malformed path attributes: a row for each rule of RFC 7606, told by what a session says of them."""

import pytest
from bgp_sessions import established, refusal
from bgp_wire import (
    HOP4,
    HOP6,
    IPV4,
    IPV6,
    METALLB,
    NEXT_HOP,
    NO_AS_PATH,
    ORIGIN,
    PLAIN,
    TRAEFIK,
    TRAEFIK6,
    as_path,
    attribute,
    capability,
    mp_reach,
    mp_unreach,
    update,
)

from speaker.bgp.attributes import Attributes
from speaker.bgp.events import Announced, Withdrawn
from speaker.bgp.iana import Family

AS2 = METALLB[:2]


def judged(field: bytes, *, ibgp: bool = True, as4: bool = True, nlri: bytes = TRAEFIK) -> Attributes | str:
    """The attributes with which a session takes TRAEFIK up, or why it treats it as withdrawn.

    Attribute sets are compared by identity (attributes.py), so tests compare their text, which has all that is in them.
    """
    asn = 64512 if ibgp else 65010
    offered = (*AS2, capability(65, f"{asn:08x}")) if as4 else AS2
    (event,) = established(capabilities=offered, asn=asn).receive(update(field, nlri), 1.0)
    assert isinstance(event, Announced | Withdrawn)
    assert event.prefixes == [TRAEFIK]
    return event.attributes if isinstance(event, Announced) else event.reason


def with_(code: int, one: bytes) -> bytes:
    """ORIGIN, AS_PATH and NEXT_HOP, with `one` in the place of `code` or behind them."""
    parts = {1: ORIGIN, 2: NO_AS_PATH, 3: NEXT_HOP, code: one}
    return b"".join(parts.values())


def path(value: str) -> bytes:
    """AS_PATH with this value in hex."""
    return attribute(0x40, 2, bytes.fromhex(value))


WITHDRAWN_ON_IBGP = [
    ("ORIGIN: 3 is not a value of it", 1, attribute(0x40, 1, b"\3")),
    ("ORIGIN: malformed, 0 octets", 1, attribute(0x40, 1, b"")),
    ("ORIGIN: malformed, 2 octets", 1, attribute(0x40, 1, b"\0\0")),
    ("ORIGIN: flags 0xc0", 1, attribute(0xC0, 1, b"\0")),
    ("ORIGIN: missing", 1, b""),
    ("AS_PATH: malformed", 2, path("05010000fdf2")),  # no such segment type
    ("AS_PATH: malformed", 2, path("02020000fdf2")),  # two AS numbers declared, one there
    ("AS_PATH: malformed", 2, path("02010000fdf202")),  # an octet left over
    ("AS_PATH: a segment without members (RFC 7606 7.2)", 2, path("0200")),
    ("AS_PATH: AS 0 (RFC 7607)", 2, path("020200000000 0000fdf2")),
    ("AS_PATH: a confederation segment from outside the confederation (RFC 5065)", 2, path("03010000fdf2")),
    ("AS_PATH: a confederation segment from outside the confederation (RFC 5065)", 2, path("04010000fdf2")),
    ("AS_PATH: flags 0x80", 2, attribute(0x80, 2, b"")),
    ("AS_PATH: missing", 2, b""),
    ("NEXT_HOP: malformed, 0 octets", 3, attribute(0x40, 3, b"")),
    ("NEXT_HOP: malformed, 3 octets", 3, attribute(0x40, 3, HOP4[:3])),
    ("NEXT_HOP: malformed, 16 octets", 3, attribute(0x40, 3, HOP6)),
    ("NEXT_HOP: flags 0xc0", 3, attribute(0xC0, 3, HOP4)),
    ("NEXT_HOP: missing", 3, b""),
    ("MULTI_EXIT_DISC: malformed, 0 octets", 4, attribute(0x80, 4, b"")),
    ("MULTI_EXIT_DISC: malformed, 3 octets", 4, attribute(0x80, 4, bytes(3))),
    ("MULTI_EXIT_DISC: flags 0xc0", 4, attribute(0xC0, 4, bytes(4))),
    ("LOCAL_PREF: malformed, 5 octets", 5, attribute(0x40, 5, bytes(5))),
    ("LOCAL_PREF: flags 0xc0", 5, attribute(0xC0, 5, bytes(4))),
    ("COMMUNITIES: malformed, 0 octets", 8, attribute(0xC0, 8, b"")),
    ("COMMUNITIES: malformed, 6 octets", 8, attribute(0xC0, 8, bytes(6))),
    ("COMMUNITIES: flags 0x40", 8, attribute(0x40, 8, bytes(4))),
    ("ORIGINATOR_ID: malformed, 5 octets", 9, attribute(0x80, 9, bytes(5))),
    ("ORIGINATOR_ID: flags 0xc0", 9, attribute(0xC0, 9, bytes(4))),
    ("CLUSTER_LIST: malformed, 0 octets", 10, attribute(0x80, 10, b"")),
    ("CLUSTER_LIST: malformed, 6 octets", 10, attribute(0x80, 10, bytes(6))),
    ("CLUSTER_LIST: flags 0xc0", 10, attribute(0xC0, 10, bytes(4))),
    ("EXTENDED_COMMUNITIES: malformed, 0 octets", 16, attribute(0xC0, 16, b"")),
    ("EXTENDED_COMMUNITIES: malformed, 12 octets", 16, attribute(0xC0, 16, bytes(12))),
    ("LARGE_COMMUNITY: malformed, 0 octets", 32, attribute(0xC0, 32, b"")),
    ("LARGE_COMMUNITY: malformed, 16 octets", 32, attribute(0xC0, 32, bytes(16))),
    ("attribute 99: well-known by its flags 0x40, but not to us", 99, attribute(0x40, 99, b"")),
    ("attribute 99: well-known by its flags 0x00, but not to us", 99, attribute(0x00, 99, b"")),
    ("attribute 4: longer than the message", 4, attribute(0x80, 4, bytes(4))[:-1]),
    ("attribute list: a header is cut short", 4, attribute(0x80, 4, b"")[:-1]),
    ("attribute list: 65 attributes, more than 64", 99, b"".join(attribute(0xC0, 100 + i, b"x") for i in range(62))),
]
by_reason = pytest.mark.parametrize(("reason", "code", "one"), WITHDRAWN_ON_IBGP)

IBGP_ONLY = (5, 9, 10)


@by_reason
def test_a_malformed_attribute_withdraws_the_route_and_is_named(reason: str, code: int, one: bytes) -> None:
    """The session lives, the route goes, and the reason is what `onepeer nodes` prints (RFC 7606 2)."""
    assert judged(with_(code, one)) == reason


@by_reason
def test_from_another_as_only_what_counts_there_is_judged(reason: str, code: int, one: bytes) -> None:
    """LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST are dropped from eBGP unread (RFC 7606 7.5, 7.9, 7.10)."""
    expected = judged(PLAIN, ibgp=False) if code in IBGP_ONLY else reason
    assert str(judged(with_(code, one), ibgp=False)) == str(expected)


DROPPED = [
    ("ATOMIC_AGGREGATE with a value", attribute(0x40, 6, b"\0"), True),
    ("ATOMIC_AGGREGATE, optional", attribute(0xC0, 6, b""), True),
    ("AGGREGATOR, empty", attribute(0xC0, 7, b""), True),
    ("AGGREGATOR with two octets of AS, four agreed on", attribute(0xC0, 7, b"\xfd\xf2" + HOP4), True),
    ("AGGREGATOR with four octets of AS, two agreed on", attribute(0xC0, 7, b"\0\0\xfd\xf2" + HOP4), False),
    ("AGGREGATOR of AS 0 (RFC 7607)", attribute(0xC0, 7, bytes(4) + HOP4), True),
    ("AGGREGATOR, well-known", attribute(0x40, 7, b"\0\0\xfd\xf2" + HOP4), True),
    ("AS4_PATH where AS numbers have four octets (RFC 6793 4.1)", attribute(0xC0, 17, b"\2\1\0\1\0\1"), True),
    ("AS4_AGGREGATOR there", attribute(0xC0, 18, b"\0\1\0\1" + HOP4), True),
    ("AS4_PATH, cut short (RFC 6793 6)", attribute(0xC0, 17, b"\2\2\0\1\0\1"), False),
    ("AS4_PATH, empty", attribute(0xC0, 17, b""), False),
    ("AS4_PATH with a segment without members", attribute(0xC0, 17, b"\2\0\2\1\0\1\0\1"), False),
    ("AS4_PATH with a segment type of its own", attribute(0xC0, 17, b"\5\1\0\1\0\1"), False),
    ("AS4_AGGREGATOR, cut short", attribute(0xC0, 18, b"\0\1\0\1" + HOP4[:3]), False),
    ("optional, not transitive, unknown", attribute(0x80, 99, b"x"), True),
    ("AIGP (RFC 7311), not transitive", attribute(0x80, 26, b"\1\0"), True),
]


@pytest.mark.parametrize(("what", "one", "as4"), DROPPED, ids=[row[0] for row in DROPPED])
def test_an_attribute_that_routes_do_not_hang_on_is_dropped_alone(what: str, one: bytes, as4: bool) -> None:
    """The route stays, as if the attribute had not been there (RFC 7606 7.6, 7.7; RFC 6793 6)."""
    assert str(judged(PLAIN + one, as4=as4)) == str(judged(PLAIN, as4=as4))


TWICE = [
    ("ORIGIN", ORIGIN + attribute(0x40, 1, b"\2") + NO_AS_PATH + NEXT_HOP, ORIGIN + NO_AS_PATH + NEXT_HOP),
    ("an empty AS_PATH", ORIGIN + NO_AS_PATH + as_path(65001) + NEXT_HOP, PLAIN),
    (
        "MED",
        PLAIN + attribute(0x80, 4, b"\0\0\0\1") + attribute(0x80, 4, b"\0"),
        PLAIN + attribute(0x80, 4, b"\0\0\0\1"),
    ),
    (
        "communities",
        PLAIN + attribute(0xC0, 8, b"same") + attribute(0xC0, 8, b"else"),
        PLAIN + attribute(0xC0, 8, b"same"),
    ),
    ("unknown", PLAIN + attribute(0xC0, 99, b"a") + attribute(0xC0, 99, b"b"), PLAIN + attribute(0xC0, 99, b"a")),
]


@pytest.mark.parametrize(("what", "twice", "once"), TWICE, ids=[row[0] for row in TWICE])
def test_of_an_attribute_that_stands_there_twice_the_first_counts(what: str, twice: bytes, once: bytes) -> None:
    """RFC 7606 3 g."""
    assert str(judged(twice)) == str(judged(once))


LENIENT = [
    ("the Extended Length bit on a short one", attribute(0x50, 1, b"\0")),
    ("the four unused bits", attribute(0x4F, 1, b"\0")),
    ("the Partial bit", attribute(0x60, 1, b"\0")),
]


@pytest.mark.parametrize(("what", "origin"), LENIENT, ids=[row[0] for row in LENIENT])
def test_bits_that_say_nothing_are_no_fault(what: str, origin: bytes) -> None:
    """RFC 7606 3 c judges the Optional and the Transitive bit only. FRR sets Extended Length throughout."""
    assert str(judged(with_(1, origin))) == str(judged(PLAIN))


def test_an_unknown_transitive_attribute_is_kept_with_the_partial_bit() -> None:
    """RFC 4271 5: whoever does not know it passes it on and says so; BGP Prefix-SID (40) is one of these to us."""
    verdict = judged(PLAIN + attribute(0xC7, 99, b"x") + attribute(0xD0, 40, b"y" * 300))
    assert isinstance(verdict, Attributes)
    assert verdict.unknown == ((0xE0, 99, b"x"), (0xE0, 40, b"y" * 300))


RESET = [
    ("MP_REACH_NLRI twice", "3/1", mp_reach(TRAEFIK6) + mp_reach(TRAEFIK6)),
    ("MP_UNREACH_NLRI twice", "3/1", mp_unreach(TRAEFIK6) + mp_unreach(TRAEFIK6)),
    ("MP_REACH_NLRI, well-known", "3/9", attribute(0x40, 14, IPV6 + b"\x10" + HOP6 + b"\0" + TRAEFIK6)),
    ("MP_UNREACH_NLRI, transitive", "3/9", attribute(0xC0, 15, IPV6 + TRAEFIK6)),
    ("MP_REACH_NLRI without next hop", "3/9", attribute(0x80, 14, IPV6 + b"\x10")),
    ("MP_UNREACH_NLRI without SAFI", "3/9", attribute(0x80, 15, b"\0\2")),
    ("an IPv6 next hop of 4 octets", "3/9", mp_reach(TRAEFIK6, HOP4)),
    ("an IPv6 next hop of 24 octets", "3/9", mp_reach(TRAEFIK6, bytes(24))),
    ("an IPv4 next hop of 12 octets", "3/9", mp_reach(TRAEFIK, bytes(12), IPV4)),
    ("IPv6 prefix length 129", "3/10", mp_reach(b"\x81" + bytes(17))),
    ("IPv6 prefix cut short", "3/10", mp_unreach(TRAEFIK6[:-1])),
    ("MP_REACH_NLRI that is cut short itself", "3/1", mp_reach(TRAEFIK6)[:-1]),
]


@pytest.mark.parametrize(("what", "answer", "field"), RESET, ids=[row[0] for row in RESET])
def test_where_the_prefixes_cannot_be_found_the_session_ends(what: str, answer: str, field: bytes) -> None:
    """RFC 7606 3 j and 5.3: what cannot be read cannot be withdrawn either."""
    events = established().receive(update(ORIGIN + NO_AS_PATH + field), 1.0)
    assert refusal(events) == answer


@pytest.mark.parametrize(
    ("what", "nlri", "withdrawn"),
    [
        ("IPv4 prefix length 33", b"\x21" + bytes(5), b""),
        ("IPv4 prefix cut short", TRAEFIK[:-1], b""),
        ("a withdrawn prefix cut short", b"", TRAEFIK + TRAEFIK[:-1]),
    ],
)
def test_an_ipv4_prefix_that_cannot_be_read_ends_the_session(what: str, nlri: bytes, withdrawn: bytes) -> None:
    """3/10, Invalid Network Field (RFC 4271 6.3)."""
    assert refusal(established().receive(update(PLAIN, nlri, withdrawn), 1.0)) == "3/10"


def test_ipv4_prefixes_with_an_ipv6_next_hop_are_not_taken_and_end_no_session() -> None:
    """GoBGP sends them on an IPv6 session though nobody agreed on RFC 8950; its other routes must survive that."""
    (event,) = established().receive(update(ORIGIN + NO_AS_PATH + mp_reach(TRAEFIK, HOP6, IPV4)), 1.0)
    reason = "MP_REACH_NLRI: an IPv6 next hop of IPv4 prefixes, which was not agreed on (RFC 8950)"
    assert event == Withdrawn(Family.IPV4, [TRAEFIK], reason)


def test_of_two_families_in_one_update_each_is_judged_by_its_own_next_hop() -> None:
    """MP_REACH_NLRI has its own; a missing NEXT_HOP is the IPv4 routes' fault alone."""
    events = established().receive(update(ORIGIN + NO_AS_PATH + mp_reach(TRAEFIK6), TRAEFIK), 1.0)
    announced, withdrawn = events
    assert isinstance(announced, Announced)
    assert (announced.prefixes, announced.attributes.next_hop) == ([TRAEFIK6], HOP6)
    assert withdrawn == Withdrawn(Family.IPV4, [TRAEFIK], "NEXT_HOP: missing")


def asns(verdict: Attributes | str) -> list[int]:
    """The AS numbers of a path that is one sequence."""
    assert isinstance(verdict, Attributes)
    (segment,) = verdict.as_path
    return list(segment.asns)


@pytest.mark.parametrize(
    ("after", "as4_path", "expected"),
    [
        pytest.param((23456,), "0201 00010001", [65010, 65537], id="AS_TRANS gives way to the real number"),
        pytest.param((65011, 23456), "0201 00010001", [65010, 65011, 65537], id="the leading part stays"),
        pytest.param((), "0202 00010001 00010002", [65010], id="an AS4_PATH longer than AS_PATH counts for nothing"),
        pytest.param((23456,), "0301 00010001 0201 00010002", [65010, 65538], id="a confederation is cut out of it"),
    ],
)
def test_as_numbers_come_whole_through_a_peer_that_knows_two_octets(
    after: tuple[int, ...], as4_path: str, expected: list[int]
) -> None:
    """RFC 6793 4.2.3: AS_PATH and AS4_PATH are put together."""
    field = ORIGIN + as_path(65010, *after, size=2) + NEXT_HOP + attribute(0xC0, 17, bytes.fromhex(as4_path))
    assert asns(judged(field, ibgp=False, as4=False)) == expected


@pytest.mark.parametrize(("aggregator", "path_seen"), [("fdf2", [65010, 23456]), ("5ba0", [65010, 65537])])
def test_an_aggregator_that_is_no_as_trans_makes_as4_path_void(aggregator: str, path_seen: list[int]) -> None:
    """RFC 6793 4.2.3: somebody with two octets aggregated after AS4_PATH was written."""
    field = ORIGIN + as_path(65010, 23456, size=2) + NEXT_HOP
    field += attribute(0xC0, 7, bytes.fromhex(aggregator) + HOP4)
    field += attribute(0xC0, 17, bytes.fromhex("0201 00010001")) + attribute(0xC0, 18, b"\0\1\0\1" + HOP4)
    verdict = judged(field, ibgp=False, as4=False)
    assert asns(verdict) == path_seen
    assert isinstance(verdict, Attributes)
    assert verdict.aggregator == (int(aggregator, 16) if aggregator != "5ba0" else 65537, HOP4)
