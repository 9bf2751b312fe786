"""What does the far side of a recording say? As little as keeps the session up, in bytes made here by hand.

Nothing of the product is used: a recording must not depend on the codec that it is to judge.
"""

import asyncio
import contextlib
import ipaddress
import socket
import struct
import time
from collections.abc import Callable

from golden_net import Lab

MARKER = b"\xff" * 16
OPEN, UPDATE, NOTIFICATION, KEEPALIVE = 1, 2, 3, 4


def message(kind: int, body: bytes = b"") -> bytes:
    """One BGP message (RFC 4271 4.1)."""
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def split(stream: bytes) -> list[bytes]:
    """The whole messages of a stream; ValueError where the framing does not add up."""
    messages = []
    while stream:
        if len(stream) < 19 or stream[:16] != MARKER:
            raise ValueError(f"no BGP header at {stream[:19].hex()}")
        length = int.from_bytes(stream[16:18])
        if not 19 <= length <= len(stream):
            raise ValueError(f"a message of {length} bytes with {len(stream)} bytes left")
        messages.append(stream[:length])
        stream = stream[length:]
    return messages


def capability(code: int, value: str = "") -> bytes:
    """One capability (RFC 5492), its value in hex."""
    raw = bytes.fromhex(value)
    return bytes([code, len(raw)]) + raw


IPV4 = capability(1, "0001 00 01")
IPV6 = capability(1, "0002 00 01")
# What any node's speaker survives, MetalLB's native one included (its reader knows no more than these).
PLAIN = (IPV4, IPV6)
# Everything that a speaker of our own may offer to a router.
FULL = (
    IPV4,
    IPV6,
    capability(2),  # route refresh, RFC 2918
    capability(6),  # extended messages, RFC 8654
    capability(64, "0078 0001 01 00 0002 01 00"),  # graceful restart, 120 s, RFC 4724
    capability(69, "0001 01 03 0002 01 03"),  # ADD-PATH, both ways, RFC 7911
    capability(70),  # enhanced route refresh, RFC 7313
    capability(73, "076f6e6570656572 00"),  # FQDN "onepeer"
)


def open_message(asn: int, hold_time: int, router_id: str, capabilities: tuple[bytes, ...]) -> bytes:
    """An OPEN: all capabilities in one optional parameter, the four-octet AS number (RFC 6793) among them."""
    offered = b"".join(capabilities) + capability(65, f"{asn:08x}")
    parameter = bytes([2, len(offered)]) + offered
    my_as = asn if asn < 65536 else 23456
    head = struct.pack("!BHH", 4, my_as, hold_time) + ipaddress.IPv4Address(router_id).packed
    return message(OPEN, head + bytes([len(parameter)]) + parameter)


def nlri(prefix: str) -> bytes:
    """A prefix as it stands in an UPDATE: its length in bits, then the octets that length needs."""
    network = ipaddress.ip_network(prefix)
    return bytes([network.prefixlen]) + network.network_address.packed[: (network.prefixlen + 7) // 8]


def update(prefix: str, next_hop: str, local_pref: int = 100) -> bytes:
    """An iBGP UPDATE with one IPv4 prefix, as MetalLB sends it."""
    attributes = (
        bytes.fromhex("40010100 400200 400304")
        + ipaddress.IPv4Address(next_hop).packed
        + bytes.fromhex("400504")
        + local_pref.to_bytes(4)
    )
    return message(UPDATE, struct.pack("!HH", 0, len(attributes)) + attributes + nlri(prefix))


def withdrawal(prefix: str) -> bytes:
    """An UPDATE that withdraws one IPv4 prefix."""
    gone = nlri(prefix)
    return message(UPDATE, struct.pack("!H", len(gone)) + gone + b"\0\0")


class RawPeer:
    """One TCP session: sends `opening`, then keepalives, and keeps every byte that arrives in `stream`."""

    def __init__(self, opening: bytes) -> None:
        self.opening = opening
        self.stream = b""
        self.closed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._writer: asyncio.StreamWriter
        self._news = asyncio.Event()

    async def dial(self, lab: Lab, namespace: str, local: str, remote: str, port: int = 179) -> None:
        """Connect, trying again for 30 s while nobody listens there yet."""
        family = socket.AF_INET6 if ":" in remote else socket.AF_INET
        deadline = time.monotonic() + 30
        while True:
            sock = lab.socket(namespace, family)
            sock.bind((local, 0))
            try:
                await asyncio.get_running_loop().sock_connect(sock, (remote, port))
                break
            except OSError:
                sock.close()
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)
        await self.attach(*await asyncio.open_connection(sock=sock))

    async def attach(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take over a connection that is up, and open the session on it."""
        self._writer = writer
        self.send(self.opening)
        self._tasks = [asyncio.create_task(self._read(reader)), asyncio.create_task(self._keepalives())]

    def send(self, data: bytes) -> None:
        """Send these bytes; a connection that is gone by now shows in `closed`."""
        self._writer.write(data)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionResetError):
            while data := await reader.read(65536):
                if not self.stream:
                    self.send(message(KEEPALIVE))
                self.stream += data
                # A lone KEEPALIVE is no news: the daemon has nothing to say.
                if data != message(KEEPALIVE):
                    self._news.set()
        self.closed.set()
        self._news.set()

    async def _keepalives(self) -> None:
        hold_time = int.from_bytes(self.opening[22:24])
        while not self.closed.is_set():
            await asyncio.sleep(hold_time / 3)
            self.send(message(KEEPALIVE))

    async def established(self, seconds: float = 60) -> None:
        """Wait for the daemon's first KEEPALIVE: it has taken our OPEN."""
        async with asyncio.timeout(seconds):
            while message(KEEPALIVE) not in self.stream:
                if self.closed.is_set():
                    raise RuntimeError(f"the daemon closed the session: {self.stream.hex()}")
                await asyncio.sleep(0.05)

    async def quiet(self, seconds: float = 2) -> None:
        """Wait until nothing but KEEPALIVEs has come for so long."""
        while not self.closed.is_set():
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), seconds)
            except TimeoutError:
                return

    async def after(self, step: Callable[..., object], *arguments: object, quiet: float = 2) -> None:
        """Do this, wait up to 60 s for the daemon's answer, and then until it has been quiet for so long."""
        self._news.clear()
        await asyncio.to_thread(step, *arguments)
        await asyncio.wait_for(self._news.wait(), 60)
        await self.quiet(quiet)

    async def end(self) -> None:
        """Close our side."""
        for task in self._tasks:
            task.cancel()
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
