"""How are many prefixes written in few words? Host routes that follow one another are one span.

    192.168.30.1/32, 192.168.30.2/32, ... 192.168.30.200/32    ->    192.168.30.1-192.168.30.200

Pools hand out their addresses one after the other, so a node with a thousand services is a line and not 18 kB.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from functools import lru_cache

from speaker.bgp import nlri
from speaker.bgp.iana import Family


def spans(prefixes: Iterable[bytes], family: Family) -> tuple[str, ...]:
    """The prefixes in order, each once: spans of host routes, then the others as they are."""
    return _spans(b"".join(prefixes), family)


# Nodes of one cluster announce the same services in the same order: joining octets is a tenth of the work.
@lru_cache(maxsize=64)
def _spans(field: bytes, family: Family) -> tuple[str, ...]:
    prefixes = set(nlri.split(field, family))
    hosts = sorted(int.from_bytes(prefix[1:], "big") for prefix in prefixes if prefix[0] == family.bits)
    others = sorted(prefix for prefix in prefixes if prefix[0] != family.bits)
    return (*_runs(hosts, family), *(nlri.text(prefix, family) for prefix in others))


def _runs(hosts: list[int], family: Family) -> Iterator[str]:
    make = ipaddress.IPv4Address if family is Family.IPV4 else ipaddress.IPv6Address
    first = 0
    for at, host in enumerate(hosts):
        if at + 1 < len(hosts) and hosts[at + 1] == host + 1:
            continue
        low = make(hosts[first])
        yield f"{low}/{family.bits}" if at == first else f"{low}-{make(host)}"
        first = at + 1


def touches(span: str, wanted: nlri.Network) -> bool:
    """Whether a span answers a question: for an address what holds it, for a prefix it and what lies inside."""
    low, _, high = span.partition("-")
    if high:
        first, last = ipaddress.ip_address(low), ipaddress.ip_address(high)
        ends = int(wanted.network_address), int(wanted.broadcast_address)
        return first.version == wanted.version and int(first) <= ends[1] and ends[0] <= int(last)
    network = ipaddress.ip_network(low)
    if network.version != wanted.version:
        return False
    if wanted.prefixlen == wanted.max_prefixlen:
        return wanted.network_address in network
    return network.subnet_of(wanted)  # type: ignore[arg-type]


def size(span: str) -> int:
    """How many prefixes a span stands for."""
    low, _, high = span.partition("-")
    return int(ipaddress.ip_address(high)) - int(ipaddress.ip_address(low)) + 1 if high else 1
