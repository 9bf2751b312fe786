"""A BGP speaker of a few lines, for what no daemon can be brought to do: misbehave, be slow, be a thousand.

It writes and reads RFC 4271 bytes by itself, on purpose without Onepeer's own code or library. IPv4 unicast and
four-octet AS numbers only, no route refresh and no graceful restart: what MetalLB's native speaker offers.
"""

import asyncio
import ipaddress
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.lab.netns import Host

MARKER = b"\xff" * 16
OPEN, UPDATE, NOTIFICATION, KEEPALIVE = 1, 2, 3, 4
AS_TRANS = 23456
HOLD = 90
MAX_MESSAGE = 4096


@dataclass(frozen=True, slots=True)
class Message:
    """One BGP message as read."""

    kind: int
    body: bytes
    """What follows the header."""

    @property
    def notification(self) -> tuple[int, int]:
        """Error code and subcode."""
        return self.body[0], self.body[1]


def message(kind: int, body: bytes = b"") -> bytes:
    """A message with its header (RFC 4271 4.1)."""
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def open_message(asn: int, router_id: str, hold: int = HOLD) -> bytes:
    """An OPEN that offers IPv4 unicast (RFC 4760) and four-octet AS numbers (RFC 6793)."""
    capabilities = struct.pack("!BBHBB", 1, 4, 1, 0, 1) + struct.pack("!BBI", 65, 4, asn)
    parameters = struct.pack("!BB", 2, len(capabilities)) + capabilities
    two_octets = asn if asn < 1 << 16 else AS_TRANS
    identifier = ipaddress.IPv4Address(router_id).packed
    head = struct.pack("!BHH", 4, two_octets, hold) + identifier
    return message(OPEN, head + bytes([len(parameters)]) + parameters)


def nlri(prefix: str) -> bytes:
    """One IPv4 prefix as on the wire."""
    network = ipaddress.IPv4Network(prefix)
    return bytes([network.prefixlen]) + network.network_address.packed[: (network.prefixlen + 7) // 8]


def attributes(next_hop: str, *, local_pref: int = 100, med: int | None = None) -> bytes:
    """ORIGIN IGP, an empty AS_PATH, NEXT_HOP, LOCAL_PREF and perhaps MULTI_EXIT_DISC: an iBGP path's."""
    origin, as_path = b"\x40\x01\x01\x00", b"\x40\x02\x00"
    hop = b"\x40\x03\x04" + ipaddress.IPv4Address(next_hop).packed
    discriminator = b"" if med is None else b"\x80\x04\x04" + struct.pack("!I", med)
    return origin + as_path + hop + discriminator + b"\x40\x05\x04" + struct.pack("!I", local_pref)


def updates(path: bytes, prefixes: Iterable[str]) -> Iterator[bytes]:
    """UPDATEs that announce these prefixes with one attribute set, each as full as it may be."""
    room = MAX_MESSAGE - 19 - 4 - len(path)
    packed = b""
    for prefix in prefixes:
        one = nlri(prefix)
        if len(packed) + len(one) > room:
            yield message(UPDATE, struct.pack("!HH", 0, len(path)) + path + packed)
            packed = b""
        packed += one
    yield message(UPDATE, struct.pack("!HH", 0, len(path)) + path + packed)


class Raw:
    """One connection, blocking, with a deadline on every read."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._buffer = b""
        self.received = 0
        """Bytes read so far."""

    @classmethod
    def dial(cls, host: Host, address: str, port: int, source: str | None = None) -> "Raw":
        """Connect from a host. Raises OSError."""
        connection = host.socket(6 if ":" in address else 4)
        host.lab.on_close(connection.close)
        connection.settimeout(5)
        if source is not None:
            connection.bind((source, 0))
        connection.connect((address, port))
        return cls(connection)

    def send(self, *messages: bytes) -> None:
        self.connection.sendall(b"".join(messages))

    def read(self, timeout: float = 5) -> Message | None:
        """The next message; None when the other side has closed. Raises TimeoutError."""
        end = time.monotonic() + timeout
        while (found := self._take()) is None:
            self.connection.settimeout(max(0.001, end - time.monotonic()))
            try:
                chunk = self.connection.recv(65536)
            except ConnectionResetError:
                return None
            if not chunk:
                return None
            self.received += len(chunk)
            self._buffer += chunk
        return found

    def read_until(self, wanted: Callable[[Message], bool], timeout: float = 5) -> Message | None:
        """The next message that is wanted; None when the other side has closed before. Raises TimeoutError."""
        end = time.monotonic() + timeout
        while True:
            found = self.read(max(0.001, end - time.monotonic()))
            if found is None or wanted(found):
                return found

    def establish(self, asn: int, router_id: str, hold: int = HOLD) -> None:
        """Exchange OPENs and KEEPALIVEs. Raises AssertionError when the other side does not."""
        self.send(open_message(asn, router_id, hold))
        first = self.read()
        assert first is not None, "closed before its OPEN"
        assert first.kind == OPEN, f"not an OPEN: {first}"
        self.send(message(KEEPALIVE))
        second = self.read()
        assert second is not None, "closed after its OPEN"
        assert second.kind == KEEPALIVE, f"not a KEEPALIVE: {second}"

    def close(self) -> None:
        self.connection.close()

    def _take(self) -> Message | None:
        if len(self._buffer) < 19:
            return None
        length, kind = struct.unpack_from("!HB", self._buffer, 16)
        if len(self._buffer) < length:
            return None
        body, self._buffer = self._buffer[19:length], self._buffer[length:]
        return Message(kind, body)


class RawRouter:
    """A router of raw bytes: waits for Onepeer's call."""

    def __init__(self, host: Host, address: str, receive_buffer: int | None = None) -> None:
        """`receive_buffer`: bytes that its kernel takes without anybody reading, about."""
        self._listener = host.socket()
        host.lab.on_close(self._listener.close)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind((address, 179))
        self._listener.listen()
        self._listener.settimeout(10)
        self._lab = host.lab

    def accept(self) -> Raw:
        """The next call. Raises TimeoutError after 10 s."""
        connection, _ = self._listener.accept()
        self._lab.on_close(connection.close)
        return Raw(connection)

    def close(self) -> None:
        self._listener.close()


class Swarm:
    """Many raw nodes of one host, each from an address of its own, in one event loop."""

    def __init__(self, host: Host, sources: Sequence[str], target: tuple[str, int], asn: int) -> None:
        self._host, self._sources, self._target, self._asn = host, sources, target, asn
        self._writers: list[asyncio.StreamWriter] = []
        self._readers: list[asyncio.Task[None]] = []
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    async def connect(self, prefix_of: Callable[[int], str], deadline: float) -> None:
        """Dial from all addresses at once, each again until it is up; node i then announces `prefix_of(i)`.

        Raises TimeoutError when not all are up within `deadline` seconds.
        """
        async with asyncio.timeout(deadline), asyncio.TaskGroup() as group:
            for number, source in enumerate(self._sources):
                group.create_task(self._come_up(source, prefix_of(number)))

    async def close(self) -> None:
        """Drop every connection at once, with no goodbye."""
        for writer in self._writers:
            writer.transport.abort()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._writers.clear()
        self._readers.clear()

    async def _come_up(self, source: str, prefix: str) -> None:
        while True:
            try:
                return await self._try(source, prefix)
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.2)  # as a node does: again, and not at once

    async def _try(self, source: str, prefix: str) -> None:
        loop = asyncio.get_running_loop()
        connection = self._host.socket()
        connection.setblocking(False)
        try:
            connection.bind((source, 0))
            await loop.sock_connect(connection, self._target)
        except OSError:
            connection.close()
            raise
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            writer.write(open_message(self._asn, source))
            await self._expect(reader, OPEN)
            writer.write(message(KEEPALIVE))
            await self._expect(reader, KEEPALIVE)
            writer.write(b"".join(updates(attributes(source), [prefix])))
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()
            raise
        self._writers.append(writer)
        self._readers.append(loop.create_task(self._read_on(reader)))

    async def _expect(self, reader: asyncio.StreamReader, kind: int) -> None:
        head = await reader.readexactly(19)
        length, seen = struct.unpack_from("!HB", head, 16)
        await reader.readexactly(length - 19)
        if seen != kind:
            raise ConnectionError(f"message {seen} in place of {kind}")

    async def _read_on(self, reader: asyncio.StreamReader) -> None:
        """Read and forget, so that the other side is never held up."""
        try:
            while await reader.read(4096):
                pass
        except OSError:
            return
