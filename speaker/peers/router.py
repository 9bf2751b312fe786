"""One session to a router: dials it, takes its call, and writes what the path modes place on it.

Octets are taken from the Adj-RIB-Out only while the router reads, so that one which reads slowly gets the newest state
when it does, and costs no queue of history. Nothing is accepted from a router.
"""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from speaker.bgp.events import Announced, Ended, Event, RefreshRequested, Withdrawn
from speaker.bgp.iana import Family
from speaker.bgp.opening import GracefulRestart, Negotiated, Offer
from speaker.bgp.session import Session
from speaker.log import LogEvent
from speaker.net.connection import Connection
from speaker.paths.choose import Choice
from speaker.paths.router import RouterPaths
from speaker.peers.neighbor import Env, Neighbor, Target, jitter
from speaker.rib.reflection import Stance
from speaker.serve.counters import Side

#: Octets written at a time. Between two writes asyncio says whether the router still reads.
CHUNK = 64 * 1024

#: How often End-of-RIB is said again after the first, and seconds in between. So many nodes may have left while we were
#: away, and one more; FRR forgets a path 50 ms after it was told to.
REPEATS, REPEAT_AFTER = 64, 0.25


@dataclass(frozen=True, slots=True)
class RouterOffer:
    """What we offer to a router.

    hold_time, restart_time     whole seconds; a restart_time of 0 leaves graceful restart out
    long_lived                  whole seconds beyond that (RFC 9494), 0 leaves it out
    add_path                    whether we offer to send several paths
    strip                       communities it must not see, as on the wire
    link_bandwidth              each path says its node's weight
    """

    hold_time: int
    restart_time: int
    long_lived: int
    add_path: bool
    strip: frozenset[bytes]
    link_bandwidth: bool


class Witness(Protocol):
    """Who wants to know what a router is sent, before it is."""

    def begins(self, lane: "RouterPeer", connection: Connection) -> None:
        """The session is established; nothing has been written that would tell of paths."""

    def ends(self, lane: "RouterPeer") -> None:
        """It is over."""


@dataclass(frozen=True, slots=True)
class Inherited:
    """What another replica had sent on a session that we go on with.

    held        family -> path identifier -> prefix -> next hop
    told_end    its End-of-RIB too
    """

    held: Mapping[Family, Mapping[bytes, Mapping[bytes, bytes]]]
    told_end: bool


class RouterPeer(Neighbor):
    """One lane of a router. `is_whole` tells whether the tables hold all that the nodes have by now."""

    side = Side.ROUTER

    def __init__(self, env: Env, name: str, lane: int, target: Target, offer: RouterOffer, paths: RouterPaths) -> None:
        log = structlog.get_logger().bind(router=name, lane=lane + 1)
        super().__init__(env, target, log)
        self.name = name
        self.lane = lane
        self.paths = paths
        self.whole = False
        self._wants = offer
        self._choices: dict[Family, Choice] = {}
        self._told_end = False
        self._repeating: asyncio.TimerHandle | None = None
        self.witness: Witness | None = None
        self._witnessed: Connection | None = None
        self._inherited: Inherited | None = None

    def go_on(self, session: Session, heard_open: bytes, rest: bytes, sock: socket.socket, first: bytes,
              inherited: Inherited) -> None:  # fmt: skip
        """Goes on with the session of another replica: `session` made our offer, the router said `heard_open` and then
        `rest` of another message, and lacks `first` of what it was sent. Raises ProtocolError."""
        established = session.resume(self._loop.time(), heard_open, rest)
        self._inherited = inherited
        self.adopt(session, established, sock, first)

    def new_session(self, offer: Offer) -> Session:
        """A session with this router that made this offer."""
        return Session(offer, self.target.asn, jitter)

    def hand_over(self) -> tuple[Session, socket.socket, int] | None:
        """Rests, for another replica to go on: the session, its silent connection, and how many of the last octets
        written TCP had not taken. None where nothing is established."""
        connection = self.up
        if connection is None:
            self.rest()
            return None
        session, unwritten = connection.session, connection.unwritten
        self.rests, self._witnessed = True, None  # for the witness it goes on
        sock = self._leave(session, connection)
        self.rest()
        return None if sock is None else (session, sock, unwritten)

    def set_offer(self, offer: RouterOffer) -> None:
        """Other wishes: communities are stripped from now on, the rest is told in the next OPEN."""
        looks_changed = (offer.strip, offer.link_bandwidth) != (self._wants.strip, self._wants.link_bandwidth)
        self._wants = offer
        if looks_changed and self.negotiated is not None:
            self.paths.set_stance(self.lane, self._stance(self.negotiated))
            self.pump()

    def tell_whole(self) -> None:
        """The tables are whole: End-of-RIB may go out, now and after every new session."""
        self.whole = True
        if self.up is not None:
            self.pump()

    def pump(self) -> None:
        """Writes what there is while the router reads."""
        connection = self.up
        if connection is None:
            return
        if self.witness is not None and self._witnessed is not connection and connection.writable:
            self._witnessed = connection
            self.witness.begins(self, connection)
        while connection.writable:
            data = self.paths.take(self.lane, CHUNK)
            if not data:
                break
            connection.write(data)
        self.env.counters.updates_sent += self.paths.take_count(self.lane)
        if not self._told_end and self.paths.end_of_rib_sent(self.lane) and self.paths.idle(self.lane):
            self._told_end = True
            self._repeat_end(REPEATS)
            for family, out in self.paths.outs(self.lane).items():
                self._log.info(LogEvent.END_OF_RIB_SENT, family=str(family), paths=out.sent_count())

    def on_writable(self, connection: Connection) -> None:
        if connection is self.up:
            self.pump()

    def _offer(self) -> Offer:
        local, wants = self.env.local, self._wants
        families = tuple(Family)
        graceful = None
        if wants.restart_time:
            # The R bit says "restarted": true until this process has once told the whole table.
            graceful = GracefulRestart(wants.restart_time, not self.whole, True, families, wants.long_lived or None)
        return Offer(
            local.asn,
            local.router_id,
            wants.hold_time,
            families,
            route_refresh=True,
            extended_message=True,
            add_path=families if wants.add_path else (),
            graceful_restart=graceful,
            hostname=local.hostname,
        )

    def _up(self, negotiated: Negotiated) -> None:
        stance = self._stance(negotiated)
        self._told_end = False
        self._stop_repeating()
        for family, choice in self.paths.session_up(self.lane, negotiated, stance).items():
            if self._choices.get(family) != choice:
                self._choices[family] = choice
                self._log.info(LogEvent.MODE_CHOSEN, family=str(family), mode=choice.mode, reason=choice.reason)
        inherited, self._inherited = self._inherited, None
        if inherited is not None:
            self._told_end = inherited.told_end
            self.paths.inherit(self.lane, inherited.held, told_end=inherited.told_end)
        if self.whole:
            self.paths.end_of_rib()
        self.env.changed()
        self.pump()

    def _stance(self, negotiated: Negotiated) -> Stance:
        return Stance(
            asn=self.env.local.asn,
            cluster_id=self.env.local.cluster_id.packed,
            ibgp=negotiated.ibgp,
            as4=negotiated.as4,
            max_size=negotiated.max_size,
            strip=self._wants.strip,
            link_bandwidth=self._wants.link_bandwidth,
        )

    def _repeat_end(self, times: int) -> None:
        """See RouterPaths.repeat_end_of_rib; FRR needs time in between to forget the path before."""
        if times and self.paths.may_keep_stale(self.lane):
            self._repeating = self._loop.call_later(REPEAT_AFTER, self._say_end_again, times)

    def _say_end_again(self, times: int) -> None:
        self.paths.repeat_end_of_rib(self.lane)
        self.pump()
        self._repeat_end(times - 1)

    def _stop_repeating(self) -> None:
        if self._repeating is not None:
            self._repeating.cancel()

    def _down(self, ended: Ended) -> None:
        self._stop_repeating()
        if self.witness is not None and self._witnessed is not None:
            self.witness.ends(self)
        self._witnessed = None
        self.paths.session_down(self.lane)
        self.env.changed()

    def _hear(self, event: Event) -> None:
        if isinstance(event, RefreshRequested):
            self._log.info(LogEvent.REFRESH_REQUESTED, family=str(event.family))
            self.paths.refresh(self.lane, event.family)
            self.pump()
        elif isinstance(event, Announced | Withdrawn) and self._seldom.due("routes", self._loop.time()):
            self._log.info(LogEvent.MESSAGE_IGNORED, what="routes from a router: Onepeer takes none")

    def _carried(self) -> int:
        return sum(out.sent_count() for out in self.paths.outs(self.lane).values())
