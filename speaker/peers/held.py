"""The holding at work: asked once a second while anything is held, and told in the log."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from speaker.bgp.events import Ended
from speaker.log import LogEvent
from speaker.peers.holding import Fate, Holding, HoldLimits, Looks, Store, Told
from speaker.reflector import Reflector
from speaker.rib.source import Source

#: Seconds between two looks.
LOOK = 1.0


@dataclass(frozen=True, slots=True)
class HeldPaths:
    """What is held of a node. `since` and `until` are wall clock; `until` is that of its last path to go."""

    paths: int
    loss: str
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class HeldMass:
    """So many of so many sessions were lost at once. `at` is wall clock."""

    at: float
    lost: int
    of: int


class HeldNodes:
    """The nodes whose paths are held. `looks` tells what is known of one, `changed` asks for a flush."""

    def __init__(self, reflector: Reflector, looks: Callable[[Source], Looks], changed: Callable[[], None]) -> None:
        def drop(source: Source, but_last: bool) -> int:
            return reflector.drop_stale(source, but_last=but_last)

        store = Store(reflector.node_lost, reflector.node_down, drop, reflector.stale.count)
        self._holding = Holding(store, HoldLimits(0, 0, 100))
        self._looks, self._changed = looks, changed
        self._loop = asyncio.get_running_loop()
        self._log = structlog.get_logger()
        self._timer: asyncio.TimerHandle | None = None
        self._stale = reflector.stale

    @property
    def mass(self) -> HeldMass | None:
        """The mass failure that is not over."""
        mass = self._holding.mass
        return None if mass is None else HeldMass(mass.since + time.time() - self._loop.time(), mass.lost, mass.of)

    def set_limits(self, limits: HoldLimits) -> None:
        """From the next loss on."""
        self._holding.limits = limits

    def of(self, source: Source) -> HeldPaths | None:
        """What is held of this node."""
        held = self._holding.held.get(source)
        if held is None:
            return None
        epoch, count = time.time() - self._loop.time(), self._stale.count(source)
        until = held.until if self._loop.time() < held.until else held.last_until
        return HeldPaths(count, held.loss, held.since + epoch, until + epoch)

    def lost(self, source: Source, ended: Ended, up: int) -> None:
        """The session of a node is over; `up` others are not."""
        now, before = self._loop.time(), self._holding.mass
        told = self._holding.lost(source, ended, now, up)
        held, mass = self._holding.held.get(source), self._holding.mass
        if told is not None:
            self._tell(told)
        elif held is not None and held.until > now:
            self._of(source).warning(
                LogEvent.PATHS_HELD,
                loss=held.loss,
                paths=self._stale.count(source),
                seconds=round(held.until - now),
            )
        if mass is not None and before is None:
            limits = self._holding.limits
            self._log.error(
                LogEvent.MASS_FAILURE, lost=mass.lost, of=mass.of, share=limits.share, seconds=round(limits.last)
            )
        self._look_later(0.0)

    def removed(self, source: Source) -> None:
        """A node has left the roster, and with it all its paths."""
        told = self._holding.removed(source, self._loop.time())
        if told is not None:
            self._tell(told)
        self._changed()

    def look(self) -> None:
        """Something has changed that may end a holding."""
        now, before = self._loop.time(), self._holding.mass
        for told in self._holding.look(now, self._looks):
            self._tell(told)
        if before is not None and self._holding.mass is None:
            self._log.info(LogEvent.MASS_FAILURE_OVER, after=round(now - before.since, 1))
        self._changed()
        self._look_later(LOOK)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_later(self, delay: float) -> None:
        self.stop()
        self._timer = self._loop.call_later(delay, self.look) if self._holding.held else None

    def _tell(self, told: Told) -> None:
        log = self._of(told.source)
        say = log.info if told.fate in (Fate.REFRESHED, Fate.SETTLED, Fate.REMOVED) else log.warning
        say(
            LogEvent.HELD_PATHS_ENDED,
            fate=told.fate,
            dropped=told.dropped,
            left=told.left,
            after=round(told.after, 1),
        )

    def _of(self, source: Source) -> structlog.typing.FilteringBoundLogger:
        bound: structlog.typing.FilteringBoundLogger = self._log.bind(node=source.node, address=str(source.address))
        return bound
