"""One address of one node: takes its calls, brings its routes to the reflector, sends it nothing.

The OPEN to a node offers multiprotocol for both families, four-octet AS numbers, and graceful restart as a helper
(RFC 4724 3: no family). MetalLB's native parser skips capabilities that it does not know, but refuses any optional
parameter other than capabilities (measured with v0.15.2). FRR then says End-of-RIB, and closes at SIGTERM without the
"Peer De-configured" that it says else (8.4.4, measured).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from speaker.bgp.events import Announced, Ended, EndOfRib, Event, Withdrawn
from speaker.bgp.iana import CeaseSubcode, Family
from speaker.bgp.opening import GracefulRestart, Negotiated, Offer
from speaker.bgp.peer import Connect
from speaker.log import LogEvent
from speaker.net.connection import Connection
from speaker.peers.holding import HoldLimits
from speaker.peers.neighbor import Env, Neighbor, Target
from speaker.rib.source import Source
from speaker.serve.counters import Side

#: Seconds without a route after which a node without End-of-RIB (MetalLB native) has said what it has.
QUIET = 1.0

#: The same for one that was lost: what it has not announced again is dropped then. FRR takes 0.9 to 1.4 s from its
#: session to its first UPDATE (measured, in frr-k8s too), and a speaker may be up before it knows all services.
SURELY_QUIET = 5.0

#: Seconds for which a session may go on with the key before, when a password has changed. kubelet is up to 90 s late
#: with a Secret, and FRR dials again after up to 120 s.
OLD_KEY = 240.0

_HELPER = GracefulRestart(restart_time=0, restarting=False, notification=False, families=())


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """hold_time in whole seconds, offered in the OPEN; max_prefixes of all families together; how long paths are held
    when the session is lost."""

    hold_time: int
    max_prefixes: int
    holding: HoldLimits


class NodePeer(Neighbor):
    """A node as a neighbor."""

    side = Side.NODE
    #: Two speakers on one node would take turns. One that restarts has closed its session before, or is found out by
    #: the KEEPALIVE that its call brings forth.
    gives_way = False

    def __init__(
        self,
        env: Env,
        source: Source,
        limits: NodeLimits,
        password: bytes | None,
        lost: Callable[[Source, Ended], None],
    ) -> None:
        log = structlog.get_logger().bind(node=source.node, address=str(source.address))
        super().__init__(env, Target(source.address, source.asn, Connect.PASSIVE, password=password), log)
        self.source = source
        self.limits = limits
        self._lost = lost
        self._ends: set[Family] = set()
        self._heard_at = 0.0
        self._old_key: asyncio.TimerHandle | None = None

    def set_password(self, password: bytes | None) -> None:
        """What its calls must be signed with from now on. The kernel keeps the key of a connection that is there, so
        its session need not end for it: it goes on until the node calls anew, or for OLD_KEY seconds."""
        if password == self.target.password:
            return
        self.target = replace(self.target, password=password)
        if self._old_key is not None:
            self._old_key.cancel()
        self._old_key = None
        if self.up is not None:
            self._old_key = self._loop.call_later(OLD_KEY, self._end_old, self.up)

    def _end_old(self, connection: Connection) -> None:
        if self.up is connection:
            subcode = CeaseSubcode.OTHER_CONFIGURATION_CHANGE
            connection.carry_out(connection.session.stop(self._loop.time(), subcode, "the password has changed"))

    @property
    def end_of_rib(self) -> bool:
        """Whether the node has marked the end of every family of its session."""
        return self.negotiated is not None and self._ends.issuperset(self.negotiated.families)

    def has_settled(self, now: float) -> bool:
        """Whether the node has said all it has, as far as can be known. `now` is the loop's clock."""
        return self.up is not None and (self.end_of_rib or now - self._heard_at >= QUIET)

    def set_silent(self, *, silent: bool) -> None:
        """The node, whose session is up, does not answer on its link, or does again."""
        paths = self._carried()
        self.env.reflector.set_silent(self.source, silent=silent)
        if silent:
            self._log.warning(LogEvent.NODE_SILENT, paths=paths)
        else:
            self._log.info(LogEvent.NODE_ANSWERS, paths=paths)

    def has_said_all_again(self, now: float) -> bool:
        """The same of a node that was lost: whether what it has not announced by now is gone."""
        return self.up is not None and now - self._heard_at >= (QUIET if self.end_of_rib else SURELY_QUIET)

    def on_writable(self, connection: Connection) -> None:
        """A node is sent nothing but KEEPALIVEs, which wait in the transport."""

    def _offer(self) -> Offer:
        local = self.env.local
        return Offer(local.asn, local.router_id, self.limits.hold_time, graceful_restart=_HELPER)

    def _up(self, negotiated: Negotiated) -> None:
        self._ends.clear()
        self._heard_at = self._loop.time()
        self.env.reflector.node_up(self.source, negotiated.peer.router_id.packed)

    def _down(self, ended: Ended) -> None:
        self._lost(self.source, ended)
        self.env.changed()

    def _hear(self, event: Event) -> None:
        self._heard_at = self._loop.time()
        if isinstance(event, Announced):
            self._announced(event)
        elif isinstance(event, Withdrawn):
            self._withdrawn(event)
        elif isinstance(event, EndOfRib):
            self._ends.add(event.family)
            self._log.debug(LogEvent.END_OF_RIB_RECEIVED, family=str(event.family), paths=self._carried())

    def _announced(self, event: Announced) -> None:
        for refusal in self.env.reflector.announced(self.source, event):
            if self._seldom.due(refusal.reason, self._heard_at):
                self._log.warning(
                    LogEvent.PATHS_REFUSED, reason=refusal.reason, count=refusal.paths, example=refusal.example
                )
        count = self.env.reflector.path_count(self.source)
        if count > self.limits.max_prefixes:
            self._exceeded(count)
        self.env.changed()

    def _withdrawn(self, event: Withdrawn) -> None:
        if event.reason:
            self.env.counters.updates_malformed += 1
            if self._seldom.due(event.reason, self._heard_at):
                self._log.warning(LogEvent.UPDATE_MALFORMED, reason=event.reason, prefixes=len(event.prefixes))
        self.env.reflector.withdrawn(self.source, event)
        self.env.changed()

    def _exceeded(self, count: int) -> None:
        """RFC 4486: Cease 6/1. MetalLB would call again at once, so it is kept out for a while."""
        assert self.up is not None
        now = self._loop.time()
        if self._seldom.due(LogEvent.MAX_PREFIXES_EXCEEDED, now):
            self._log.warning(LogEvent.MAX_PREFIXES_EXCEEDED, prefixes=count, limit=self.limits.max_prefixes)
        self._peer.hold_off(now)
        subcode = CeaseSubcode.MAXIMUM_NUMBER_OF_PREFIXES_REACHED
        self.up.carry_out(self.up.session.stop(now, subcode))

    def _carried(self) -> int:
        return self.env.reflector.path_count(self.source)
