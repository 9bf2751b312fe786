"""What nodes and routers have in common as neighbors: connections, dialing again, collisions, and the log of it all.

A `Neighbor` owns the connections to one peer. It carries what peer.py decides to them, and tells its subclass when
routes may flow (`_up`), when they may not any more (`_down`), and what the peer says in between (`_hear`).
"""

import asyncio
import functools
import random
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import ClassVar

import structlog

from speaker.bgp.events import Announced, Cause, Ended, Established, Event, Ignored, Opened, Withdrawn
from speaker.bgp.iana import CeaseSubcode, ErrorCode
from speaker.bgp.opening import Negotiated, Offer
from speaker.bgp.peer import Connect, Peer, Refused
from speaker.bgp.session import Session, State
from speaker.log import LogEvent
from speaker.net.connection import Connection
from speaker.net.sockets import Address, dialer, hush
from speaker.peers.seldom import Seldom
from speaker.reflector import Reflector
from speaker.serve.counters import Counters, Direction, Side

_COLLISION = (ErrorCode.CEASE, CeaseSubcode.CONNECTION_COLLISION_RESOLUTION)

#: Seconds between two lines of the log on the same refusal of the same peer.
SAY_AGAIN = 60.0


@dataclass(frozen=True, slots=True)
class Local:
    """Who we are to every peer. `cluster_id` goes into CLUSTER_LIST (RFC 4456)."""

    asn: int
    router_id: IPv4Address
    cluster_id: IPv4Address
    hostname: str


@dataclass(frozen=True, slots=True)
class Env:
    """What neighbors share.

    changed     asks for a flush of the reflector after this loop turn
    moved       hears that a session of somebody began, ended or was refused
    """

    local: Local
    reflector: Reflector
    counters: Counters
    changed: Callable[[], None]
    moved: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Target:
    """How a peer is reached. `local` is where we call from, with its port on the other side."""

    remote: Address
    asn: int
    connect: Connect
    local: Address | None = None
    port: int = 179
    password: bytes | None = None
    hops: int | None = None


@dataclass(frozen=True, slots=True)
class LastEnd:
    """How the last session ended. `at` is wall clock, in seconds since the epoch."""

    at: float
    ended: Ended


def jitter() -> float:
    """RFC 4271 10: 0.75 to 1.0."""
    return random.uniform(0.75, 1.0)


class Neighbor(ABC):
    """One peer, while it is configured."""

    side: Side
    #: A new call replaces an established session with graceful restart (RFC 4724 4.2).
    gives_way: ClassVar[bool] = True

    def __init__(self, env: Env, target: Target, log: structlog.typing.FilteringBoundLogger) -> None:
        self.env = env
        self.target = target
        self.since = time.time()
        self.last_end: LastEnd | None = None
        self.established_count = 0
        self.refused: Refused | None = None
        self.called_at = time.time()
        """Wall clock: when we were told of its last call, whatever became of that; at first since when we listen."""
        self.up: Connection | None = None
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._peer = Peer(env.local.router_id, env.local.asn, target.connect, jitter, gives_way=self.gives_way)
        self._connections: dict[Session, Connection] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.up_at = 0.0
        self._stopped = False
        self._port = 0
        self._port_fails = False
        self.rests = False  # another replica speaks to this peer: we neither dial nor take its calls
        self._seldom = Seldom(SAY_AGAIN)

    # --- for the application ---

    def start(self, port: int = 0) -> None:
        """Begin to want a session. Calls are from this port, where one is given: the peer then ends at once what it
        believes to be our session from there. Each second one is not, where the port is not to be had."""
        self.rests = False
        self._port = port
        self._peer.start(self._loop.time())
        self._dial_when_due()

    def rest(self) -> None:
        """Have no session, and want none until the next `start`. The peer is told nothing: see `_leave`."""
        self.rests = True
        if self._timer is not None:
            self._timer.cancel()
        for session, connection in list(self._connections.items()):
            if (sock := self._leave(session, connection)) is not None:
                sock.close()

    def adopt(self, session: Session, established: Established, sock: socket.socket, first: bytes) -> None:
        """Goes on with the established session of another replica, on its connection; see Connection.resume."""
        self.rests = False
        self._peer.dialing(session)
        connection = self._connect(session, dialed=True)
        self._came_up(connection)
        self._up(established.negotiated)
        connection.resume(sock, first)

    def stop(self, subcode: CeaseSubcode, text: str = "", *, gracefully: bool = False) -> None:
        """End everything. `gracefully` closes without a NOTIFICATION where the peer then keeps our routes."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for session, connection in list(self._connections.items()):
            keeps = session.negotiated is not None and session.negotiated.graceful is not None
            if gracefully and keeps and session.state is State.ESTABLISHED:
                connection.carry_out(session.abandon())
            else:
                connection.carry_out(session.stop(self._loop.time(), subcode, text))

    def begin_anew(self) -> None:
        """End the session, and want another: what was said on this one is not to be relied on."""
        if self.up is not None:
            events = self.up.session.stop(self._loop.time(), CeaseSubcode.ADMINISTRATIVE_RESET)
            self.up.carry_out(events)

    def take_call(self) -> Connection | None:
        """The peer calls: a connection to take it with, or None."""
        now = self._loop.time()
        self.called_at = time.time()
        refused = Refused.HELD_OFF if self._stopped or self.rests else None
        refused = refused or self._peer.refuses(now)
        if refused is not None:
            self._refuse(refused, now)
            return None
        session = self._new_session()
        for replaced in self._peer.accepting(session):
            self._connections[replaced].carry_out(replaced.abandon())
        connection = self._connect(session, dialed=False)
        connection.answer()
        return connection

    @property
    def state(self) -> State:
        """Of the connection that is furthest on; Active while only waiting."""
        if self.up is not None:
            return State.ESTABLISHED
        states = [session.state for session in self._connections]
        for state in (State.OPEN_CONFIRM, State.OPEN_SENT, State.CONNECT):
            if state in states:
                return state
        return State.IDLE if self._stopped or self.rests else State.ACTIVE

    @property
    def negotiated(self) -> Negotiated | None:
        """What the established session agreed on."""
        return None if self.up is None else self.up.session.negotiated

    # --- for subclasses ---

    @abstractmethod
    def _offer(self) -> Offer:
        """What our next OPEN says."""

    @abstractmethod
    def _up(self, negotiated: Negotiated) -> None:
        """The session is established."""

    @abstractmethod
    def _down(self, ended: Ended) -> None:
        """The session that was established is over."""

    @abstractmethod
    def _hear(self, event: Event) -> None:
        """The peer has said something on the established session."""

    @abstractmethod
    def _carried(self) -> int:
        """Paths that the established session carries."""

    @abstractmethod
    def on_writable(self, connection: Connection) -> None:
        """net.connection.Owner."""

    def on_read(self, octets: int, updates: int) -> None:
        """net.connection.Owner."""
        self.env.counters.bytes_received += octets
        if self.side is Side.NODE:
            self.env.counters.updates_received += updates

    def on_written(self, octets: int) -> None:
        """net.connection.Owner."""
        self.env.counters.bytes_written += octets

    def on_event(self, connection: Connection, event: Event) -> None:
        """net.connection.Owner."""
        if connection.session not in self._connections:
            return  # it has lost a collision, or been stopped, in the midst of what it read
        if isinstance(event, Announced | Withdrawn):  # first, since nearly all are
            if connection is self.up:
                self._hear(event)
        elif isinstance(event, Opened):
            self._opened(connection, event)
        elif isinstance(event, Established):
            self._established(connection, event.negotiated)
        elif isinstance(event, Ended):
            self._ended(connection, event)
        elif isinstance(event, Ignored):
            self.env.counters.messages_ignored += 1
            if self._seldom.due(event.what, self._loop.time()):
                self._log.info(LogEvent.MESSAGE_IGNORED, what=event.what)
        elif connection is self.up:
            self._hear(event)

    # --- connections ---

    def _new_session(self) -> Session:
        return Session(self._offer(), self.target.asn, jitter)

    def _connect(self, session: Session, *, dialed: bool) -> Connection:
        connection = self._connections[session] = Connection(session, self, dialed=dialed)
        return connection

    def _dial_when_due(self) -> None:
        """Dials if it is time, else sees to it that this is asked again when it is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._stopped or self.rests:
            return
        if self._peer.wants_to_dial(self._loop.time()):
            self._dial()
        elif (deadline := self._peer.deadline()) is not None:
            self._timer = self._loop.call_at(deadline, self._dial_when_due)

    def _dial(self) -> None:
        target, local = self.target, self.target.local
        assert local is not None
        session = self._new_session()
        self._peer.dialing(session)
        connection = self._connect(session, dialed=True)
        self._log.debug(LogEvent.DIALING, local=str(local), remote=f"{target.remote}:{target.port}")
        port = 0 if self._port_fails else self._port
        make = functools.partial(dialer, local, target.remote, target.password, target.hops, port)
        connection.dial(make, target.remote, target.port)

    # --- what sessions report ---

    def _opened(self, connection: Connection, event: Opened) -> None:
        self.env.moved()
        ends = {"local": endpoint(connection.local), "remote": endpoint(connection.remote)}
        self._log.debug(LogEvent.SESSION_OPENED, **ends, dialed=connection.dialed)
        loser = self._peer.opened(connection.session, event.peer)
        if loser is not None:
            subcode = CeaseSubcode.CONNECTION_COLLISION_RESOLUTION
            self._connections[loser].carry_out(loser.stop(self._loop.time(), subcode))

    def _established(self, connection: Connection, negotiated: Negotiated) -> None:
        if self.up is not None:
            return  # the peer ended this one in favor of the other in the same segment that made it established
        self._came_up(connection)
        self.established_count += 1
        self._log.info(
            LogEvent.SESSION_ESTABLISHED,
            local=endpoint(connection.local),
            remote=endpoint(connection.remote),
            asn=negotiated.peer.asn,
            router_id=str(negotiated.peer.router_id),
            hostname=negotiated.peer.hostname or None,
            hold_time=negotiated.hold_time,
            capabilities=agreed(negotiated),
        )
        self.env.moved()
        self._up(negotiated)

    def _came_up(self, connection: Connection) -> None:
        self.up_at = self._loop.time()
        self.up, self.refused = connection, None
        self.since = time.time()
        self._peer.came_up(self.up_at)

    def _leave(self, session: Session, connection: Connection) -> socket.socket | None:
        """Ends a session on our side alone. Its connection is closed without a FIN or RST, which could end what another
        replica goes on with, once the caller has closed what comes back."""
        try:
            sock = connection.duplicate()
            hush(sock)
        except OSError:
            sock = None  # it is not up yet, or we lack CAP_NET_ADMIN; then the address is gone, and with it the FIN
        connection.forget()
        connection.carry_out(session.abandon("another replica speaks to the router"))
        return sock

    def _ended(self, connection: Connection, ended: Ended) -> None:
        now = self._loop.time()
        self._connections.pop(connection.session, None)
        self._port_fails = ended.cause is Cause.CONNECTION_FAILED and not self._port_fails
        self._count(ended)
        if _lost_collision(ended) and self._connections:
            # Whoever resolved it, the other connection is on its way: to dial again would be the next collision.
            ended = replace(ended, cause=Cause.COLLISION)
        self._peer.ended(connection.session, ended, now)
        if not _lost_collision(ended):
            self.last_end = LastEnd(time.time(), ended)
            self._say_ended(connection, ended, now)
        if connection is self.up:
            self.up = self.refused = None
            self.since = time.time()
            self._down(ended)
        self.env.moved()
        self._dial_when_due()

    # --- words and numbers ---

    def _refuse(self, refused: Refused, now: float) -> None:
        self.refused = refused
        self.env.moved()
        self.env.counters.connections_refused[refused] += 1
        if refused is Refused.ALREADY_UP and self.up is not None:
            # A node that lost power calls again while we still believe in the session before. Its kernel answers
            # this KEEPALIVE with a RST, which ends that session now and not after the hold time.
            self.up.carry_out(self.up.session.probe())
        if self._seldom.due(refused, now):
            self._log.warning(self._refused_event(), reason=refused, text="refused before an OPEN")

    def _refused_event(self) -> LogEvent:
        return LogEvent.ROUTER_REFUSED if self.side is Side.ROUTER else LogEvent.NODE_REFUSED

    def _count(self, ended: Ended) -> None:
        counters = self.env.counters
        counters.sessions_ended[self.side, ended.cause] += 1
        if ended.notification is not None:
            received = ended.cause is Cause.NOTIFICATION_RECEIVED
            code = ended.notification.code
            name = next((known.name for known in ErrorCode if known == code), "UNKNOWN")
            direction = Direction.RECEIVED if received else Direction.SENT
            counters.notifications[self.side, direction, f"{code} {name}"] += 1

    def _say_ended(self, connection: Connection, ended: Ended, now: float) -> None:
        text, notification = ended.text, str(ended.notification) if ended.notification else None
        if ended.was_established:
            say = self._log.info if ended.cause is Cause.STOPPED else self._log.warning
            say(
                LogEvent.SESSION_ENDED,
                cause=ended.cause,
                notification=notification,
                text=text,
                lasted=round(now - self.up_at, 3),
                paths=self._carried(),
            )
        elif ended.cause is Cause.CONNECTION_FAILED:
            if self._seldom.due((ended.cause, text), now):
                retry = self._peer.deadline()
                self._log.warning(
                    LogEvent.DIAL_FAILED,
                    local=str(self.target.local),
                    remote=f"{self.target.remote}:{self.target.port}",
                    text=text,
                    retry_in=None if retry is None else round(retry - now, 1),
                )
        elif ended.cause is not Cause.STOPPED and self._seldom.due((ended.cause, text), now):
            self._log.warning(self._refused_event(), reason=notification or ended.cause, text=text)


def _lost_collision(ended: Ended) -> bool:
    """Whether another connection to the same peer was kept, by our choice or by the peer's (RFC 4271 6.8)."""
    heard = ended.notification
    by_peer = heard is not None and (heard.code, heard.subcode) == _COLLISION and not ended.was_established
    return ended.cause is Cause.COLLISION or by_peer


def endpoint(name: tuple[str, int] | None) -> str | None:
    """An address and port as people write them."""
    if name is None:
        return None
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def agreed(negotiated: Negotiated) -> list[str]:
    """The capabilities that both sides have, by name."""
    named = {
        "as4": negotiated.as4,
        "route-refresh": negotiated.route_refresh,
        "enhanced-route-refresh": negotiated.enhanced_refresh,
        "extended-message": negotiated.max_size > 4096,
        "graceful-restart": negotiated.graceful is not None,
        "long-lived-graceful-restart": negotiated.graceful is not None and negotiated.graceful.long_lived is not None,
    }
    families = [f"add-path-{family}" for family in negotiated.add_path_send]
    return [*map(str, negotiated.families), *(name for name, both in named.items() if both), *sorted(families)]
