"""Does a node still answer on its link? ARP requests to all of them in rounds, judged by pulse.py.

A vanished node leaves no word: TCP notices by the hold timer, 9 s at best, the kernel's neighbor states in 0.7 s when
tuned. Requests go to the node's own MAC once that is known, so that nobody else hears them (RFC 1122 2.3.2.1); a
thousand nodes at ten rounds a second are a twentieth of a core. Only IPv4 neighbors of a link of ours can be asked.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address

from speaker.host.links import Link, links
from speaker.host.pulse import Pulse
from speaker.net import arp

_ETHERNET = struct.Struct("!6s6sH")

#: Octets of answers that may wait while we do something else: 1000 nodes for a second.
_BUFFER = 4 << 20

#: Seconds between two looks at the host's own links.
LOOK_AT_LINKS = 5.0

#: Who does not answer is asked by broadcast, which all hosts hear: only in each so-many-th round.
SELDOM = 5


class Probes:
    """Asks the watched addresses for ever, while `run` does.

    interval    seconds between two rounds
    told        is called with an address and False when it is found dead, and with True when it answers again
    """

    def __init__(self, interval: float, told: Callable[[IPv4Address, bool], None]) -> None:
        self.pulse = Pulse()
        self._interval = interval
        self._told = told
        self._wanted: frozenset[IPv4Address] = frozenset()
        self._links: tuple[Link, ...] = ()
        self._sockets: dict[int, socket.socket] = {}
        self._frames: dict[IPv4Address, tuple[socket.socket, bytes]] = {}
        self._macs: dict[IPv4Address, bytes] = {}
        self._asked: set[IPv4Address] = set()
        self._round = 0

    def watch(self, addresses: Iterable[IPv4Address]) -> None:
        """These and no others from now on; those that are on no link of ours are left unknown."""
        self._wanted = frozenset(addresses)
        self._arrange()

    async def run(self) -> None:
        """Until cancelled. Raises OSError where packet sockets cannot be had (CAP_NET_RAW)."""
        clock = asyncio.get_running_loop().time
        look_at = clock()
        try:
            while True:
                if clock() >= look_at:
                    look_at = clock() + LOOK_AT_LINKS
                    self._set_links(await links())
                self._ask()
                await asyncio.sleep(self._interval)
                # What came while we were kept from running waits in the sockets, and is read before the judgement.
                for sock in self._sockets.values():
                    self._hear(sock)
                for address in self.pulse.end_round() if self._frames else ():
                    del self._macs[address]  # it may come back with another card
                    self._arrange()
                    self._told(address, False)
        finally:
            self._set_links(())

    # --- inside ---

    def _set_links(self, found: tuple[Link, ...]) -> None:
        if found == self._links:
            return
        self._links = found
        for index in self._sockets.keys() - {link.index for link in found}:
            self._sockets.pop(index).close()
        for link in found:
            if link.index not in self._sockets:
                self._sockets[link.index] = _packet_socket(link.name)
        self._arrange()

    def _arrange(self) -> None:
        """One frame for each address that is on a link."""
        self._frames.clear()
        for address in self._wanted:
            for link in self._links:
                if isinstance(own := link.beside(address), IPv4Address):
                    frame = _request(link.mac, own, address, self._macs.get(address, arp.EVERYBODY))
                    self._frames[address] = self._sockets[link.index], frame
                    break
        self._asked &= self._frames.keys()
        self.pulse.watch(self._frames)

    def _ask(self) -> None:
        self._round += 1
        everybody = self._round % SELDOM == 0
        for address, (sock, frame) in self._frames.items():
            if everybody or address in self._macs or address not in self._asked:
                self._asked.add(address)
                # ENETDOWN, ENXIO: the link went down, which its silence tells. ENOBUFS: one question less.
                with contextlib.suppress(OSError):
                    sock.send(frame)

    def _hear(self, sock: socket.socket) -> None:
        learned = False
        while True:
            try:
                frame = sock.recv(64)
            except OSError:  # EAGAIN: all is read. ENETDOWN is told once when a link goes down
                break
            said = arp.read(frame, _ETHERNET.size)
            if said is None or said.operation != arp.REPLY or said.sender not in self._frames:
                continue
            if self._macs.get(said.sender) != said.mac:
                self._macs[said.sender] = said.mac
                learned = True
            if self.pulse.answered(said.sender):
                self._told(said.sender, True)
        if learned:
            self._arrange()


def _packet_socket(interface: str) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.bind((interface, arp.ETHERTYPE))
    except OSError:
        sock.close()
        raise
    return sock


def _request(mac: bytes, own: IPv4Address, address: IPv4Address, target: bytes) -> bytes:
    """Who has `address`?"""
    head = _ETHERNET.pack(target, mac, arp.ETHERTYPE)
    return head + arp.pack(arp.REQUEST, mac, own, arp.NOBODY, address)
