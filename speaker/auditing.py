"""What is missing, and who is told? Feeds speaker/audit from the running parts, and tells what it finds.

A look takes 0.3 ms with 10 nodes and 30 Services, and 45 with 1000 of each (tests/audit/bench.py), so it is made every
two seconds and not at each change, and less often where it takes long: an alarm is a matter of half a minute.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import structlog

from speaker.audit.compare import Lack, Missing, NodeState, RouterDown, Unannounced
from speaker.audit.expect import Expected, Wanted, expect
from speaker.audit.reasons import Reason
from speaker.audit.watch import GRACE, AnyFinding, Auditor, Finding
from speaker.bgp import nlri
from speaker.bgp.iana import Family
from speaker.cluster.kube.events import About, Alarm
from speaker.cluster.kube.landscape import Landscape
from speaker.cluster.kube.services import flags_of
from speaker.config import Kubernetes, Settings
from speaker.kept_since import KeptSince
from speaker.log import LogEvent
from speaker.peers.peering import Peering
from speaker.peers.router import RouterPeer
from speaker.serve import views
from speaker.whereabouts import Whereabouts, ends_of, peers_of

#: Seconds between two looks: LOOK at least, else REST times what the last one took, which is a hundredth of a core, and
#: SELDOM at most.
LOOK, REST, SELDOM = 2.0, 100, 10.0

#: Seconds of our own after which an alarm waits for no node any more: it is promised within a minute.
START = 50.0

#: Names in a view, and Services of one reason in `status`; the counts are whole.
MOST, FEW = 50, 3


class _Live:
    """audit.compare.Live of a Peering."""

    def __init__(self, peering: Peering, states: Mapping[str, NodeState]) -> None:
        self._peering, self._states = peering, states
        self._reflector = peering.reflector

    def nodes(self) -> Mapping[str, NodeState]:
        return self._states

    def announcers(self, family: Family, prefix: bytes) -> set[str]:
        sources = self._reflector.tables[family].paths(prefix)
        stale = self._reflector.stale
        if stale:
            return {source.node for source in sources if not stale.has(source, family, prefix)}
        return {source.node for source in sources}

    def kept_out(self, node: str, family: Family, prefix: bytes) -> str | None:
        for peer in peers_of(self._peering, node):
            refused = self._reflector.tables[family].refused(peer.source).get(prefix)
            if refused is not None:
                return str(refused.reason)
        return None

    def routers(self) -> Mapping[str, str]:
        # One that another replica speaks to is that one's to tell of.
        return {
            name: _last_end(lanes)
            for name, lanes in self._peering.routers.items()
            if not any(lane.up is not None or lane.rests for lane in lanes)
        }


class Auditing:
    """The audit of one Onepeer.

    peering         gives the one that is in force
    whereabouts     why a node is not there
    kept            what was missing before our last restart
    changed         is called when there are other alarms than before
    """

    def __init__(
        self,
        peering: Callable[[], Peering],
        whereabouts: Whereabouts,
        kept: KeptSince,
        changed: Callable[[], None],
    ) -> None:
        self.auditor = Auditor(kept.load())
        self.landscape: Landscape | None = None
        self._peering, self._whereabouts, self._kept, self._changed = peering, whereabouts, kept, changed
        self._settings: Settings | None = None
        self._expected = Expected()
        self._begun = time.monotonic()
        self._told: dict[str, AnyFinding] = {}
        self._log = structlog.get_logger()

    def set_landscape(self, landscape: Landscape | None, settings: Settings) -> None:
        """What the cluster says; None where there is none."""
        before = self.landscape.problems if self.landscape else ()
        self.landscape, self._settings = landscape, settings
        for problem in landscape.problems if landscape else ():
            if problem not in before:
                self._log.warning(LogEvent.AUDIT_BLIND, why=problem)

    async def run(self) -> None:
        """Looks, and tells what is new, for ever."""
        took = 0.0
        try:
            while True:
                await asyncio.sleep(min(max(LOOK, REST * took), SELDOM))
                begun = time.monotonic()
                settled = self.look(time.time())
                self._tell()
                took = time.monotonic() - begun
                if settled:
                    await asyncio.to_thread(self._kept.save, self.auditor.since)
        finally:
            self._whereabouts.close()

    def look(self, now: float) -> bool:
        """Compares again; `now` is wall clock. Whether the nodes have had their time since the start."""
        peering = self._peering()
        if not peering.whole and self.landscape is None:
            return False  # the nodes are still coming back
        runs = time.monotonic() - self._begun
        settled = runs >= START or (peering.whole and runs >= GRACE)
        states = self._whereabouts.states(peering, self.landscape, self._settings)
        self._expected = self._expect(peering, states)
        self.auditor.look(self._expected.wanted, _Live(peering, states), now, settled=settled)
        return settled

    def _expect(self, peering: Peering, states: Mapping[str, NodeState]) -> Expected:
        taken_out = {name: state.why for name, state in states.items() if state.why in _TAKEN_OUT}
        if self.landscape is None or self._settings is None:
            return Expected((), taken_out)
        ends = ends_of(self._settings)
        ours = [peer.name for peer in self.landscape.peers or () if peer.end in ends]
        kubernetes = flags_of(self.landscape.speakers or ()).fill(self._kubernetes())
        expected = expect(self.landscape, ours, peering.roster.by_name, kubernetes)
        return Expected(expected.wanted, {**taken_out, **expected.not_expected})

    def _kubernetes(self) -> Kubernetes:
        return (self._settings.nodes.kubernetes if self._settings else None) or Kubernetes()

    # --- telling ---

    def _tell(self) -> None:
        alarms = {_name(one.missing): one for one in self.auditor.findings.alarms()}
        for name in alarms.keys() - self._told.keys():
            missing, since = alarms[name].missing, round(alarms[name].since, 1)
            self._log.warning(LogEvent.PATHS_MISSING, **_about(missing), **_more(missing), since=since)
        for name in self._told.keys() - alarms.keys():
            missing = self._told[name].missing
            self._log.info(LogEvent.PATHS_BACK, **_about(missing), reason=missing.reason)
        if alarms.keys() != self._told.keys():
            self._changed()
        self._told = alarms

    def alarms(self) -> Iterator[Alarm]:
        """For Events: on the Node where it lacks all, else on the Services that are concerned."""
        found = self.auditor.findings
        uids = {service.name: service.uid for service in (self.landscape.services or () if self.landscape else ())}
        for missing in (one.missing for one in found.nodes if one.alarm):
            note = f"{missing.reason}. {missing.detail}. {missing.reason.next_step}".replace(". . ", ". ")
            if missing.whole:
                yield Alarm(About("Node", missing.node), missing.reason, f"It announces nothing: {note}")
                continue
            for wanted in missing.wanted[:MOST]:
                what = f"Node {missing.node} does not announce {wanted.address}: {note}"
                yield Alarm(_about_service(wanted.service, uids), missing.reason, what)
        for nobody in (one.missing for one in found.services if one.alarm):
            what = f"No node announces {nobody.address}: {nobody.reason}. {nobody.reason.next_step}"
            yield Alarm(_about_service(nobody.service, uids), nobody.reason, what)
        # A router is no object of the cluster's.
        namespace = self._kubernetes().metallb_namespace
        for down in (one.missing for one in found.routers if one.alarm):
            about = About("Namespace", namespace)
            what = f"Router {down.router} gets nothing: {down.detail}. {down.reason.next_step}"
            yield Alarm(about, f"{down.reason} {down.router}", what)

    @property
    def alarmed(self) -> bool:
        """Whether anything that it has found is an alarm."""
        return any(True for _ in self.auditor.findings.alarms())

    def not_expected(self) -> list[views.NotExpectedView]:
        """The nodes that should announce nothing, and why."""
        return [
            views.NotExpectedView(node=name, reason=str(why), next_step=why.next_step)
            for name, why in sorted(self._expected.not_expected.items())
        ]

    def warnings(self) -> Iterator[str]:
        """A line for each alarm, for `status`; routers stand there anyway."""
        for missing in (one.missing for one in self.auditor.findings.nodes if one.alarm):
            what = "all" if missing.whole else "some"
            detail = f" ({missing.detail})" if missing.detail else ""
            yield f"{missing.node} does not announce {what} of what it should: {missing.reason}{detail}"
        unannounced = [one.missing for one in self.auditor.findings.services if one.alarm]
        for reason, count in Counter(one.reason for one in unannounced).items():
            names = [f"{one.service} ({one.address})" for one in unannounced if one.reason is reason]
            more = f" and {count - FEW} more" if count > FEW else ""
            yield f"no node announces {', '.join(names[:FEW])}{more}: {reason}. {reason.next_step}"

    def view(self) -> views.AuditView:
        """All of it."""
        auditor, land = self.auditor, self.landscape
        pairs = zip(auditor.wanted, auditor.lacking, strict=True)
        unannounced = {one.missing.key: one for one in auditor.findings.services}
        return views.AuditView(
            from_cluster=land is not None and land.services is not None,
            alarms=sum(1 for _ in auditor.findings.alarms()),
            findings=[_finding(finding) for finding in auditor.findings.nodes],
            services=[
                _service(wanted, lacking, unannounced.get((wanted.service, wanted.address, wanted.why_none or "")))
                for wanted, lacking in pairs
            ],
            routers=[_router(finding) for finding in auditor.findings.routers],
            not_expected=self.not_expected(),
            problems=list(land.problems) if land else [],
        )


_TAKEN_OUT = (Reason.DRAINED, Reason.NOT_READY)
"""Of a node without any look at what it should announce."""


def _about_service(name: str, uids: Mapping[str, str]) -> About:
    namespace, _, own = name.partition("/")
    return About("Service", own, namespace, uids.get(name, ""))


def _about(missing: Lack) -> dict[str, str]:
    """Who it is, as the log names it."""
    match missing:
        case Missing():
            return {"node": missing.node}
        case Unannounced():
            return {"service": missing.service}
    return {"router": missing.router}


def _name(missing: Lack) -> str:
    address = missing.address if isinstance(missing, Unannounced) else ""
    return " ".join((*_about(missing).values(), address, missing.reason))


def _more(missing: Lack) -> dict[str, object]:
    """The keys of the log event that the reason goes with."""
    match missing:
        case Missing():
            return {"reason": missing.reason, "detail": missing.detail, "addresses": len(missing.wanted)}
        case Unannounced():
            return {"reason": missing.reason, "detail": missing.address, "addresses": 1}
    return {"reason": missing.reason, "detail": missing.detail}


def _last_end(lanes: list[RouterPeer]) -> str:
    ends = [lane.last_end for lane in lanes if lane.last_end is not None]
    if not ends:
        return "never up"
    return max(ends, key=lambda end: end.at).ended.words


def _finding(finding: Finding[Missing]) -> views.FindingView:
    missing = finding.missing
    services = list(dict.fromkeys(wanted.service for wanted in missing.wanted))
    return views.FindingView(
        node=missing.node,
        reason=str(missing.reason),
        detail=missing.detail,
        since=finding.since,
        fault=missing.reason.fault,
        alarm=finding.alarm,
        whole=missing.whole,
        services=services[:MOST],
        service_count=len(services),
        next_step=missing.reason.next_step,
    )


def _service(wanted: Wanted, lacking: frozenset[str], finding: Finding[Unannounced] | None) -> views.ServiceView:
    why = wanted.why_none
    return views.ServiceView(
        service=wanted.service,
        address=wanted.address,
        prefixes=[nlri.text(prefix, wanted.family) for prefix in wanted.prefixes],
        wanted=len(wanted.nodes),
        announced=len(wanted.nodes) - len(lacking),
        lacking=sorted(lacking)[:MOST],
        why_none=str(why) if why else None,
        next_step=why.next_step if why else None,
        since=finding.since if finding else None,
        fault=finding is not None and finding.missing.reason.fault,
        alarm=finding is not None and finding.alarm,
    )


def _router(finding: Finding[RouterDown]) -> views.RouterDownView:
    down = finding.missing
    return views.RouterDownView(
        router=down.router,
        reason=str(down.reason),
        detail=down.detail,
        since=finding.since,
        alarm=finding.alarm,
        next_step=down.reason.next_step,
    )
