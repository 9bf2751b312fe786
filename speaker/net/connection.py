"""How does a session live on a TCP connection? Octets in, the session's events out, and one timer.

A `Connection` carries out what its session asks of TCP and hands everything else to its owner. Its timer is moved only
to an earlier deadline; when it fires too early it is armed again. A peer that speaks all the time puts its deadline
off, and moving a timer with it would cost more than the message.
"""

import asyncio
import errno
import fcntl
import os
import socket
import sys
import termios
from collections.abc import Callable
from typing import Protocol, cast

from speaker.bgp.events import Dial, Disconnect, Event, Transmit
from speaker.bgp.session import Session, State
from speaker.net.sockets import Address, SocketError, reason, tune

#: Octets that asyncio may hold for a peer that does not read; above it the owner is told to stop. With what the
#: kernel holds this is all that a slow router costs beyond its Adj-RIB-Out.
HIGH_WATER = 256 * 1024
LOW_WATER = 64 * 1024

#: Seconds for a last NOTIFICATION to go out to a peer that does not read.
CLOSE_TIME = 2.0


class Owner(Protocol):
    """Who a connection belongs to."""

    def on_event(self, connection: "Connection", event: Event) -> None:
        """Something other than octets came of the session."""

    def on_read(self, octets: int, updates: int) -> None:
        """So many octets came, with so many UPDATEs in them; all their events have been handed over."""

    def on_written(self, octets: int) -> None:
        """So many octets were handed to TCP."""

    def on_writable(self, connection: "Connection") -> None:
        """The peer reads again."""


class Connection(asyncio.Protocol):
    """One session on one TCP connection. `remote` and `local` are (address, port) once it is up."""

    def __init__(self, session: Session, owner: Owner, *, dialed: bool) -> None:
        self.session = session
        self.dialed = dialed
        self.local: tuple[str, int] | None = None
        self.remote: tuple[str, int] | None = None
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._dialing: asyncio.Task[None] | None = None
        self._may_write = True
        self._early = b""
        self._closed = False
        self.tap: Callable[[bytes], None] | None = None  # is given what is written, before TCP is

    @property
    def writable(self) -> bool:
        """Whether the peer reads what it is sent."""
        return self._may_write and self._transport is not None and not self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Whole messages for the peer. asyncio sends at once what the kernel takes."""
        if self._closed:
            return
        if self._transport is None:
            self._early += data
        elif not self._transport.is_closing():
            if self.tap is not None:
                self.tap(data)
            self._transport.write(data)
            self._owner.on_written(len(data))

    def carry_out(self, events: list[Event]) -> None:
        """Does what the session says."""
        for event in events:
            if isinstance(event, Transmit):
                self.write(event.data)
            elif isinstance(event, Disconnect):
                self._close()
            elif not isinstance(event, Dial):
                self._owner.on_event(self, event)
        self._arm()

    def dial(self, make_socket: Callable[[], socket.socket], remote: Address, port: int) -> None:
        """Calls `remote`; `make_socket` gives the socket to do it from and may raise SocketError."""
        self.carry_out(self.session.dial(self._loop.time()))
        self._dialing = self._loop.create_task(self._connect(make_socket, remote, port))

    def answer(self) -> None:
        """Takes a call. Its transport comes some turns of the loop later; the session is there from now on, so that
        it can be ended or give way like any other."""
        self.carry_out(self.session.accept(self._loop.time()))

    def resume(self, sock: socket.socket, first: bytes) -> None:
        """Goes on with an established session of another process, on its connection. `first` is what the peer lacks of
        what it was to be sent; it may begin in the midst of a message."""
        sock.setblocking(False)
        tune(sock)
        self._early = first
        self.carry_out(self.session.probe())
        self._dialing = self._loop.create_task(self._take(sock))

    @property
    def outstanding(self) -> int:
        """Octets written that the peer's TCP has not acknowledged."""
        if self._transport is None:
            return 0
        waiting = fcntl.ioctl(self._socket().fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        return int(self._transport.get_write_buffer_size()) + int.from_bytes(waiting, sys.byteorder)

    @property
    def unwritten(self) -> int:
        """Octets written that our own TCP has not taken."""
        return 0 if self._transport is None else int(self._transport.get_write_buffer_size())

    def duplicate(self) -> socket.socket:
        """The connection's socket, once more. Raises OSError where there is none."""
        if self._transport is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._socket().dup()

    def forget(self) -> None:
        """Read and write no more. The socket stays open where somebody has a duplicate of it."""
        self._closed = True
        if self._dialing is not None:
            self._dialing.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._closed:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        self.local, self.remote = self._name("sockname"), self._name("peername")
        if self.session.state is State.CONNECT:
            self.carry_out(self.session.connected(self._loop.time()))
        else:
            early, self._early = self._early, b""
            self.write(early)
            self._owner.on_writable(self)

    def data_received(self, data: bytes) -> None:
        before = self.session.updates
        self.carry_out(self.session.receive(data, self._loop.time()))
        self._owner.on_read(len(data), self.session.updates - before)

    def eof_received(self) -> bool:
        # asyncio tells of the end only after everything else of this loop turn. A peer that closes and calls again at
        # once would meet its own old session: 85 of 100 such calls of a router were refused (docs/benchmarks.md).
        self.carry_out(self.session.disconnected(self._loop.time(), "the peer closed the connection"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport, self._closed = None, True
        why = reason(exc) if isinstance(exc, OSError) else str(exc or "the peer closed the connection")
        self.carry_out(self.session.disconnected(self._loop.time(), why))

    def pause_writing(self) -> None:
        self._may_write = False

    def resume_writing(self) -> None:
        self._may_write = True
        self._owner.on_writable(self)

    # --- inside ---

    async def _connect(self, make_socket: Callable[[], socket.socket], remote: Address, port: int) -> None:
        sock = None
        try:
            sock = make_socket()
            await self._loop.sock_connect(sock, (str(remote), port))
            tune(sock)
            await self._loop.create_connection(lambda: self, sock=sock)
        except (OSError, SocketError) as error:
            if sock is not None:
                sock.close()
            self._dialing = None
            why = reason(error) if isinstance(error, OSError) else str(error)
            self.carry_out(self.session.disconnected(self._loop.time(), why))
        except asyncio.CancelledError:
            if sock is not None:
                sock.close()
            raise
        self._dialing = None

    async def _take(self, sock: socket.socket) -> None:
        try:
            await self._loop.create_connection(lambda: self, sock=sock)
        except OSError as error:
            sock.close()
            self.carry_out(self.session.disconnected(self._loop.time(), reason(error)))
        self._dialing = None

    def _socket(self) -> socket.socket:
        assert self._transport is not None
        return cast(socket.socket, self._transport.get_extra_info("socket"))

    def _name(self, which: str) -> tuple[str, int] | None:
        """An end of the connection; the other end of one that broke off at once has no name."""
        assert self._transport is not None
        name = self._transport.get_extra_info(which)
        return None if name is None else (name[0], name[1])

    def _close(self) -> None:
        self._closed = True
        if self._dialing is not None:
            self._dialing.cancel()
        if self._transport is not None and not self._transport.is_closing():
            transport = self._transport
            transport.close()
            # A peer that does not read would keep the last octets, and with them the connection, for ever.
            if transport.get_write_buffer_size():
                self._loop.call_later(CLOSE_TIME, transport.abort)

    def _arm(self) -> None:
        deadline = self.session.deadline()
        if deadline is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None or deadline < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._fire)

    def _fire(self) -> None:
        self._timer = None
        try:
            self.carry_out(self.session.tick(self._loop.time()))
        except Exception:
            # A fault of ours. asyncio ends a connection for one in data_received, but not for one in a timer, and
            # without timers nobody would notice that the peer is gone.
            if self._transport is not None:
                self._transport.abort()
            raise
