"""Since when, and is it worth an alarm? Findings over time; pure, `now` is wall clock in seconds.

- What is missing for less than GRACE is no alarm: a node that joins, a pod that moves, and a rollout of MetalLB take
  their time. What comes back ends its finding at once.
- After our own start nothing is an alarm until the nodes have had time to call again: then everything is missing. The
  same where all sessions begin anew by changed settings; what was an alarm before those stays one.
- What was missing before that start, and is still, has been missing since then (`Remembered`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from speaker.audit.compare import Lack, Live, Missing, Result, RouterDown, Unannounced, compare
from speaker.audit.expect import Wanted

#: Seconds. A speaker's pod is replaced in 10 to 20 s, and an alarm is promised within 60.
GRACE: Final = 30.0

T = TypeVar("T", Missing, Unannounced, RouterDown)

Key = tuple[str, ...]
"""What is missing: `("node", NAME)` by whatever fault, `("node", NAME, REASON)`, `("service", NAME, ADDRESS, REASON)`
or `("router", NAME)`."""


@dataclass(frozen=True, slots=True)
class Finding(Generic[T]):
    """Something that is missing, since when, and whether it has lasted long enough to be an alarm."""

    missing: T
    since: float
    alarm: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """All of them."""

    nodes: tuple[Finding[Missing], ...] = ()
    services: tuple[Finding[Unannounced], ...] = ()
    routers: tuple[Finding[RouterDown], ...] = ()

    def alarms(self) -> Iterable["AnyFinding"]:
        """Those that are one."""
        found: tuple[AnyFinding, ...] = (*self.nodes, *self.services, *self.routers)
        return (one for one in found if one.alarm)


AnyFinding = Finding[Missing] | Finding[Unannounced] | Finding[RouterDown]


class Auditor:
    """The findings now. `look` is to be called whenever anything may have changed, and now and then.

    remembered      `since` of the Auditor before our last restart
    """

    def __init__(self, remembered: Mapping[Key, float] | None = None) -> None:
        self.wanted: Sequence[Wanted] = ()
        self.lacking: Sequence[frozenset[str]] = ()
        self.findings = Findings()
        self.since: Mapping[Key, float] = {}
        """Of all that is missing."""
        self._raised: frozenset[Key] = frozenset()
        self._remembered = dict(remembered or {})

    def look(self, wanted: Sequence[Wanted], live: Live, now: float, *, settled: bool = True) -> None:
        """Compares again. `settled`: the nodes have had their time since our own start."""
        result = compare(wanted, live)
        self.wanted, self.lacking = wanted, result.lacking
        self._forget(result, live)
        known = {**self._remembered, **self.since}
        # A reason that turns into another is no new absence: whoever never dialled and then is refused was missing
        # all the time.
        keys = {_node(missing.node) for missing in result.missing if missing.reason.fault}
        lacks: tuple[Lack, ...] = (*result.missing, *result.unannounced, *result.routers)
        keys.update(map(_key, lacks))
        self.since = {key: min(known.get(key, now), now) for key in keys}
        if settled:
            self._remembered = {}
        self.findings = Findings(
            tuple(self._finding(missing, now, settled) for missing in result.missing),
            tuple(self._finding(unannounced, now, settled) for unannounced in result.unannounced),
            tuple(self._finding(down, now, settled) for down in result.routers),
        )
        self._raised = frozenset(_key(finding.missing) for finding in self.findings.alarms())

    def _forget(self, result: Result, live: Live) -> None:
        """What is well again is not missing since then when it is lost anew."""
        if not self._remembered:
            return
        lacking = {missing.node for missing in result.missing}
        well = {name for name, state in live.nodes().items() if state.why is None and state.paths} - lacking
        down = {router.router for router in result.routers}
        self._remembered = {
            key: since
            for key, since in self._remembered.items()
            if not (key[0] == "node" and key[1] in well) and (key[0] != "router" or key[1] in down)
        }

    def _finding(self, missing: T, now: float, settled: bool) -> Finding[T]:
        key = _key(missing)
        since = self.since[key]
        if isinstance(missing, Missing) and missing.whole and missing.reason.fault:
            since = min(since, self.since[_node(missing.node)])
        lasts = now - since >= GRACE and (settled or key in self._raised)
        return Finding(missing, since, missing.reason.fault and lasts)


def _node(name: str) -> Key:
    return "node", name


def _key(missing: Lack) -> Key:
    kind = {Missing: "node", Unannounced: "service", RouterDown: "router"}[type(missing)]
    return kind, *missing.key
