"""What does an IP packet look like that we make, or read, ourselves? IPv4 (RFC 791) and IPv6 (RFC 8200). Pure.

For the few packets that no socket of the kernel's sends or gives: see repair.py and speaker.host.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

Address = IPv4Address | IPv6Address

TCP, ICMPV6 = 6, 58
ETHERTYPE: Final = {4: 0x0800, 6: 0x86DD}
"""Of Ethernet, by the version."""
FAR: Final = 255
"""The hop limit that proves a packet to be from the link (RFC 4861 7.1, RFC 5082)."""

_END, _NO_OPERATION = 0, 1
_INTERNETWORK_CONTROL: Final = 0xC0
_DONT_FRAGMENT: Final = 0x4000


@dataclass(frozen=True, slots=True)
class Packet:
    """One that was read. `source` and `to` are packed."""

    source: bytes
    to: bytes
    protocol: int
    hops: int
    payload: bytes


def packet(source: Address, to: Address, protocol: int, payload: bytes) -> bytes:
    """With its header, for a raw socket or a packet socket. The kernel fills in the checksum of IPv4."""
    ends = source.packed + to.packed
    if source.version == 4:
        size = 20 + len(payload)
        head = struct.pack("!BBHHHBBH", 0x45, _INTERNETWORK_CONTROL, size, 0, _DONT_FRAGMENT, FAR, protocol, 0)
    else:
        head = struct.pack("!IHBB", 6 << 28 | _INTERNETWORK_CONTROL << 20, len(payload), protocol, FAR)
    return head + ends + payload


def read(data: bytes) -> Packet | None:
    """The packet, without what the link padded it with. None where it is none, or has IPv6 extension headers."""
    if len(data) >= 20 and data[0] >> 4 == 4:
        start, size = (data[0] & 15) * 4, int.from_bytes(data[2:4], "big")
        return Packet(data[12:16], data[16:20], data[9], data[8], data[start:size])
    if len(data) >= 40 and data[0] >> 4 == 6:
        size = 40 + int.from_bytes(data[4:6], "big")
        return Packet(data[8:24], data[24:40], data[6], data[7], data[40:size])
    return None


def tcp_options(options: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and value of each option in a TCP header (RFC 9293 3.1), up to the first that has no sensible length."""
    at = 0
    while at < len(options) and options[at] != _END:
        if options[at] == _NO_OPERATION:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        yield options[at], options[at + 2 : at + size]
        if size < 2:
            return
        at += size


def pseudo_header(source: Address, to: Address, protocol: int, size: int) -> bytes:
    """What checksums and TCP MD5 take in beside the payload of `size` octets (RFC 9293 3.1, RFC 8200 8.1)."""
    form = "!BBH" if source.version == 4 else "!II"
    fields = (0, protocol, size) if source.version == 4 else (size, protocol)
    return source.packed + to.packed + struct.pack(form, *fields)


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
