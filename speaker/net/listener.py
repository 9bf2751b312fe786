"""Who calls us? Listening sockets, and the first look at a caller.

A socket listens before it is answered: after a start a node that calls before the roster is there waits for it, where a
refusal would keep it away for up to two minutes (MetalLB native backs off, FRR has a connect timer of 120 s).
A caller is judged by its address before anything is said to it. One that is refused gets a RST and no octet: MetalLB's
native speaker dials again at once when it is refused after an OPEN, and backs off when it is refused before.
"""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable, Mapping

from speaker.net.connection import Connection
from speaker.net.sockets import Address, SocketError, listener, reset, set_password, set_ttl, set_ttl_security, tune

#: Calls taken in one loop turn, so that a flood of them does not keep the sessions waiting.
AT_ONCE = 64

#: Seconds without listening after the process ran out of file descriptors.
PAUSE = 1.0

#: Asked with the caller's address and ours: a connection that takes the call, or None, and then it is refused.
Taker = Callable[[Address, Address], Connection | None]


class Listener:
    """One listening socket.

    take        is asked for each caller
    on_trouble  is told when calls cannot be taken for want of resources
    """

    def __init__(self, address: Address, port: int, take: Taker, on_trouble: Callable[[str], None]) -> None:
        self.address = address
        self.port = port
        self._take = take
        self._on_trouble = on_trouble
        self._loop = asyncio.get_running_loop()
        self._sock = listener(address, port)
        self._passwords: dict[Address, bytes] = {}
        self._hops: dict[Address, int] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._answers = False

    def answer(self) -> None:
        """Take calls from now on. Until then they wait in the kernel, which has shaken hands with them."""
        self._answers = True
        self._loop.add_reader(self._sock, self._accept)

    def set_passwords(self, passwords: Mapping[Address, bytes]) -> None:
        """The callers that must sign, with their keys; all others must not. Raises SocketError."""
        wanted = {a: key for a, key in passwords.items() if a.version == self.address.version}
        for peer in self._passwords.keys() - wanted.keys():
            set_password(self._sock, peer, None)
            del self._passwords[peer]
        for peer, key in wanted.items():
            if self._passwords.get(peer) != key:
                set_password(self._sock, peer, key)
                self._passwords[peer] = key

    def set_ttl_security(self, hops: Mapping[Address, int]) -> None:
        """The callers that must be near, and how near. What they send is judged only once they have called: the
        listening socket serves others too. It answers with the TTL that such a caller asks of us; others do not
        mind."""
        self._hops = {a: count for a, count in hops.items() if a.version == self.address.version}
        set_ttl(self._sock, self.address, far=not self._hops)

    def close(self) -> None:
        """Listen no more. Connections stay."""
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, name = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._pause(error)
                    return
                continue  # the caller has gone before it was answered (accept(2): treat as EAGAIN)
            self._answer(sock, ipaddress.ip_address(name[0].partition("%")[0]))

    def _answer(self, sock: socket.socket, caller: Address) -> None:
        try:
            sock.setblocking(False)
            tune(sock)
            # The kernel has put the key on it already, unless the call was older than the key.
            if caller in self._passwords:
                set_password(sock, caller, self._passwords[caller])
            if caller in self._hops:
                set_ttl_security(sock, caller, self._hops[caller])
        except (OSError, SocketError) as error:
            self._on_trouble(f"a call from {caller} cannot be taken: {error}")
            reset(sock)
            return
        connection = None
        try:
            connection = self._take(caller, self.address)
        finally:  # a mistake of ours is a refused call, not one that hangs
            if connection is None:
                reset(sock)
        if connection is None:
            return
        task = self._loop.create_task(self._loop.connect_accepted_socket(lambda: connection, sock))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _pause(self, error: OSError) -> None:
        self._on_trouble(f"calls cannot be taken: {error.strerror}")
        self._loop.remove_reader(self._sock)
        self._loop.call_later(PAUSE, self._resume)

    def _resume(self) -> None:
        if self._answers and self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock, self._accept)
