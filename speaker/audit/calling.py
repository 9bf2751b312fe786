"""Who calls us and gets no further, and why? By the first segments of calls, and what we were told of. Pure.

A call that reaches Onepeer is answered at once, if only with a RST. One that does not is sent again, so that several
in a row say for certain what a counter of the kernel cannot: that a node does call, and that it is this one.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from speaker.audit.reasons import Reason
from speaker.net.calls import Call
from speaker.net.sockets import Address

#: Seconds that unanswered calls must span. One alone may be answered any moment.
SPAN: Final = 2.5

#: Seconds for which a call says anything: MetalLB's native speaker backs off for two minutes, and FRR dials as seldom.
RECENT: Final = 150.0

#: Calls remembered of each caller.
MOST: Final = 8


@dataclass(frozen=True, slots=True)
class Keys:
    """What TCP MD5 should look like for a caller.

    set         we have a password for it
    dropped     the kernel has dropped segments for their signature a moment ago
    """

    set: bool
    dropped: bool


class Calling:
    """The calls of nodes to our addresses."""

    def __init__(self) -> None:
        self._calls: dict[tuple[Address, int], deque[Call]] = {}

    def hear(self, call: Call) -> None:
        """One of a node."""
        self._calls.setdefault((call.caller, call.port), deque(maxlen=MOST)).append(call)

    def keep(self, callers: Collection[Address]) -> None:
        """Forget all others."""
        self._calls = {key: calls for key, calls in self._calls.items() if key[0] in callers}

    def unanswered(self, caller: Address, port: int, called_at: float, now: float) -> Call | None:
        """The last of several calls that we were not told of. `called_at`: when we were told of one last."""
        calls = [call for call in self._calls.get((caller, port), ()) if call.at > called_at and now - call.at < RECENT]
        return calls[-1] if calls and calls[-1].at - calls[0].at >= SPAN else None

    def elsewhere(self, caller: Address, port: int, now: float) -> int | None:
        """The other port that it calls, where it does not call this one."""
        heard = {own: calls[-1].at for (who, own), calls in self._calls.items() if who == caller}
        recent = [own for own, at in heard.items() if now - at < RECENT]
        return None if port in recent else next(iter(recent), None)


def why_unanswered(call: Call, keys: Keys) -> tuple[Reason, str]:
    """Why a call is not answered."""
    if call.signed and not keys.set:
        return Reason.WRONG_PASSWORD, "its calls are signed, and we have no password for it"
    if keys.set and not call.signed:
        return Reason.WRONG_PASSWORD, "its calls are not signed, and we have a password for it"
    if call.signed and keys.dropped:
        return Reason.WRONG_PASSWORD, "its calls are signed with another password than ours"
    return Reason.BLOCKED, f"its calls reach {call.to} port {call.port} and are not answered"
