"""Which path identifier has a node? (RFC 7911 3)

It must be the same over restarts and on every replica, and different for every source. The IPv4 address of a source is
both, and people can read it in what the router shows: 3232236319 is 192.168.3.31. An IPv6 source gets a hash of its
address; two that collide are told apart in the order of their addresses.
"""

import hashlib
from collections.abc import Iterable
from ipaddress import IPv4Address

from speaker.rib.source import Address


def path_ids(addresses: Iterable[Address]) -> dict[Address, bytes]:
    """4 octets for each address."""
    given: dict[Address, bytes] = {}
    taken: set[bytes] = set()
    for address in sorted(set(addresses), key=lambda a: (a.version, int(a))):
        identifier = address.packed if isinstance(address, IPv4Address) else _hash(address.packed)
        while identifier in taken:
            identifier = _hash(identifier)
        taken.add(identifier)
        given[address] = identifier
    return given


def _hash(octets: bytes) -> bytes:
    return hashlib.blake2b(octets, digest_size=4).digest()
