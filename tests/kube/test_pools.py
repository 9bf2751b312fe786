"""What MetalLB's pools let in."""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.cluster.kube.pools import AdvertisementFacts, advertisement_facts, make_allowed, pool_facts
from tests.kube.settings import settings

PLAIN = settings()


def pool(name: str, *addresses: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "spec": {"addresses": list(addresses)}}


def means(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a"}, "spec": spec}


def allowed(pools: list[Any], advertisements: list[Any], hosts: tuple[str, ...] = (), **more: Any) -> list[str]:
    chosen = settings(**more) if more else PLAIN
    found = make_allowed(
        map(pool_facts, pools), map(advertisement_facts, advertisements), map(ip_address, hosts), chosen
    )
    return [str(prefix) for prefix in found.prefixes]


EVERYTHING = [means()]

RANGES = [
    (["192.168.30.0/24"], ["192.168.30.0/24"]),
    (["192.168.30.7/24"], ["192.168.30.0/24"]),  # as MetalLB reads it
    (["192.168.30.10-192.168.30.13"], ["192.168.30.10/31", "192.168.30.12/31"]),
    (["192.168.30.0 - 192.168.30.255"], ["192.168.30.0/24"]),
    (["fd00:30::-fd00:30::ff", "192.168.30.1/32"], ["192.168.30.1/32", "fd00:30::/120"]),
    (["192.168.30.1"], []), (["192.168.30.9-192.168.30.1"], []), (["nonsense"], []), (["10.0.0.1-fd00::1"], []),
    (["0.0.0.0/0"], []), (["0.0.0.0-255.255.255.255", "10.0.0.0/8"], ["10.0.0.0/8"]),
]  # fmt: skip


@pytest.mark.parametrize(("said", "then"), RANGES)
def test_addresses_are_read_as_metallb_reads_them(said: list[str], then: list[str]) -> None:
    assert allowed([pool("p", *said)], EVERYTHING) == then


def test_a_pool_that_no_advertisement_means_lets_nothing_in() -> None:
    pools = [pool("a", "10.1.0.0/24"), pool("b", "10.2.0.0/24", zone="x"), pool("c", "10.3.0.0/24", zone="y")]
    assert allowed(pools, []) == []
    assert allowed(pools, [means(ipAddressPools=["a"])]) == ["10.1.0.0/24"]
    chosen = [{"matchLabels": {"zone": "x"}}]
    assert allowed(pools, [means(ipAddressPoolSelectors=chosen)]) == ["10.2.0.0/24"]
    assert allowed(pools, [means(ipAddressPools=["a"], ipAddressPoolSelectors=chosen)]) == [
        "10.1.0.0/24",
        "10.2.0.0/24",
    ]
    assert allowed(pools, [means(ipAddressPools=["gone"])]) == []
    assert allowed(pools, EVERYTHING) == ["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24"]


def test_a_selector_that_cannot_be_read_means_nothing_and_not_everything() -> None:
    assert allowed([pool("a", "10.1.0.0/24")], [means(ipAddressPoolSelectors=[{"matchExpressions": [{}]}])]) == []


def test_an_aggregation_length_widens_a_range_to_its_prefix() -> None:
    """MetalLB announces 10.1.0.0/29 for 10.1.0.1 then, which is outside the range."""
    pools = [pool("a", "10.1.0.1-10.1.0.20")]
    assert allowed(pools, [means(aggregationLength=29)]) == ["10.1.0.0/28", "10.1.0.16/29"]
    assert allowed(pools, [means(aggregationLength=32)])[0] == "10.1.0.1/32"
    assert allowed([pool("b", "fd00:30::1-fd00:30::1")], [means(aggregationLengthV6=64)]) == ["fd00:30::/64"]


def test_guard_prefixes_narrow_and_never_widen() -> None:
    pools = [pool("a", "10.1.0.0/24"), pool("b", "10.2.0.0/24")]
    guard = {"prefixes": ["10.1.0.0/25", "10.2.0.0/16", "10.3.0.0/24", "fd00::/64"]}
    assert allowed(pools, EVERYTHING, guard=guard) == ["10.1.0.0/25", "10.2.0.0/24"]


def test_no_node_may_announce_a_host() -> None:
    """The router's address, ours and the nodes' are cut out of a pool that has them."""
    found = allowed([pool("a", "192.168.3.0/28")], EVERYTHING, ("192.168.3.7",))
    assert found == ["192.168.3.0/32", "192.168.3.2/31", "192.168.3.4/31", "192.168.3.6/32", "192.168.3.8/31",
                     "192.168.3.11/32", "192.168.3.12/30"]  # fmt: skip


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=6) | st.sampled_from(["10.0.0.0/8", "10.0.0.1-10.0.0.9", "::/0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["metadata", "spec", "addresses", "ipAddressPools", "ipAddressPoolSelectors", "labels", "name",
                         "aggregationLength", "matchLabels", "matchExpressions", "key"]), inner, max_size=5),
    max_leaves=15,
)  # fmt: skip


@given(JSON, JSON)
def test_whatever_the_objects_hold_there_are_prefixes(a: Any, b: Any) -> None:
    a, b = (value if isinstance(value, dict) else {} for value in (a, b))
    found = make_allowed([pool_facts(a)], [advertisement_facts(b), AdvertisementFacts("all")], [], PLAIN)
    assert all(prefix.prefixlen > 0 for prefix in found.prefixes)
