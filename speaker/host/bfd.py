"""How do BFD packets come and go? UDP port 3784 on our addresses (RFC 5881), judged by speaker/bfd.

All sockets are read in turns, TICK apart: a thousand nodes cost what their packets cost and no wake-up each, and what
waits in the sockets is always read before anybody is judged.
"""

import asyncio
import contextlib
import random
import secrets
import socket
import struct
from collections.abc import Callable, Iterable

from speaker.bfd.packet import Discard, State
from speaker.bfd.sessions import Address, Change, Ends, Sessions
from speaker.net.sockets import set_ttl

PORT = 3784

#: Where a session's packets come from: a port of its own (RFC 5881 4).
SOURCE_PORTS = range(49152, 65536)

#: Seconds between two turns: a twelfth of the detection time of 3 packets 100 ms apart.
TICK = 0.025

#: Octets that may wait in a socket, as far as the kernel allows: 1000 nodes for a second.
_BUFFER = 4 << 20

_INT = struct.Struct("@i")
_LONGEST = 128  # octets; a packet has 24


class Bfd:
    """BFD with whoever is watched, while `run` does.

    local       our addresses: where nodes send to, and where our answers come from
    receive     seconds between two packets of a node that we ask for
    told        hears of each change
    discarded   hears of each packet that is left aside

    Raises OSError where port 3784 is taken.
    """

    def __init__(
        self,
        local: Iterable[Address],
        receive: float,
        told: Callable[[Change], None],
        discarded: Callable[[Discard], None],
    ) -> None:
        self._clock = asyncio.get_running_loop().time
        self._sessions = Sessions(receive, lambda: secrets.randbelow(2**32 - 1) + 1, self._clock())
        self._told, self._discarded = told, discarded
        self._senders: dict[Ends, socket.socket] = {}
        self._port = secrets.randbelow(len(SOURCE_PORTS))
        self._listeners: dict[Address, socket.socket] = {}
        try:
            for address in local:
                self._listeners[address] = _listener(address)
        except OSError:
            self._close_sockets()
            raise

    def set_receive(self, receive: float) -> None:
        """Seconds, for sessions that begin from now on: a node that was told another would have to be asked (6.8.3)."""
        self._sessions.receive = receive

    def watch(self, addresses: Iterable[Address]) -> None:
        """These nodes and no others from now on."""
        for ends in self._sessions.watch(addresses):
            if ends in self._senders:
                self._senders.pop(ends).close()

    def state(self, address: Address) -> State | None:
        """Of the session with this address of a node; None where it has said nothing."""
        return self._sessions.state(address)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            for local, listener in self._listeners.items():
                self._hear(local, listener)
            for ends, octets in self._sessions.look(self._clock(), random.random):
                self._send(ends, octets)
            for change in self._sessions.changes():
                self._told(change)

    def close(self) -> None:
        """Tell the nodes that this end is down on purpose, once `run` is cancelled."""
        for ends, octets in self._sessions.close():
            self._send(ends, octets)
        self._close_sockets()

    # --- inside ---

    def _hear(self, local: Address, listener: socket.socket) -> None:
        now = self._clock()
        while True:
            try:
                octets, control, _, sender = listener.recvmsg(_LONGEST, socket.CMSG_SPACE(_INT.size))
            except OSError:  # EAGAIN: all is read
                return
            ttl = _INT.unpack(control[0][2])[0] if control else 0
            why = self._sessions.hear(local, sender[0], ttl, octets, now)
            if why is not None:
                self._discarded(why)

    def _send(self, ends: Ends, octets: bytes) -> None:
        # ECONNREFUSED: nobody listens there any more. ENETUNREACH, ENETDOWN, ENOBUFS: as if the link had lost it.
        with contextlib.suppress(OSError):
            sender = self._senders.get(ends)
            if sender is None:
                sender = self._senders[ends] = self._sender(ends)
            sender.send(octets)

    def _sender(self, ends: Ends) -> socket.socket:
        """A socket of the session's own. Raises OSError."""
        local, node = (str(address) for address in ends)
        sender = _socket(ends[0])
        try:
            for _ in SOURCE_PORTS:
                self._port = (self._port + 1) % len(SOURCE_PORTS)
                with contextlib.suppress(OSError):  # EADDRINUSE: the next one
                    sender.bind((local, SOURCE_PORTS[self._port]))
                    break
            sender.connect((node, PORT))
        except OSError:
            sender.close()
            raise
        return sender

    def _close_sockets(self) -> None:
        for one in (*self._listeners.values(), *self._senders.values()):
            one.close()


def _socket(address: Address) -> socket.socket:
    """One that sends with a TTL of 255 (RFC 5881 5), in the class of what routers say to each other."""
    six = address.version == 6
    made = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    made.setblocking(False)
    set_ttl(made, address, far=False)
    if six:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _NETWORK_CONTROL)
    else:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _NETWORK_CONTROL)
    return made


def _listener(address: Address) -> socket.socket:
    made = _socket(address)
    try:
        if address.version == 6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        else:
            made.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        made.bind((str(address), PORT))
    except OSError:
        made.close()
        raise
    return made


_NETWORK_CONTROL = 0xC0  # CS6, as BGP's and FRR's own
_IP_RECVTTL = getattr(socket, "IP_RECVTTL", 12)  # Python names it from 3.14 on
