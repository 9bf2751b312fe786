"""Since when, and is it worth an alarm? Findings over time; pure, `now` is wall clock in seconds.

What is missing for less than GRACE is no alarm: a node that joins, a pod that moves, and a rollout of MetalLB take
their time. What comes back ends its finding at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from speaker.audit.compare import Live, Missing, compare
from speaker.audit.expect import Wanted

#: Seconds. A speaker's pod is replaced in 10 to 20 s, and an alarm is promised within 60.
GRACE = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is missing, since when, and whether it has lasted long enough to be an alarm."""

    missing: Missing
    since: float
    alarm: bool


class Auditor:
    """The findings now. `look` is to be called whenever anything may have changed, and now and then."""

    def __init__(self) -> None:
        self.wanted: Sequence[Wanted] = ()
        self.lacking: Sequence[frozenset[str]] = ()
        self.findings: tuple[Finding, ...] = ()
        self._since: dict[tuple[str, str], float] = {}
        self._node_since: dict[str, float] = {}

    def look(self, wanted: Sequence[Wanted], live: Live, now: float) -> None:
        """Compares again."""
        result = compare(wanted, live)
        self.wanted, self.lacking = wanted, result.lacking
        # A reason that turns into another is no new absence: whoever never dialled and then is refused was missing
        # all the time.
        nodes = {missing.node for missing in result.missing if missing.reason.fault}
        self._node_since = {node: self._node_since.get(node, now) for node in nodes}
        self._since = {missing.key: self._since.get(missing.key, now) for missing in result.missing}
        self.findings = tuple(self._finding(missing, now) for missing in result.missing)

    def _finding(self, missing: Missing, now: float) -> Finding:
        since = self._since[missing.key]
        if missing.whole and missing.reason.fault:
            since = min(since, self._node_since[missing.node])
        return Finding(missing, since, missing.reason.fault and now - since >= GRACE)
