"""What does an ARP packet say (RFC 826)? For IPv4 on Ethernet, without the frame's own header. Pure."""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

ETHERTYPE: Final = 0x0806
SIZE: Final = 28
EVERYBODY: Final = b"\xff" * 6
NOBODY: Final = bytes(6)
REQUEST, REPLY = 1, 2

_FORM = struct.Struct("!HHBBH6s4s6s4s")
_ETHERNET, _IPV4 = 1, 0x0800


@dataclass(frozen=True, slots=True)
class Arp:
    """`mac` has `sender`; a request asks who has `target`."""

    operation: int
    mac: bytes
    sender: IPv4Address
    target: IPv4Address


def pack(operation: int, mac: bytes, sender: IPv4Address, target_mac: bytes, target: IPv4Address) -> bytes:
    """The octets."""
    return _FORM.pack(_ETHERNET, _IPV4, 6, 4, operation, mac, sender.packed, target_mac, target.packed)


def read(data: bytes, at: int = 0) -> Arp | None:
    """The packet at this offset; None where it is none."""
    if len(data) < at + SIZE:
        return None
    *_, operation, mac, sender, _, target = _FORM.unpack_from(data, at)
    return Arp(operation, mac, IPv4Address(sender), IPv4Address(target))
