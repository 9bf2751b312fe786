"""Is this worth another record? What is refused again and again for the same reason is told once.

The log says such things once a minute. In a journal that would push out what happened before: a router that is off
for a month would be all there is. So a refusal is kept once until the session of its peer comes or goes.
"""

from typing import Final

from speaker.log import Kept
from speaker.serve.views import RecordView

MOST: Final = 4096
"""Refusals remembered. Strangers may call from many addresses; past it all is forgotten, and told once more."""

_WHY: Final = ("reason", "text", "cause", "why", "what", "problems")

_Who = tuple[str | None, int | None, str | None]


class Repeats:
    """What was told of whom."""

    def __init__(self) -> None:
        self._told: dict[_Who, set[tuple[str, str]]] = {}
        self._count = 0

    def is_new(self, record: RecordView) -> bool:
        """Whether the record tells something."""
        who = (record.node or record.router, record.lane, record.address)
        if record.kind == Kept.SESSION:
            self._count -= len(self._told.pop(who, ()))
        if record.kind != Kept.REFUSAL:
            return True
        why = (record.event, "|".join(str(record.details.get(key)) for key in _WHY))
        if why in self._told.get(who, ()):
            return False
        if self._count >= MOST:
            self._told.clear()
            self._count = 0
        self._told.setdefault(who, set()).add(why)
        self._count += 1
        return True
