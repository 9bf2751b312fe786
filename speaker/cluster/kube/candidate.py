"""Who may lead by a Lease? One of several candidates, as it decides by itself: no I/O, and no clock of its own.

- A holder counts from before its request was sent, and for less than the others wait: two never lead at once, however
  long a request takes, and whatever the wall clock does. No wall clock decides anything.
- The others count from their own sight of the last change, for as long as the Lease itself says.
- A holder that cannot write for want of an answer *holds on*: it leads no more by the Lease, and yet nobody else does
  either. What it may still do then is its owner's question. It lets go when it sees another holder, or a conflict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

HOLDS: Final = 0.6
"""For how much of the Lease's duration after a renewal its holder leads; the others wait for all of it."""

EVERY: Final = 1.0
"""Seconds between two renewals, and between two looks of those that wait."""

NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class Record:
    """What of a Lease counts. `holder` is empty where nobody has it; `seconds` its duration; `renewed` is a mark to
    tell one renewal from the next and no time; `channel` is "" where it is not known."""

    holder: str
    seconds: float
    renewed: str
    version: str = ""
    channel: str = ""
    transitions: int = 0


class Candidate:
    """One that may lead. `name` is its own, `channel` where others reach it, `seconds` how long a Lease lasts.

    `now` is any clock that only goes forward.
    """

    def __init__(self, name: str, channel: str, seconds: float) -> None:
        self.name, self.channel, self.seconds = name, channel, seconds
        self.record: Record | None = None
        self.valid_until = NEVER
        self.wants = True
        self._known = False  # whether `record` is what there was at the last look, with no write since
        self._contested = False
        self._changed = NEVER
        self._held = False

    def leads(self, now: float) -> bool:
        """Whether nobody else can lead now."""
        return self._held and now < self.valid_until

    def holds_on(self, now: float) -> bool:
        """Whether it led, could not renew, and has seen no other holder since."""
        return self._held and not self._contested and now >= self.valid_until

    def age(self, now: float) -> float | None:
        """Seconds since it was seen to change last."""
        return now - self._changed if self.record is not None else None

    @property
    def others_after(self) -> float:
        """When, at the earliest, somebody else can lead."""
        return self.valid_until + (1 - HOLDS) * self.seconds

    @property
    def sure(self) -> bool:
        """Whether it may write without another look."""
        return self._known

    @property
    def holder(self) -> str:
        """Who has it, as far as is known."""
        return self.record.holder if self.record is not None else ""

    def read(self, record: Record | None, now: float) -> None:
        """The API server has shown it; None where there is none. `now` is when the answer had come."""
        if record != self.record:
            self._changed = now
        self._known, self._contested, self.record = True, False, record
        if record is None or record.holder != self.name:
            self._let_go()

    def proposal(self, now: float, mark: str, patience: float = 0.0) -> Record | None:
        """What to write now, or None. `patience` is how much longer than it must it waits for others to go first."""
        if not self.wants or not self._known:
            return None
        mine = Record(self.name, self.seconds, mark, channel=self.channel)
        held = self.record
        if held is None:
            # One that was deleted may have a holder still, who has not noticed.
            return mine if now - self._changed >= self.seconds else None
        if held.holder == self.name:
            return replace(mine, version=held.version, transitions=held.transitions)
        if held.holder and now - self._changed < held.seconds + patience:
            return None
        if not held.holder and now - self._changed < patience:
            return None
        return replace(mine, version=held.version, transitions=held.transitions + 1)

    def due(self, now: float, patience: float = 0.0) -> float:
        """When to look or write again, at the latest."""
        held = self.record
        if held is None or held.holder in ("", self.name) or not self._known:
            return now + EVERY
        return min(now + EVERY, max(now, self._changed + held.seconds + patience))

    def written(self, record: Record, asked: float, now: float) -> None:
        """A proposal was taken. `asked` is from before it was sent."""
        self.record, self._known, self._contested, self._changed = record, True, False, now
        self._held = record.holder == self.name
        self.valid_until = asked + HOLDS * self.seconds if self._held else NEVER

    def unanswered(self, *, contested: bool) -> None:
        """A write may have been taken or not, or (`contested`) was not, since somebody else has written before."""
        self._known = False
        self._contested = self._contested or contested

    def gift(self, to: str, mark: str) -> Record | None:
        """What to write so that another has it ("": nobody), or None where it is not ours. From now on we do not
        lead, and do not want to."""
        held, ours = self.record, self._held
        self.wants = False
        self._let_go()
        if held is None or not ours:
            return None
        return replace(held, holder=to, renewed=mark, transitions=held.transitions + bool(to))

    def _let_go(self) -> None:
        self._held, self.valid_until = False, NEVER
