"""Whose path is it? A node as the RIB knows it: one address from which it may peer."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One address of one node. Compared by identity; lives as long as the roster has it, over any number of sessions.

    path_id     4 octets, the ADD-PATH identifier of all its paths (RFC 7911): see paths/identifiers.py
    asn         the AS number its OPEN must have
    ibgp        that is our own
    next_hops   the addresses of the node, packed: the only next hops it may announce
    weight      its share beside the other nodes', 1 unless said
    """

    node: str
    address: Address
    path_id: bytes
    asn: int
    ibgp: bool
    next_hops: frozenset[bytes]
    weight: int = 1

    def __str__(self) -> str:
        return f"{self.node} ({self.address})"
