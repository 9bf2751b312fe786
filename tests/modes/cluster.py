"""Ten nodes as a cluster has them: a BGP speaker each, and services that tell who answered.

Every node is a host of its own and answers for the whole of SERVICES (so does a node behind kube-proxy). Its speaker is
a few lines that write RFC 4271 by themselves: it dials Onepeer, or a router, announces, and dials again whenever the
session ends, as MetalLB's does. All speakers run in one event loop, in a thread.
"""

import asyncio
import contextlib
import ipaddress
import socket
import struct
import threading
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

from tests.lab import Host, family_of
from tests.lab.raw import KEEPALIVE, OPEN, UPDATE, attributes, message, nlri

REDIAL = 0.1
"""Seconds from the end of a session to the next dial; MetalLB with `connectTime: 1s` takes up to 1."""
ALIVE = 25.0
"""Seconds between two KEEPALIVEs, for a hold time of 90."""
HOLD = 90


def opening(asn: int, router_id: str) -> bytes:
    """An OPEN with both unicast families (RFC 4760) and four-octet AS numbers (RFC 6793)."""
    families = b"".join(struct.pack("!BBHBB", 1, 4, afi, 0, 1) for afi in (1, 2))
    capabilities = families + struct.pack("!BBI", 65, 4, asn)
    parameters = struct.pack("!BB", 2, len(capabilities)) + capabilities
    head = struct.pack("!BHH", 4, asn, HOLD) + ipaddress.IPv4Address(router_id).packed
    return message(OPEN, head + bytes([len(parameters)]) + parameters)


def announcement(prefixes: Iterable[str], next_hops: dict[int, str]) -> bytes:
    """UPDATEs for prefixes of both families, one for each family."""
    mine = {family: [p for p in prefixes if family_of(p) == family] for family in (4, 6)}
    out = b""
    if mine[4]:
        path = attributes(next_hops[4])
        packed = b"".join(nlri(prefix) for prefix in mine[4])
        out += message(UPDATE, struct.pack("!HH", 0, len(path)) + path + packed)
    if mine[6]:
        hop = ipaddress.IPv6Address(next_hops[6]).packed
        reach = struct.pack("!HBB", 2, 1, 16) + hop + b"\0" + b"".join(_nlri6(p) for p in mine[6])
        path = b"\x40\x01\x01\x00\x40\x02\x00\x40\x05\x04" + struct.pack("!I", 100)
        path += struct.pack("!BBH", 0x90, 14, len(reach)) + reach
        out += message(UPDATE, struct.pack("!HH", 0, len(path)) + path)
    return out


def withdrawal(prefixes: Iterable[str]) -> bytes:
    """UPDATEs that take these back."""
    mine = {family: [p for p in prefixes if family_of(p) == family] for family in (4, 6)}
    out = b""
    if mine[4]:
        packed = b"".join(nlri(prefix) for prefix in mine[4])
        out += message(UPDATE, struct.pack("!H", len(packed)) + packed + b"\0\0")
    if mine[6]:
        unreach = struct.pack("!HB", 2, 1) + b"".join(_nlri6(p) for p in mine[6])
        path = struct.pack("!BBH", 0x90, 15, len(unreach)) + unreach
        out += message(UPDATE, struct.pack("!HH", 0, len(path)) + path)
    return out


def _nlri6(prefix: str) -> bytes:
    network = ipaddress.IPv6Network(prefix)
    return bytes([network.prefixlen]) + network.network_address.packed[: (network.prefixlen + 7) // 8]


class Node:
    """One node's speaker: up or down, with what it announces."""

    def __init__(self, cluster: "Cluster", host: Host) -> None:
        self.host = host
        self.prefixes: list[str] = []
        """What it announces; empty = it does not run."""
        self.established = False
        self._cluster = cluster
        self._life: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    @property
    def name(self) -> str:
        return self.host.name

    def start(self, target: tuple[str, int], prefixes: Sequence[str]) -> None:
        """Dial this address and port from now on, and announce these."""
        self.prefixes = list(prefixes)
        self._cluster.call(self._start(target))

    def stop(self) -> None:
        """End the session at once, with no goodbye, as a speaker that is killed; TCP resets. Safe to call twice."""
        self.prefixes = []
        self._cluster.call(self._stop())

    def withdraw(self, *prefixes: str) -> None:
        """Take these back."""
        self.prefixes = [one for one in self.prefixes if one not in prefixes]
        self._cluster.call(self._send(withdrawal(prefixes)))

    async def _start(self, target: tuple[str, int]) -> None:
        assert self._life is None, f"{self.name} runs already"
        self._life = asyncio.get_running_loop().create_task(self._live(target))

    async def _stop(self) -> None:
        life, self._life = self._life, None
        if life is not None:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
            await asyncio.sleep(0.01)  # abort() sends the RST in a later turn of the loop

    async def _send(self, data: bytes) -> None:
        if self._writer is not None:
            self._writer.write(data)

    async def _live(self, target: tuple[str, int]) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # refused, reset or closed
                await self._session(target)
            await asyncio.sleep(REDIAL)

    async def _session(self, target: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        connection = self.host.socket()
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.bind((self.host.v4, 0))
            await loop.sock_connect(connection, target)
            reader, writer = await asyncio.open_connection(sock=connection)
        except BaseException:
            connection.close()
            raise
        try:
            writer.write(opening(self._cluster.asn, self.host.v4))
            await _read_until(reader, OPEN)
            writer.write(message(KEEPALIVE))
            await _read_until(reader, KEEPALIVE)
            self._writer, self.established = writer, True
            writer.write(announcement(self.prefixes, {4: self.host.v4, 6: self.host.v6}))
            while True:
                try:
                    async with asyncio.timeout(ALIVE):
                        await _read_until(reader, None)
                except TimeoutError:
                    writer.write(message(KEEPALIVE))
        finally:
            self._writer, self.established = None, False
            writer.transport.abort()


async def _read_until(reader: asyncio.StreamReader, kind: int | None) -> None:
    """Read whole messages up to one of this kind; None: for ever. Raises IncompleteReadError at the end."""
    while True:
        head = await reader.readexactly(19)
        length, seen = struct.unpack_from("!HB", head, 16)
        await reader.readexactly(length - 19)
        if seen == kind:
            return


class Cluster:
    """The nodes and the loop in which their speakers run."""

    def __init__(self, hosts: Sequence[Host], asn: int) -> None:
        self.asn = asn
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cluster", daemon=True)
        self._thread.start()
        self.nodes = [Node(self, host) for host in hosts]

    def call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run this in the speakers' loop, to its end."""
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def roster(self) -> list[dict[str, Any]]:
        """All nodes, as nodes.yaml lists them."""
        return [{"name": one.name, "addresses": [one.host.v4, one.host.v6]} for one in self.nodes]

    def stop(self) -> None:
        """End all speakers."""
        for node in self.nodes:
            node.stop()

    def close(self) -> None:
        """End all speakers and the loop."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
