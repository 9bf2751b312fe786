"""What a node may announce: prefixes out of the cluster's pools, next hop = the node itself, and no loops."""

from ipaddress import ip_network

import pytest

from speaker.bgp import nlri
from speaker.bgp.attributes import Attributes
from speaker.bgp.iana import Family
from speaker.rib import guard as guard_module
from speaker.rib.guard import Guard, Reason
from speaker.rib.source import Source
from tests.rib.paths import OURS, as_set, node, octets, sequence, via

ROUTER_ID, CLUSTER = octets("10.255.0.1"), octets("10.255.0.2")
HOP = "10.0.0.1"
IBGP = node(HOP, next_hops=("2001:db8::1",))
EBGP = node(HOP, asn=65001)

JUDGED = {
    "its own address": (IBGP, via(HOP), None),
    "its own IPv6 address": (IBGP, via("2001:db8::1"), None),
    "another node's address": (IBGP, via("10.0.0.2"), Reason.NEXT_HOP),
    "the router's address": (IBGP, via("10.0.0.254"), Reason.NEXT_HOP),
    "the unspecified address": (IBGP, via("0.0.0.0"), Reason.NEXT_HOP),
    "our AS in AS_PATH": (IBGP, via(HOP, as_path=sequence(65001, OURS)), Reason.AS_LOOP),
    "our AS in an AS_SET": (IBGP, via(HOP, as_path=as_set(OURS, 3)), Reason.AS_LOOP),
    "other ASes over iBGP": (IBGP, via(HOP, as_path=sequence(65001, 65002)), None),
    "eBGP, the node's AS first": (EBGP, via(HOP, as_path=sequence(65001, 65002)), None),
    "eBGP, another AS first": (EBGP, via(HOP, as_path=sequence(65002, 65001)), Reason.FIRST_AS),
    "eBGP, an empty AS_PATH": (EBGP, via(HOP), Reason.FIRST_AS),
    "eBGP, an AS_SET first": (EBGP, via(HOP, as_path=as_set(65001)), Reason.FIRST_AS),
    "our own ORIGINATOR_ID": (IBGP, via(HOP, originator_id=ROUTER_ID), Reason.ORIGINATOR_LOOP),
    "another ORIGINATOR_ID": (IBGP, via(HOP, originator_id=octets("9.9.9.9")), None),
    "our cluster in CLUSTER_LIST": (
        IBGP,
        via(HOP, cluster_list=(octets("9.9.9.9"), CLUSTER)),
        Reason.CLUSTER_LOOP,
    ),
    "another cluster": (IBGP, via(HOP, cluster_list=(octets("9.9.9.9"),)), None),
}


def guard(*prefixes: str) -> Guard:
    """A guard with these prefixes."""
    return Guard([ip_network(prefix) for prefix in prefixes], OURS, ROUTER_ID, CLUSTER)


@pytest.mark.parametrize(("source", "attributes", "reason"), JUDGED.values(), ids=JUDGED.keys())
def test_attributes_are_judged_with_a_reason(source: Source, attributes: Attributes, reason: Reason | None) -> None:
    """A row for each reason, and for what looks like it and is allowed."""
    assert guard().judge(source, attributes) is reason


def test_every_reason_has_a_row() -> None:
    """A new reason needs a row above; `prefix-not-allowed` has its own table below, and two are no matter of what a
    path says."""
    beside = {Reason.PREFIX, Reason.SILENT, Reason.DRAINED}
    assert {reason for _, _, reason in JUDGED.values()} - {None} == set(Reason) - beside


POOLS = ("192.168.30.0/24", "10.1.0.0/17", "198.51.100.7/32", "2001:db8:1::/48")


@pytest.mark.parametrize(
    ("prefix", "allowed"),
    [
        ("192.168.30.0/32", True),
        ("192.168.30.255/32", True),
        ("192.168.30.0/24", True),
        ("192.168.30.128/25", True),
        ("192.168.30.0/23", False),
        ("192.168.31.0/32", False),
        ("192.168.29.255/32", False),
        ("10.1.127.255/32", True),
        ("10.1.128.0/32", False),
        ("10.1.0.0/16", False),
        ("198.51.100.7/32", True),
        ("198.51.100.6/32", False),
        ("0.0.0.0/0", False),
        ("2001:db8:1::/48", True),
        ("2001:db8:1:ffff::/128", True),
        ("2001:db8:2::/128", False),
        ("2001:db8::/32", False),
        ("::/0", False),
    ],
)
def test_a_prefix_must_lie_in_a_pool(prefix: str, allowed: bool) -> None:
    """Equal or longer is inside; shorter, or beside it, is not. Asked twice, since answers are remembered."""
    network = ip_network(prefix)
    family = Family.IPV4 if network.version == 4 else Family.IPV6
    wire = nlri.from_network(network)
    policy = guard(*POOLS)
    for _ in range(2):
        assert policy.admit(family, [wire]) == (([wire], []) if allowed else ([], [wire]))


@pytest.mark.parametrize("pool", ["0.0.0.0/0", "::/0"])
def test_a_default_route_as_pool_allows_its_own_family_only(pool: str) -> None:
    """`0.0.0.0/0` says nothing of IPv6."""
    family = Family.IPV6 if ":" in pool else Family.IPV4
    other = Family.IPV4 if ":" in pool else Family.IPV6
    assert guard(pool).admit(family, [b"\0"]) == ([b"\0"], [])
    assert guard(pool).admit(other, [b"\0"]) == ([], [b"\0"])


def test_without_pools_nothing_is_allowed() -> None:
    """An empty guard is closed."""
    assert guard().admit(Family.IPV4, [b"\x20\x0a\x01\0\0"]) == ([], [b"\x20\x0a\x01\0\0"])


@pytest.mark.parametrize("sloppy", [b"\x19\xc0\xa8\x1e\x81", b"\x19\xc0\xa8\x1e\xff"])
def test_bits_beyond_the_length_do_not_make_another_prefix(sloppy: bytes) -> None:
    """RFC 4271 4.3: their value is irrelevant, so both are 192.168.30.128/25."""
    clean = b"\x19\xc0\xa8\x1e\x80"
    policy = guard("192.168.30.0/24")
    assert policy.admit(Family.IPV4, [sloppy, clean, sloppy]) == ([clean] * 3, [])
    assert policy.admit(Family.IPV4, [b"\x09\x0a\xff"]) == ([], [b"\x09\x0a\x80"])


def test_a_run_is_split_into_inside_and_outside_in_its_order() -> None:
    """One bad prefix does not cost the others."""
    inside, outside = b"\x20\xc0\xa8\x1e\1", b"\x20\xc0\xa8\x1f\1"
    assert guard("192.168.30.0/24").admit(Family.IPV4, [outside, inside, outside]) == (
        [inside],
        [outside, outside],
    )


def test_each_prefix_is_one_object() -> None:
    """A thousand nodes with the same prefix cost its octets once."""
    policy = guard("192.168.30.0/24")
    first, _ = policy.admit(Family.IPV4, [bytes((32, 192, 168, 30, 1))])
    again, _ = policy.admit(Family.IPV4, [bytes((32, 192, 168, 30, 1))])
    assert first[0] is again[0]


def test_what_is_remembered_of_prefixes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that announces ever new prefixes makes the guard forget, never grow."""
    monkeypatch.setattr(guard_module, "REMEMBERED", 10)
    policy = guard("0.0.0.0/0")
    prefixes = [bytes((32, 10, 0, n >> 8, n & 255)) for n in range(500)]
    for prefix in prefixes:
        assert policy.admit(Family.IPV4, [prefix]) == ([prefix], [])
        assert len(policy._known[Family.IPV4]) <= 10
    sloppy = [bytes((31, 10, 0, n >> 7, n << 1 & 255 | 1)) for n in range(50)]
    for prefix in sloppy:
        policy.admit(Family.IPV4, [prefix])
        assert len(policy._known[Family.IPV4]) <= 11
