"""A BGP speaker of raw bytes in the test's own event loop: does what its test says, and remembers all it is told.

Wire        one connection, dialed or accepted
Identity    what its OPEN says
RawRouter   a router that waits for calls
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self, cast

from speaker.net.sockets import set_password
from tests.bgp.bgp_wire import (
    ALIVE,
    IPV4,
    IPV6,
    KEEPALIVE,
    NOTIFICATION,
    OPEN,
    UPDATE,
    Parsed,
    attribute,
    capability,
    message,
    open_body,
    parse_update,
    update,
)

#: Two multiprotocol families and four-octet AS 64512: MetalLB's native speaker.
NATIVE = (capability(1, "00010001"), capability(1, "00020001"), capability(65, "0000fc00"))
REFRESH = capability(2)
ADD_PATH = capability(69, "00010101 00020101")
RESTART = capability(64, "0078 00010180 00020180")

#: The capabilities of a router that has it all.
FULL = (*NATIVE, REFRESH, ADD_PATH, RESTART)

ASN = 64512


@dataclass(frozen=True, slots=True)
class Identity:
    """What an OPEN says. `router_id` as an IPv4 address."""

    router_id: str
    asn: int = ASN
    hold_time: int = 90
    capabilities: tuple[bytes, ...] = NATIVE

    def open(self) -> bytes:
        """The message."""
        raw = ipaddress.IPv4Address(self.router_id).packed.hex()
        own = capability(65, self.asn.to_bytes(4, "big").hex())
        capabilities = tuple(own if one[0] == 65 else one for one in self.capabilities)
        body = open_body(capabilities, asn=self.asn, hold_time=self.hold_time, router_id=raw)
        return message(OPEN, body)


@dataclass(slots=True)
class Table:
    """What a naive router has taken up: (path identifier, prefix) -> UPDATE that told it, by family."""

    routes: dict[tuple[bytes, bytes], Parsed] = field(default_factory=dict)
    ends: set[bytes] = field(default_factory=set)

    def take(self, parsed: Parsed, at_end: bool) -> None:
        """One UPDATE."""
        for path in parsed.withdrawn:
            self.routes.pop(path, None)
        for path in parsed.announced:
            self.routes[path] = parsed
        if at_end:
            self.ends.add(parsed.family)

    def hops(self, prefix: str) -> list[str]:
        """The next hops of a prefix, sorted as text."""
        wanted = nlri(prefix)
        found = [parsed.next_hop for (_, name), parsed in self.routes.items() if name == wanted]
        return sorted(str(ipaddress.ip_address(hop[:16])) for hop in found)


class Wire(asyncio.Protocol):
    """One connection. With an `identity` it opens and confirms by itself; without one it says nothing unasked.

    `lost` is how it ended: "" while it has not, else "closed" or "reset".
    """

    def __init__(self, identity: Identity | None = None, *, id_size: int = 0) -> None:
        self.identity = identity
        self.id_size = id_size
        self.messages: list[bytes] = []
        self.octets = 0
        self.lost = ""
        self.table = Table()
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.identity is not None:
            self.send(self.identity.open())

    def data_received(self, data: bytes) -> None:
        self.octets += len(data)
        self._buffer += data
        while len(self._buffer) >= 19 and len(self._buffer) >= (size := int.from_bytes(self._buffer[16:18], "big")):
            one, self._buffer = self._buffer[:size], self._buffer[size:]
            self._take(one)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = "closed" if exc is None else "reset"

    # --- what a test does ---

    def send(self, *messages: bytes) -> None:
        """Write these."""
        assert self._transport is not None
        self._transport.write(b"".join(messages))

    def announce(self, *prefixes: str, hop: str, **more: bytes) -> None:
        """Announce IPv4 prefixes in one UPDATE; `more` are attributes as on the wire."""
        self.send(update(path(hop, *more.values()), b"".join(map(nlri, prefixes))))

    def withdraw(self, *prefixes: str) -> None:
        """Withdraw IPv4 prefixes."""
        self.send(update(withdrawn=b"".join(map(nlri, prefixes))))

    def end_of_rib(self) -> None:
        """Of both families (RFC 4724 2)."""
        self.send(update(), update(attribute(0x80, 15, IPV6)))

    def sleep(self) -> None:
        """Read no more."""
        assert self._transport is not None
        self._transport.pause_reading()

    def wake(self) -> None:
        """Read again."""
        assert self._transport is not None
        self._transport.resume_reading()

    def drop(self) -> None:
        """Go away with a RST."""
        if self._transport is not None:
            self._transport.abort()

    def hang_up(self) -> None:
        """Close in the ordinary way, without a word."""
        assert self._transport is not None
        self._transport.close()

    def forget(self) -> None:
        """Lose the connection as a host does that lost its power: nothing is sent, and the kernel knows it no more."""
        assert self._transport is not None
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        self._transport.abort()

    # --- what a test looks at ---

    @property
    def socket(self) -> socket.socket:
        """For socket options."""
        assert self._transport is not None
        return cast(socket.socket, self._transport.get_extra_info("socket"))

    @property
    def up(self) -> bool:
        """Established, as far as this side knows."""
        return not self.lost and KEEPALIVE in self.kinds()

    @property
    def remote(self) -> tuple[str, int]:
        """Address and port of Onepeer's end."""
        host, port = self.socket.getpeername()[:2]
        return host, port

    def kinds(self) -> list[int]:
        """The types of the messages that came."""
        return [one[18] for one in self.messages]

    def updates(self) -> list[bytes]:
        """The UPDATEs that came."""
        return [one for one in self.messages if one[18] == UPDATE]

    def notification(self) -> tuple[int, int] | None:
        """Code and subcode of the NOTIFICATION that came."""
        found = self.notifications()
        return (found[0][19], found[0][20]) if found else None

    def notifications(self) -> list[bytes]:
        """Whole messages."""
        return [one for one in self.messages if one[18] == NOTIFICATION]

    def capability(self, code: int) -> bytes | None:
        """The value of a capability in the OPEN that came, or None."""
        (first,) = [one for one in self.messages if one[18] == OPEN]
        parameters, found = first[29:], None
        while parameters:
            size = parameters[1]
            part, parameters = parameters[2 : 2 + size], parameters[2 + size :]
            while part:
                if part[0] == code:
                    found = part[2 : 2 + part[1]]
                part = part[2 + part[1] :]
        return found

    def _take(self, one: bytes) -> None:
        self.messages.append(one)
        if one[18] == OPEN and self.identity is not None:
            self.send(ALIVE)
        elif one[18] == UPDATE:
            parsed = parse_update(one, self.id_size)
            self.table.take(parsed, not (parsed.announced or parsed.withdrawn))


class RawRouter:
    """A router that takes every call. `calls` are the connections so far, the newest last."""

    def __init__(self, address: str, port: int, identity: Identity | None) -> None:
        self.address = address
        self.port = port
        self.identity = identity
        self.calls: list[Wire] = []
        self._server: asyncio.Server | None = None
        self._sock: socket.socket | None = None

    async def listen(
        self,
        receive_buffer: int | None = None,
        *,
        key: tuple[str, bytes] | None = None,
        sock: socket.socket | None = None,
    ) -> Self:
        """From now on. `receive_buffer`: octets that its kernel takes without anybody reading, about. `key`: who has
        to sign, and with what."""
        self._sock = sock = sock or socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if key is not None:
            self.sign(*key)
        sock.bind((self.address, self.port))
        self._server = await asyncio.get_running_loop().create_server(self._call, sock=sock)
        return self

    def sign(self, peer: str, key: bytes) -> None:
        """From now on calls of `peer` have to be signed with this key (RFC 2385)."""
        assert self._sock is not None
        set_password(self._sock, ipaddress.ip_address(peer), key)

    @property
    def wire(self) -> Wire:
        """The newest call."""
        assert self.calls, "nobody has called the router"
        return self.calls[-1]

    @property
    def up(self) -> bool:
        """Whether the newest call is established."""
        return bool(self.calls) and self.wire.up

    def hops(self, prefix: str) -> list[str]:
        """Next hops that the newest call has told of a prefix."""
        return self.wire.table.hops(prefix) if self.calls else []

    def go(self) -> None:
        """Listen no more, and drop all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for wire in self.calls:
            wire.drop()

    def _call(self) -> Wire:
        wire = Wire(self.identity, id_size=4 if self.identity and ADD_PATH in self.identity.capabilities else 0)
        self.calls.append(wire)
        return wire


async def call(
    source: str,
    remote: str,
    port: int,
    identity: Identity | None = None,
    *,
    id_size: int = 0,
    sock: socket.socket | None = None,
) -> Wire:
    """Dial from `source`. Raises OSError where nobody listens."""
    loop = asyncio.get_running_loop()
    sock = sock or socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
    sock.setblocking(False)
    wire = Wire(identity, id_size=id_size)
    try:
        sock.bind((source, 0))
        await loop.sock_connect(sock, (remote, port))
        await loop.create_connection(lambda: wire, sock=sock)
    except ConnectionResetError:  # before this side had looked
        sock.close()
        wire.lost = "reset"
    except BaseException:
        sock.close()
        raise
    return wire


def nlri(prefix: str) -> bytes:
    """One prefix as on the wire."""
    network = ipaddress.ip_network(prefix)
    return bytes([network.prefixlen]) + network.network_address.packed[: (network.prefixlen + 7) // 8]


def path(hop: str, *more: bytes, asns: Iterable[int] = ()) -> bytes:
    """The attributes of an iBGP path: ORIGIN, AS_PATH, NEXT_HOP, LOCAL_PREF 100, and more as on the wire."""
    asns = list(asns)
    sequence = bytes((2, len(asns))) + b"".join(one.to_bytes(4, "big") for one in asns) if asns else b""
    return b"".join(
        (
            attribute(0x40, 1, b"\0"),
            attribute(0x40, 2, sequence),
            attribute(0x40, 3, ipaddress.IPv4Address(hop).packed),
            attribute(0x40, 5, (100).to_bytes(4, "big")),
            *more,
        )
    )


def communities(*texts: str) -> bytes:
    """COMMUNITIES (RFC 1997), each as 64512:100."""
    values = (text.split(":") for text in texts)
    return attribute(0xC0, 8, b"".join(int(a).to_bytes(2, "big") + int(b).to_bytes(2, "big") for a, b in values))


def refresh(family: bytes = IPV4) -> bytes:
    """ROUTE-REFRESH (RFC 2918)."""
    return message(5, family[:2] + b"\0" + family[2:])


#: setsockopt: a socket in repair mode is closed without a word to the other side.
TCP_REPAIR = 19
