"""What of this host does a lead stand on? The router's addresses on an interface, and what the link says of them.

One for each router. Addresses are held for some seconds at a time, by the kernel: it takes them away itself where
nobody renews them. Needs CAP_NET_ADMIN for them and CAP_NET_RAW to ask the link (link.py).
"""

import asyncio
import errno
import importlib
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from ipaddress import ip_address, ip_interface
from typing import Any, Final

from speaker.net.repair import Challenge, Numbers
from speaker.net.sockets import Address
from speaker.replicas.follower import Copy
from speaker.replicas.link import Segments, link

PROBES: Final = 3
PROBE_EVERY: Final = 0.07
"""Seconds between two probes, and after the last (RFC 5227 has 1 to 2 s for hosts that come to an unknown link)."""

CHALLENGE: Final = 0.25
"""Seconds for the router's answer, which takes 0.2 ms. Its kernel limits the rate of these."""

LOOK: Final = 0.5
"""Seconds between two looks at whether the router is there."""

GONE: Final = 1.7
"""Seconds of silence after which it is not: three lost answers."""

_NO_DUPLICATE_DETECTION: Final = 0x02
"""IFA_F_NODAD: the address can be had at once; it is we who have asked whether anybody else has it."""


class GroundError(Exception):
    """The addresses cannot be had, and the way out."""


class Ground:
    """`addresses` are the router's own for us, `router` where it is."""

    def __init__(self, router: Address, addresses: Sequence[Address]) -> None:
        self._router = router
        self._family = socket.AF_INET if router.version == 4 else socket.AF_INET6
        self._addresses = list(addresses)
        self._loop = asyncio.get_running_loop()
        self._closing = AsyncExitStack()
        self._netlink: Any
        self._heard = self._loop.time()
        self._others: dict[Address, bytes] = {}
        self._challenging = False

    async def open(self, interface: str | None) -> None:
        """Finds the interface, or takes this one. Raises GroundError."""
        # 0.3 s, which sessions must not wait for.
        pyroute2 = await asyncio.to_thread(importlib.import_module, "pyroute2")
        try:
            self._netlink = await self._closing.enter_async_context(pyroute2.AsyncIPRoute())
            await self._find(interface)
            self._link = link(self._name, self._mac, self._router.version)
            self._closing.callback(self._link.close)
            self._segments = Segments(self._name, self._router)
            self._closing.callback(self._segments.close)
            raw = socket.socket(self._family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)
            self._raw = self._closing.enter_context(raw)
        except GroundError:
            await self._closing.aclose()
            raise
        except _errors() as error:
            await self._closing.aclose()
            raise GroundError(_words(error)) from None
        self._loop.add_reader(self._link, self._read)
        self._closing.callback(self._loop.remove_reader, self._link)
        self._looking = self._loop.call_soon(self._look)
        self._closing.callback(lambda: self._looking.cancel())

    async def close(self) -> None:
        """Leaves the addresses as they are."""
        await self._closing.aclose()

    # --- addresses ---

    async def hold(self, seconds: int) -> None:
        """Have the addresses, for so long from now on. Raises GroundError."""
        # An IPv6 address that is not preferred is never picked as a source (RFC 6724 5); IPv4 has no such thing.
        preferred = seconds if self._router.version == 4 else 0
        for address in self._addresses:
            await self._address("replace", address, preferred_lft=preferred, valid_lft=seconds)

    async def drop(self) -> None:
        """Have none of them."""
        for address in self._addresses:
            try:
                await self._address("del", address)
            except GroundError:
                continue  # the kernel has taken it already

    def announce(self) -> None:
        """Tell the link that they are here. What others said before is old then."""
        self._others.clear()
        for address in self._addresses:
            self._link.announce(address)

    # --- the link ---

    async def taken(self) -> str | None:
        """Who else answers for one of the addresses: its hardware address (RFC 5227 2.1.1, RFC 4862 5.4)."""
        self._others.clear()
        for _ in range(PROBES):
            for address in self._addresses:
                self._link.ask(address, None)
            await asyncio.sleep(PROBE_EVERY)
            if self._others:
                return self._other()
        return None

    def contested(self) -> str | None:
        """Who else has said since the last call, or `announce`, that it has one: its hardware address. Asks anew."""
        other = self._other()
        self._others.clear()
        for address in self._addresses:
            self._link.ask(address, None)
        return other

    def reaches(self) -> bool:
        """Whether the router answers on the link."""
        return self._loop.time() - self._heard < GONE

    # --- the router's TCP ---

    async def challenge(self, copies: Mapping[int, Copy], passwords: Mapping[int, bytes | None]) -> dict[int, Numbers]:
        """Where these connections stand, as the router says; those that it does not tell of are left out."""
        asked = {}
        for lane, copy in copies.items():
            said = copy.described
            local = ip_address(said.local), said.local_port
            remote, scale = (ip_address(said.remote), said.remote_port), said.tcp["send_scale"] if said.tcp else 0
            asked[lane] = Challenge(local, remote, passwords[lane], scale)
        found: dict[int, Numbers] = {}
        # The router may have forgotten where the address is while nobody had it, and ask before it answers. The kernel
        # does not say yet: it has the address only when the sessions are there, and would reset them.
        self._challenging = True
        try:
            with self._segments.heard() as answers:
                for one in asked.values():
                    self._raw.sendto(one.packet(), (str(self._router), 0))
                async with asyncio.timeout(CHALLENGE):
                    while asked:
                        self._match((await self._loop.sock_recv(answers, 2048)), asked, found)
        except TimeoutError:
            pass  # some kernels send none, or not so soon after another
        finally:
            self._challenging = False
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

    def _other(self) -> str | None:
        return next((mac.hex(":") for mac in self._others.values()), None)

    async def _find(self, interface: str | None) -> None:
        """The interface, and the network that the addresses are in there."""
        if interface is None:
            route = (await self._netlink.route("get", dst=str(self._router)))[0]
            self._index = int(route.get("RTA_OIF"))
        else:
            self._index = int((await self._netlink.link_lookup(ifname=interface) or [0])[0])
        if not self._index:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        async for card in await self._netlink.get_links(self._index):
            self._name, mac = str(card.get("IFLA_IFNAME")), card.get("IFLA_ADDRESS") or ""
            self._mac = bytes.fromhex(mac.replace(":", ""))
        nets = [
            ip_interface(f"{found.get('IFA_LOCAL') or found.get('IFA_ADDRESS')}/{found['prefixlen']}")
            async for found in await self._netlink.get_addr(family=self._family)
            if found["index"] == self._index
        ]
        mine = [net for net in nets if self._router in net.network and net.ip not in self._addresses]
        if not mine:
            raise GroundError(f"{self._name} has no address in the network of {self._router}; see replicas.interface")
        self._own = mine[0]

    async def _address(self, command: str, address: Address, **how: int) -> None:
        if address.version == 4:
            # The interface's own prefix length makes it a secondary address, which the kernel never picks as a source.
            how["prefixlen"] = self._own.network.prefixlen
        else:
            how |= {"prefixlen": address.max_prefixlen, "flags": _NO_DUPLICATE_DETECTION}
        try:
            await self._netlink.addr(command, index=self._index, address=str(address), **how)
        except _errors() as error:
            raise GroundError(f"{address} on {self._name}: {_words(error)}") from None

    def _look(self) -> None:
        self._link.ask(self._router, self._own.ip)
        self._looking = self._loop.call_later(LOOK, self._look)

    def _read(self) -> None:
        for said in self._link.heard():
            if said.has == self._router:
                self._heard = self._loop.time()
            elif said.has in self._addresses:
                self._others[said.has] = said.mac
            if self._challenging and said.wants in self._addresses:
                self._link.announce(said.wants)


def _errors() -> tuple[type[Exception], ...]:
    """What the system and its library say no with."""
    return OSError, LookupError, importlib.import_module("pyroute2.netlink.exceptions").NetlinkError


def _words(error: Exception) -> str:
    code = getattr(error, "code", None) or getattr(error, "errno", None)
    if code in (errno.EPERM, errno.EACCES):
        return "not allowed: replicas need CAP_NET_ADMIN and CAP_NET_RAW"
    return os.strerror(code).lower() if code else str(error)
