"""What may nodes announce, by MetalLB's own objects? IPAddressPools and BGPAdvertisements -> prefixes. Pure.

A pool counts when a BGPAdvertisement means it (by name, by selector, or all when it says neither). Its addresses are
prefixes or ranges `a-b`; an aggregation length widens what is announced to a prefix of that length, also beyond the
edges of a range (MetalLB v0.15 asks only that one part of the range is as wide).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import collapse_addresses, ip_address, ip_network, summarize_address_range
from typing import Any, Final

from speaker.cluster.base import Address, Allowed, Network
from speaker.cluster.kube.client import Object, Resource
from speaker.config import Settings
from speaker.settings_selector import LabelSelector, SelectorError, selector_of

GROUP: Final = "metallb.io"
VERSION: Final = "v1beta1"


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """What is kept of an IPAddressPool."""

    name: str
    addresses: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class AdvertisementFacts:
    """What is kept of a BGPAdvertisement."""

    name: str
    pools: tuple[str, ...] = ()
    selectors: tuple[LabelSelector, ...] = ()
    everything: bool = True
    """It says neither pools nor selectors. One whose selectors cannot be read means none, not all."""
    length4: int = 32
    length6: int = 128
    nodes: tuple[LabelSelector, ...] = ()
    """Which Nodes announce; all where it says nothing."""
    peers: tuple[str, ...] = ()
    """To which BGPPeers; to all where it says nothing."""
    services: tuple[LabelSelector, ...] = ()
    """Which Services, by their labels; all where it says nothing (MetalLB 0.16)."""


def pools_in(namespace: str) -> Resource:
    """IPAddressPools."""
    return Resource(GROUP, VERSION, "ipaddresspools", namespace)


def advertisements_in(namespace: str) -> Resource:
    """BGPAdvertisements."""
    return Resource(GROUP, VERSION, "bgpadvertisements", namespace)


def pool_facts(item: Object) -> PoolFacts:
    """What is kept of an object that has a name."""
    metadata, spec = _dict(item.get("metadata")), _dict(item.get("spec"))
    labels = {key: text for key, text in _dict(metadata.get("labels")).items() if isinstance(text, str)}
    return PoolFacts(str(metadata.get("name")), _texts(spec.get("addresses")), tuple(sorted(labels.items())))


def advertisement_facts(item: Object) -> AdvertisementFacts:
    """What is kept of an object that has a name."""
    spec = _dict(item.get("spec"))
    pools, said = _texts(spec.get("ipAddressPools")), spec.get("ipAddressPoolSelectors")
    return AdvertisementFacts(
        name=str(_dict(item.get("metadata")).get("name")),
        pools=pools,
        selectors=tuple(_selectors(said)),
        everything=not pools and not said,
        length4=_length(spec.get("aggregationLength"), 32),
        length6=_length(spec.get("aggregationLengthV6"), 128),
        nodes=tuple(_selectors(spec.get("nodeSelectors"))),
        peers=_texts(spec.get("peers")),
        services=tuple(_selectors(spec.get("serviceSelectors"))),
    )


def make_allowed(
    pools: Iterable[PoolFacts], advertisements: Iterable[AdvertisementFacts], hosts: Iterable[Address], s: Settings
) -> Allowed:
    """What these objects allow, narrowed by guard.prefixes, and without `hosts`, whom no node may pose as."""
    notes: list[str] = []
    means = list(advertisements)
    found: set[Network] = set()
    for pool in sorted(pools, key=lambda pool: pool.name):
        meant = [each for each in means if is_meant(pool, each)]
        if not meant:
            notes.append(f"pool {pool.name}: no BGPAdvertisement means it, so nothing of it is let in")
        for prefix in _prefixes(pool, notes) if meant else ():
            found.update(_widened(prefix, meant))
    prefixes = _narrowed(found, s.guard.prefixes) if s.guard.prefixes else found
    without = _without(prefixes, {*hosts, *(router.address for router in s.routers), *_ours(s)}, notes)
    return Allowed(_sorted(without), tuple(notes))


def _ours(settings: Settings) -> Iterator[Address]:
    yield from settings.listen.addresses
    for router in settings.routers:
        yield from router.local_addresses


def is_meant(pool: PoolFacts, by: AdvertisementFacts) -> bool:
    """Whether an advertisement is about a pool."""
    labels = dict(pool.labels)
    return by.everything or pool.name in by.pools or any(selector.selects(labels) for selector in by.selectors)


def _prefixes(pool: PoolFacts, notes: list[str]) -> Iterator[Network]:
    for text in pool.addresses:
        try:
            found = list(networks_of(text))
        except (ValueError, TypeError):
            notes.append(f"pool {pool.name}: {text[:60]!r} is neither a prefix nor a range; it is left out")
            continue
        if any(prefix.prefixlen == 0 for prefix in found):
            notes.append(f"pool {pool.name}: {text} would let everything through; it is left out")
            continue
        yield from found


def networks_of(text: str) -> Iterator[Network]:
    """The prefixes of what a pool has: `192.168.30.0/24`, `192.168.30.1-192.168.30.9`. Raises ValueError, TypeError."""
    first, dash, last = text.partition("-")
    if not dash:
        # As MetalLB reads it: bits behind the length do not matter.
        if "/" not in text:
            raise ValueError(text)
        yield ip_network(text.strip(), strict=False)
        return
    yield from summarize_address_range(ip_address(first.strip()), ip_address(last.strip()))


def _widened(prefix: Network, meant: list[AdvertisementFacts]) -> Iterator[Network]:
    yield prefix
    for each in meant:
        length = each.length4 if prefix.version == 4 else each.length6
        if 0 < length < prefix.prefixlen:
            yield prefix.supernet(new_prefix=length)


def _narrowed(found: set[Network], bounds: Iterable[Network]) -> set[Network]:
    """What lies in both."""
    both: set[Network] = set()
    for bound in bounds:
        for prefix in found:
            if _inside(prefix, bound):
                both.add(prefix)
            elif _inside(bound, prefix):
                both.add(bound)
    return both


def _inside(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _without(prefixes: set[Network], hosts: set[Address], notes: list[str]) -> set[Network]:
    left = prefixes
    for host in sorted(hosts, key=lambda address: (address.version, int(address))):
        around = {prefix for prefix in left if host in prefix}
        if not around:
            continue
        widest = min(around, key=lambda prefix: prefix.prefixlen)
        notes.append(f"{host} is left out of {widest}: no node may announce the address of a host")
        lone: Any = ip_network(host)
        pieces = {piece for prefix in around for piece in prefix.address_exclude(lone)}
        left = (left - around) | pieces
    return left


def _sorted(prefixes: Iterable[Network]) -> tuple[Network, ...]:
    found: list[Network] = []
    for version in (4, 6):
        of_version: Any = [prefix for prefix in prefixes if prefix.version == version]
        found += collapse_addresses(of_version)
    return tuple(found)


def _selectors(said: object) -> Iterator[LabelSelector]:
    for body in said if isinstance(said, list) else ():
        try:
            yield selector_of(body)
        except SelectorError:
            continue


def _length(value: object, most: int) -> int:
    return value if isinstance(value, int) and 1 <= value <= most else most


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
