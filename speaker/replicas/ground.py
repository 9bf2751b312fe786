"""What of this host does a lead stand on? The router's addresses on an interface, and what the link says of them.

One for each router. Addresses are held for some seconds at a time, by the kernel: it takes them away itself where
nobody renews them. Needs CAP_NET_ADMIN for them and CAP_NET_RAW for ARP. IPv4.
"""

import asyncio
import errno
import importlib
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from ipaddress import IPv4Address, IPv4Interface
from typing import Any, Final

from speaker.net.repair import Challenge, Numbers
from speaker.net.sockets import Address
from speaker.replicas.follower import Copy

PROBES: Final = 3
PROBE_EVERY: Final = 0.07
"""Seconds between two probes, and after the last (RFC 5227 has 1 to 2 s for hosts that come to an unknown link)."""

CHALLENGE: Final = 0.25
"""Seconds for the router's answer, which takes 0.2 ms. Its kernel limits the rate of these."""

LOOK: Final = 0.5
"""Seconds between two looks at whether the router is there."""

GONE: Final = 1.7
"""Seconds of silence after which it is not: three lost answers."""

_ARP, _IP = 0x0806, 0x0800
_EVERYBODY = b"\xff" * 6
_REQUEST, _REPLY = 1, 2


class GroundError(Exception):
    """The addresses cannot be had, and the way out."""


class Ground:
    """`addresses` are the router's own for us, `router` where it is."""

    def __init__(self, router: Address, addresses: Sequence[Address]) -> None:
        self._router = router
        self._addresses = [IPv4Address(str(address)) for address in addresses]
        self._loop = asyncio.get_running_loop()
        self._closing = AsyncExitStack()
        self._netlink: Any
        self._heard = self._loop.time()
        self._others: dict[IPv4Address, bytes] = {}

    async def open(self, interface: str | None) -> None:
        """Finds the interface, or takes this one. Raises GroundError."""
        if self._router.version != 4:
            raise GroundError(f"{self._router}: replicas move IPv4 addresses only; give the router's IPv4 address")
        # 0.3 s, which sessions must not wait for.
        pyroute2 = await asyncio.to_thread(importlib.import_module, "pyroute2")
        try:
            self._netlink = await self._closing.enter_async_context(pyroute2.AsyncIPRoute())
            await self._find(interface)
            self._arp = self._closing.enter_context(self._packets(_ARP))
            self._raw = self._closing.enter_context(
                socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)
            )
        except GroundError:
            await self._closing.aclose()
            raise
        except _errors() as error:
            await self._closing.aclose()
            raise GroundError(_words(error)) from None
        self._loop.add_reader(self._arp, self._read)
        self._closing.callback(self._loop.remove_reader, self._arp)
        self._looking = self._loop.call_soon(self._look)
        self._closing.callback(lambda: self._looking.cancel())

    async def close(self) -> None:
        """Leaves the addresses as they are."""
        await self._closing.aclose()

    # --- addresses ---

    async def hold(self, seconds: int) -> None:
        """Have the addresses, for so long from now on. Raises GroundError."""
        for address in self._addresses:
            await self._address("replace", address, preferred_lft=seconds, valid_lft=seconds)

    async def drop(self) -> None:
        """Have none of them."""
        for address in self._addresses:
            try:
                await self._address("del", address)
            except GroundError:
                continue  # the kernel has taken it already

    def announce(self) -> None:
        """Tell the link that they are here: the request form is what routers take."""
        for address in self._addresses:
            self._send(_REQUEST, _EVERYBODY, address, b"\0" * 6, address)
            self._send(_REPLY, _EVERYBODY, address, self._mac, address)

    # --- the link ---

    async def taken(self) -> str | None:
        """Who else answers for one of the addresses: its hardware address (RFC 5227 2.1.1)."""
        self._others.clear()
        for _ in range(PROBES):
            for address in self._addresses:
                self._send(_REQUEST, _EVERYBODY, IPv4Address(0), b"\0" * 6, address)
            await asyncio.sleep(PROBE_EVERY)
            if self._others:
                return next(iter(self._others.values())).hex(":")
        return None

    def reaches(self) -> bool:
        """Whether the router answers on the link."""
        return self._loop.time() - self._heard < GONE

    # --- the router's TCP ---

    async def challenge(self, copies: Mapping[int, Copy], passwords: Mapping[int, bytes | None]) -> dict[int, Numbers]:
        """Where these connections stand, as the router says; those that it does not tell of are left out."""
        asked = {}
        for lane, copy in copies.items():
            said = copy.described
            local = IPv4Address(said.local), said.local_port
            remote, scale = (IPv4Address(said.remote), said.remote_port), said.tcp["send_scale"] if said.tcp else 0
            asked[lane] = Challenge(local, remote, passwords[lane], scale)
        found: dict[int, Numbers] = {}
        with self._packets(_IP) as answers:
            for one in asked.values():
                self._raw.sendto(one.packet(), (str(self._router), 0))
            try:
                async with asyncio.timeout(CHALLENGE):
                    while asked:
                        self._match((await self._loop.sock_recv(answers, 2048)), asked, found)
            except TimeoutError:
                pass  # some kernels send none, or not so soon after another
        return found

    def _match(self, packet: bytes, asked: dict[int, Challenge], found: dict[int, Numbers]) -> None:
        for lane, one in list(asked.items()):
            try:
                numbers = one.read(packet)
            except ConnectionResetError:
                del asked[lane]
                continue
            if numbers is not None:
                found[lane] = numbers
                del asked[lane]

    # --- inside ---

    async def _find(self, interface: str | None) -> None:
        """The interface, and the network that the addresses are in there."""
        if interface is None:
            route = (await self._netlink.route("get", dst=str(self._router)))[0]
            self._index = int(route.get("RTA_OIF"))
        else:
            self._index = int((await self._netlink.link_lookup(ifname=interface) or [0])[0])
        if not self._index:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        async for link in await self._netlink.get_links(self._index):
            self._name, mac = str(link.get("IFLA_IFNAME")), link.get("IFLA_ADDRESS") or ""
            self._mac = bytes.fromhex(mac.replace(":", ""))
        nets = [
            IPv4Interface(f"{found.get('IFA_LOCAL')}/{found['prefixlen']}")
            async for found in await self._netlink.get_addr(family=socket.AF_INET)
            if found["index"] == self._index
        ]
        mine = [net for net in nets if self._router in net.network and net.ip not in self._addresses]
        if not mine:
            raise GroundError(f"{self._name} has no address in the network of {self._router}; see replicas.interface")
        self._own = mine[0]

    async def _address(self, command: str, address: IPv4Address, **lifetime: int) -> None:
        # The interface's own prefix length makes it a secondary address, which the kernel never picks as a source.
        try:
            await self._netlink.addr(
                command, index=self._index, address=str(address), prefixlen=self._own.network.prefixlen, **lifetime
            )
        except _errors() as error:
            raise GroundError(f"{address} on {self._name}: {_words(error)}") from None

    def _packets(self, kind: int) -> socket.socket:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, socket.htons(kind))
        sock.bind((self._name, kind))
        sock.setblocking(False)
        return sock

    def _send(self, what: int, to: bytes, sender: IPv4Address, target_mac: bytes, target: IPv4Address) -> None:
        body = struct.pack("!HHBBH", 1, _IP, 6, 4, what) + self._mac + sender.packed + target_mac + target.packed
        try:
            self._arp.sendto(body, (self._name, _ARP, 0, 0, to))
        except OSError:
            return  # the interface is down; the link says nothing then

    def _look(self) -> None:
        self._send(_REQUEST, _EVERYBODY, self._own.ip, b"\0" * 6, IPv4Address(str(self._router)))
        self._looking = self._loop.call_later(LOOK, self._look)

    def _read(self) -> None:
        while True:
            try:
                said = self._arp.recv(64)
            except OSError:
                return
            mac, sender = said[8:14], IPv4Address(said[14:18]) if len(said) >= 28 else None
            if sender is None or mac == self._mac:
                continue
            if sender == self._router:
                self._heard = self._loop.time()
            elif sender in self._addresses:
                self._others[sender] = mac


def _errors() -> tuple[type[Exception], ...]:
    """What the system and its library say no with."""
    return OSError, LookupError, importlib.import_module("pyroute2.netlink.exceptions").NetlinkError


def _words(error: Exception) -> str:
    code = getattr(error, "code", None) or getattr(error, "errno", None)
    if code in (errno.EPERM, errno.EACCES):
        return "not allowed: replicas need CAP_NET_ADMIN and CAP_NET_RAW"
    return os.strerror(code).lower() if code else str(error)
