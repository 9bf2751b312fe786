"""BGP in bytes, made and read by hand: nothing of speaker/ is used, so that it can judge speaker/bgp.

It knows as much of RFC 4271, 4760 and 7911 as a test needs, and is slow and plain on purpose.
"""

from collections.abc import Iterable
from typing import NamedTuple

MARKER = b"\xff" * 16
OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH = 1, 2, 3, 4, 5
IPV4, IPV6 = b"\0\1\1", b"\0\2\1"

#: A NEXT_HOP that nodes use in these tests, 192.168.3.31 and fd00:3::31.
HOP4, HOP6 = bytes.fromhex("c0a8031f"), bytes.fromhex("fd000003000000000000000000000031")

#: 192.168.30.1/32, 192.168.30.22/32, fd00:30::1/128
TRAEFIK, GITEA, TRAEFIK6 = (
    bytes.fromhex("20c0a81e01"),
    bytes.fromhex("20c0a81e16"),
    bytes.fromhex("80fd000030000000000000000000000001"),
)


def message(kind: int, body: bytes = b"") -> bytes:
    """One message (RFC 4271 4.1)."""
    return MARKER + (19 + len(body)).to_bytes(2, "big") + bytes((kind,)) + body


ALIVE = message(KEEPALIVE)


def split(stream: bytes) -> list[bytes]:
    """The whole messages of a stream; ValueError where it is not made of whole messages."""
    messages = []
    while stream:
        if len(stream) < 19 or stream[:16] != MARKER:
            raise ValueError(f"no BGP header at {stream[:19].hex()}")
        size = int.from_bytes(stream[16:18], "big")
        if not 19 <= size <= len(stream):
            raise ValueError(f"a message of {size} octets where {len(stream)} are left")
        messages.append(stream[:size])
        stream = stream[size:]
    return messages


def attribute(flags: int, code: int, value: bytes) -> bytes:
    """One path attribute, its length in two octets where the flags say so (RFC 4271 4.3)."""
    return bytes((flags, code)) + len(value).to_bytes(2 if flags & 0x10 else 1, "big") + value


def as_path(*asns: int, size: int = 4) -> bytes:
    """AS_PATH with one AS_SEQUENCE, or none for a route of the own AS."""
    value = bytes((2, len(asns))) + b"".join(asn.to_bytes(size, "big") for asn in asns) if asns else b""
    return attribute(0x40, 2, value)


ORIGIN = attribute(0x40, 1, b"\0")
NO_AS_PATH = as_path()
NEXT_HOP = attribute(0x40, 3, HOP4)
PLAIN = ORIGIN + NO_AS_PATH + NEXT_HOP


def update(attributes: bytes = b"", nlri: bytes = b"", withdrawn: bytes = b"") -> bytes:
    """One UPDATE (RFC 4271 4.3)."""
    lengths = len(withdrawn).to_bytes(2, "big"), len(attributes).to_bytes(2, "big")
    return message(UPDATE, lengths[0] + withdrawn + lengths[1] + attributes + nlri)


def mp_reach(nlri: bytes, hop: bytes = HOP6, family: bytes = IPV6) -> bytes:
    """MP_REACH_NLRI (RFC 4760 3)."""
    return attribute(0x90, 14, family + bytes((len(hop),)) + hop + b"\0" + nlri)


def mp_unreach(nlri: bytes, family: bytes = IPV6) -> bytes:
    """MP_UNREACH_NLRI (RFC 4760 4)."""
    return attribute(0x90, 15, family + nlri)


def capability(code: int, value: str = "") -> bytes:
    """One capability (RFC 5492), its value in hex."""
    raw = bytes.fromhex(value)
    return bytes((code, len(raw))) + raw


#: What MetalLB's native speaker offers: both families and AS 64512 in four octets.
METALLB = (capability(1, "00010001"), capability(1, "00020001"), capability(65, "0000fc00"))


def open_body(
    capabilities: Iterable[bytes] = METALLB,
    *,
    asn: int = 64512,
    hold_time: int = 90,
    router_id: str = "c0a8031f",
    version: int = 4,
) -> bytes:
    """The body of an OPEN, every capability in a parameter of its own (RFC 4271 4.2)."""
    parameters = b"".join(bytes((2, len(one))) + one for one in capabilities)
    head = bytes((version,)) + asn.to_bytes(2, "big") + hold_time.to_bytes(2, "big") + bytes.fromhex(router_id)
    return head + bytes((len(parameters),)) + parameters


class Parsed(NamedTuple):
    """An UPDATE of one family, as a naive receiver reads it; each path is (path identifier, prefix)."""

    family: bytes
    next_hop: bytes
    attributes: bytes  # without MP_REACH_NLRI and MP_UNREACH_NLRI
    announced: list[tuple[bytes, bytes]]
    withdrawn: list[tuple[bytes, bytes]]


def paths(field: bytes, id_size: int) -> list[tuple[bytes, bytes]]:
    """The paths of an NLRI field, with path identifiers of 4 octets or none (RFC 7911 3)."""
    found = []
    while field:
        end = id_size + 1 + (field[id_size] + 7) // 8
        if end > len(field):
            raise ValueError("NLRI cut short")
        found.append((field[:id_size], field[id_size:end]))
        field = field[end:]
    return found


def attributes_of(field: bytes) -> list[tuple[int, int, bytes, bytes]]:
    """(flags, code, value, as it stood) of each attribute."""
    found = []
    while field:
        header = 4 if field[0] & 0x10 else 3
        end = header + int.from_bytes(field[2:header], "big")
        if end > len(field):
            raise ValueError("attribute cut short")
        found.append((field[0], field[1], field[header:end], field[:end]))
        field = field[end:]
    return found


def parse_update(one: bytes, id_size: int = 0) -> Parsed:
    """Reads one UPDATE; ValueError where it does not add up."""
    body = one[19:]
    routes_end = 2 + int.from_bytes(body[:2], "big")
    attributes_end = routes_end + 2 + int.from_bytes(body[routes_end : routes_end + 2], "big")
    if attributes_end > len(body):
        raise ValueError("the attributes are longer than the UPDATE")
    family, hop, plain = IPV4, b"", b""
    gone, new = paths(body[2:routes_end], id_size), paths(body[attributes_end:], id_size)
    for _, code, value, whole in attributes_of(body[routes_end + 2 : attributes_end]):
        if code == 14:
            size = value[3]
            family, hop, new = value[:3], value[4 : 4 + size], new + paths(value[5 + size :], id_size)
        elif code == 15:
            family, gone = value[:3], gone + paths(value[3:], id_size)
        else:
            hop = value if code == 3 else hop
            plain += whole
    return Parsed(family, hop, plain, new, gone)
