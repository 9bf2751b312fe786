"""For how long do the paths of a node outlive its session? The rules, and who is held now.

A node forwards whether its speaker runs or not. So what matters is not that the session ended, but what that says of
the node:

1 `restart`: the node answers. Its kernel closed the connection, or its speaker said goodbye. All its paths are held for
  `paths` seconds.
2 `silent`: nobody knows. Its paths go at once, but for rule 4.
3 `ended`: it was told to, or it was at fault. Its paths go at once.
4 The last path of a prefix is held for `last` seconds after 1 and 2: without it the service is gone for certain.
5 More than `share` percent of the nodes lost within WINDOW are one failure, and more likely ours than theirs: all that
  is held then is held for `last` seconds, and what others say of the nodes (rule 6) does not count.
6 A node that the cluster calls not ready, or that is known to be dead, is not held. Nor is one that leaves the
  roster, ever.
7 A node that is back keeps what it announces again. The rest goes once it has said all it has.
8 A node that is lost again before that keeps its old deadline.

What FRR and MetalLB send when they end was measured (docs/availability.md): "Peer De-configured" (6/3) is what FRR 8.4
says at SIGTERM to a peer without graceful restart, and to every peer when it is taken out of its configuration. So it
counts as a restart.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from speaker.bgp.events import Cause, Ended
from speaker.bgp.iana import CeaseSubcode, ErrorCode
from speaker.rib.source import Source

#: Seconds within which lost nodes are one failure: hold timers that started together expire within 30 s, the time
#: between two KEEPALIVEs.
WINDOW = 30.0

#: One node alone is no mass failure, however few there are.
LEAST = 2

_ON_PURPOSE = {
    (ErrorCode.CEASE, CeaseSubcode.ADMINISTRATIVE_SHUTDOWN),
    (ErrorCode.CEASE, CeaseSubcode.HARD_RESET),
}


class Loss(StrEnum):
    """What the end of a session says of its node; the words that logs and `onepeer nodes` print."""

    RESTART = "restart"
    SILENT = "silent"
    ENDED = "ended"


class Fate(StrEnum):
    """What became of held paths; the word that the log prints."""

    REFRESHED = "refreshed"  # announced again, all of them
    SETTLED = "settled"  # the node is back and has said all it has; the rest is dropped
    EXPIRED = "expired"  # held for as long as the settings say
    SILENT = "silent"  # nothing was heard from the node
    NOT_READY = "not-ready"  # the cluster says so of the node
    DEAD = "dead"  # the node does not answer
    REMOVED = "removed"  # the node has left the roster
    LOST_AGAIN = "lost-again"  # by an end after which nothing is held


@dataclass(frozen=True, slots=True)
class HoldLimits:
    """paths, last: seconds, 0 = nothing is held. share: percent of the nodes."""

    paths: float
    last: float
    share: int


class Looks(NamedTuple):
    """What is known of a node: whether its session is up, whether it has said all it has on it, and what others say.

    alive   whether it answers, None where nobody asks it
    """

    up: bool
    settled: bool
    ready: bool = True
    alive: bool | None = None


class Told(NamedTuple):
    """Held paths of a node are no more: what became of them, how many went, and how many its last ones stay."""

    source: Source
    fate: Fate
    dropped: int
    left: int
    after: float


@dataclass(slots=True)
class Held:
    """A node whose session was lost. Times are the loop's."""

    loss: Loss
    since: float
    until: float
    last_until: float


@dataclass(slots=True)
class MassFailure:
    """Many nodes were lost at once: so many of so many sessions."""

    since: float
    lost: int
    of: int
    sources: set[Source] = field(default_factory=set)


class Store(NamedTuple):
    """What the holding does to the tables: reflector.py's methods."""

    lost: Callable[[Source], None]
    gone: Callable[[Source], None]
    drop: Callable[[Source, bool], int]
    left: Callable[[Source], int]


def what_it_says(ended: Ended) -> Loss:
    """Of the node, when its established session has ended."""
    heard = ended.notification
    if ended.cause is Cause.HOLD_TIMER:
        return Loss.SILENT
    if ended.cause is Cause.NOTIFICATION_RECEIVED and heard is not None:
        return Loss.ENDED if (heard.code, heard.subcode) in _ON_PURPOSE else Loss.RESTART
    if ended.cause is Cause.STOPPED and heard is None:
        return Loss.RESTART  # by us, for its next call (RFC 4724 4.2)
    return Loss.RESTART if ended.cause in (Cause.CONNECTION_LOST, Cause.COLLISION) else Loss.ENDED


class Holding:
    """Who is held."""

    def __init__(self, store: Store, limits: HoldLimits) -> None:
        self.limits = limits
        self.held: dict[Source, Held] = {}
        self.mass: MassFailure | None = None
        self._store = store
        self._losses: dict[Source, float] = {}

    def lost(self, source: Source, ended: Ended, now: float, up: int) -> Told | None:
        """A node's session has ended; `up` nodes still have theirs. What of its held paths went for it."""
        loss = what_it_says(ended)
        before = self.held.pop(source, None)
        self._losses.pop(source, None)
        if loss is Loss.ENDED or not self.limits.paths:
            dropped = self._store.left(source)
            self._store.gone(source)
            return Told(source, Fate.LOST_AGAIN, dropped, 0, now - before.since) if before else None
        self._store.lost(source)
        if not self._store.left(source):
            return None
        until = now + self.limits.paths if loss is Loss.RESTART else now
        last_until = now + max(self.limits.last, self.limits.paths)
        if before is not None:
            until, last_until = min(until, before.until), before.last_until
        self.held[source] = Held(loss, before.since if before else now, until, last_until)
        self._count_losses(source, now, up)
        if self.mass is not None:
            self.mass.sources.add(source)
            self.held[source].until = last_until
        return None

    def look(self, now: float, looks: Callable[[Source], Looks]) -> Iterator[Told]:
        """What time, the cluster and the nodes themselves have decided by now."""
        for source, held in list(self.held.items()):
            seen = looks(source)
            fate = self._fate(source, held, seen, now)
            if fate is None:
                continue
            last = fate in (Fate.EXPIRED, Fate.SILENT) and now < held.last_until
            dropped = self._store.drop(source, last)
            left = self._store.left(source)
            if not left:
                del self.held[source]
                self._losses.pop(source, None)
            if dropped or not left:
                yield Told(source, fate, dropped, left, now - held.since)
        if self.mass is not None and self.mass.sources.isdisjoint(self.held):
            self.mass = None

    def removed(self, source: Source, now: float) -> Told | None:
        """A node has left the roster."""
        held = self.held.pop(source, None)
        self._losses.pop(source, None)
        dropped = self._store.left(source)
        self._store.gone(source)
        return Told(source, Fate.REMOVED, dropped, 0, now - held.since) if held else None

    def _fate(self, source: Source, held: Held, seen: Looks, now: float) -> Fate | None:
        if not self._store.left(source):
            return Fate.REFRESHED
        if seen.up and seen.settled:
            return Fate.SETTLED
        if not seen.up and not (self.mass and source in self.mass.sources):
            if not seen.ready:
                return Fate.NOT_READY
            if seen.alive is False:
                return Fate.DEAD
        if now < held.until:
            return None
        return Fate.SILENT if held.loss is Loss.SILENT and now < held.last_until else Fate.EXPIRED

    def _count_losses(self, source: Source, now: float, up: int) -> None:
        """Rule 5. Who is back counts no more: a rollout that goes from node to node is no mass failure."""
        losses = self._losses  # the oldest first
        losses[source] = now
        while now - losses[oldest := next(iter(losses))] >= WINDOW:
            del losses[oldest]
        lost = len(losses)
        if self.mass is None and lost >= LEAST and 100 * lost > self.limits.share * (lost + up):
            self.mass = MassFailure(now, lost, lost + up, set(losses))
            for one in losses:
                self.held[one].until = self.held[one].last_until
        elif self.mass is not None:
            self.mass.lost = max(self.mass.lost, lost)
