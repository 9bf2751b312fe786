"""What do we know of each node, and what does the audit make of it? Feeds speaker/audit from the running parts.

A look takes 0.3 ms with 10 nodes and 30 Services, and 45 with 1000 of each (tests/audit/bench.py), so it is made every
two seconds and not at each change, and less often where it takes long: an alarm is a matter of half a minute.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping

import structlog

from speaker.audit.compare import NodeState
from speaker.audit.expect import Wanted, expect
from speaker.audit.reasons import Reason
from speaker.audit.watch import Auditor, Finding
from speaker.bgp import nlri
from speaker.bgp.events import Cause
from speaker.bgp.iana import Family
from speaker.cluster import Node
from speaker.cluster.kube.events import About, Alarm
from speaker.cluster.kube.landscape import Landscape
from speaker.cluster.kube.nodes import NodeFacts
from speaker.config import Settings
from speaker.log import LogEvent
from speaker.peers.node import NodePeer
from speaker.peers.peering import Peering
from speaker.serve import views
from speaker.settings_selector import SelectorError, selector_of

#: Seconds between two looks: LOOK at least, else REST times what the last one took, which is a hundredth of a core, and
#: SELDOM at most.
LOOK, REST, SELDOM = 2.0, 100, 10.0

#: Seconds for which a dropped signature explains why a node with a password does not come.
MD5_RECENT = 60.0

#: Names in a view; the counts are whole.
MOST = 50


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
        for peer in _peers(self._peering, node):
            refused = self._reflector.tables[family].refused(peer.source).get(prefix)
            if refused is not None:
                return str(refused.reason)
        return None


class Auditing:
    """The audit of one Onepeer.

    peering     gives the one that is in force
    answers     whether a node answers on its link; None where nothing is known
    changed     is called when there are other alarms than before
    """

    def __init__(
        self,
        peering: Callable[[], Peering],
        answers: Callable[[str], bool | None],
        changed: Callable[[], None],
    ) -> None:
        self.auditor = Auditor()
        self.landscape: Landscape | None = None
        self._peering, self._answers, self._changed = peering, answers, changed
        self._settings: Settings | None = None
        self._md5_at: float | None = None
        self._told: dict[str, Finding] = {}
        self._log = structlog.get_logger()

    def set_landscape(self, landscape: Landscape | None, settings: Settings) -> None:
        """What the cluster says; None where there is none."""
        before = self.landscape.problems if self.landscape else ()
        self.landscape, self._settings = landscape, settings
        for problem in landscape.problems if landscape else ():
            if problem not in before:
                self._log.warning(LogEvent.AUDIT_BLIND, why=problem)

    def signature_dropped(self) -> None:
        """The kernel has dropped a call for its TCP MD5 signature."""
        self._md5_at = time.monotonic()

    async def run(self) -> None:
        """Looks, and tells what is new, for ever."""
        took = 0.0
        while True:
            await asyncio.sleep(min(max(LOOK, REST * took), SELDOM))
            begun = time.monotonic()
            self.look(time.time())
            self._tell()
            took = time.monotonic() - begun

    def look(self, now: float) -> None:
        """Compares again; `now` is wall clock."""
        peering = self._peering()
        if not peering.whole and self.landscape is None:
            return  # the nodes are still coming back after a start
        states = self._with_signatures({node.name: self._state(node) for node in peering.roster.nodes})
        self.auditor.look(self._wanted(peering), _Live(peering, states), now)

    def _wanted(self, peering: Peering) -> list[Wanted]:
        if self.landscape is None:
            return []
        ours = [peer.name for peer in self.landscape.peers or () if peer.end in self._ends()]
        return expect(self.landscape, ours, peering.roster.by_name)

    # --- why a node is not there ---

    def _state(self, node: Node) -> NodeState:
        peers = _peers(self._peering(), node.name)
        paths = sum(self._peering().reflector.path_count(peer.source) for peer in peers)
        if node.name in self._peering().drains:
            return NodeState(Reason.DRAINED, "", paths)
        if self._answers(node.name) is False:
            return NodeState(Reason.SILENT, "no answer to ARP", paths)
        if any(peer.up is not None for peer in peers):
            return NodeState(None, "", paths)
        if node.ready is False:
            return NodeState(Reason.NOT_READY, "", paths)
        return NodeState(*self._why_down(node, peers), paths)

    def _why_down(self, node: Node, peers: Collection[NodePeer]) -> tuple[Reason, str]:
        speakers = self.landscape.speakers if self.landscape else None
        if speakers and not any(speaker.node == node.name and speaker.ready for speaker in speakers):
            return Reason.SPEAKER_NOT_RUNNING, ""
        refused = next((peer.refused for peer in peers if peer.refused is not None), None)
        ends = [peer.last_end for peer in peers if peer.last_end is not None]
        if not ends:
            if refused is not None:
                return Reason.REFUSED, str(refused)
            return (Reason.NO_BGP_PEER if self._lacks_bgp_peer(node.name) else Reason.NEVER_DIALED), ""
        last = max(ends, key=lambda end: end.at)
        if last.ended.cause is Cause.NOTIFICATION_SENT and not last.ended.was_established:
            return Reason.REFUSED, last.ended.text
        said = last.ended.notification or last.ended.text
        return Reason.SESSION_LOST, f"{last.ended.cause}: {said}" if said else str(last.ended.cause)

    def _with_signatures(self, states: dict[str, NodeState]) -> dict[str, NodeState]:
        """Where the kernel drops calls for their signature, whose are they? It does not tell: if one node alone never
        dialled it is that one, else it may be any of them."""
        suspects = [name for name, state in states.items() if state.why is Reason.NEVER_DIALED]
        if self._md5_at is None or time.monotonic() - self._md5_at >= MD5_RECENT or not suspects:
            return states
        said = "the kernel drops calls for their TCP MD5 signature"
        why, detail = (Reason.WRONG_PASSWORD, said) if len(suspects) == 1 else (
            Reason.NEVER_DIALED, f"or its password is wrong: {said}, and does not tell whose"
        )  # fmt: skip
        return states | {name: NodeState(why, detail, states[name].paths) for name in suspects}

    def _ends(self) -> set[tuple[str, int]]:
        assert self._settings is not None
        listen = self._settings.listen
        return {(str(address), listen.port) for address in listen.addresses}

    def _lacks_bgp_peer(self, name: str) -> bool:
        """Whether BGPPeers are known, and none leads from this node to us."""
        land = self.landscape
        if land is None or land.peers is None or land.nodes is None:
            return False
        facts = next((node for node in land.nodes if node.name == name), None)
        return facts is not None and not any(
            peer.end in self._ends() and _takes(peer.spec.get("nodeSelectors"), facts) for peer in land.peers
        )

    # --- telling ---

    def _tell(self) -> None:
        alarms = {
            f"{finding.missing.node} {finding.missing.reason}": finding
            for finding in self.auditor.findings
            if finding.alarm
        }
        for key in alarms.keys() - self._told.keys():
            missing = alarms[key].missing
            self._log.warning(
                LogEvent.PATHS_MISSING,
                node=missing.node,
                reason=missing.reason,
                detail=missing.detail,
                addresses=len(missing.wanted),
                since=round(alarms[key].since, 1),
            )
        for key in self._told.keys() - alarms.keys():
            missing = self._told[key].missing
            self._log.info(LogEvent.PATHS_BACK, node=missing.node, reason=missing.reason)
        if alarms.keys() != self._told.keys():
            self._changed()
        self._told = alarms

    def alarms(self) -> Iterator[Alarm]:
        """For Events: on the Node where it lacks all, else on the Services that it lacks."""
        uids = {service.name: service.uid for service in (self.landscape.services or () if self.landscape else ())}
        for finding in self.auditor.findings:
            missing = finding.missing
            if not finding.alarm:
                continue
            note = f"{missing.reason}. {missing.detail}. {missing.reason.next_step}".replace(". . ", ". ")
            if missing.whole:
                yield Alarm(About("Node", missing.node), missing.reason, f"It announces nothing: {note}")
                continue
            for wanted in missing.wanted[:MOST]:
                namespace, _, name = wanted.service.partition("/")
                about = About("Service", name, namespace, uids.get(wanted.service, ""))
                yield Alarm(about, missing.reason, f"Node {missing.node} does not announce {wanted.address}: {note}")

    @property
    def alarmed(self) -> bool:
        """Whether anything that it has found is an alarm."""
        return any(finding.alarm for finding in self.auditor.findings)

    def warnings(self) -> Iterator[str]:
        """A line for each alarm, for `status`."""
        for finding in self.auditor.findings:
            if finding.alarm:
                missing = finding.missing
                what = "all" if missing.whole else "some"
                detail = f" ({missing.detail})" if missing.detail else ""
                yield f"{missing.node} does not announce {what} of what it should: {missing.reason}{detail}"

    def view(self) -> views.AuditView:
        """All of it."""
        auditor, land = self.auditor, self.landscape
        pairs = zip(auditor.wanted, auditor.lacking, strict=True)
        return views.AuditView(
            from_cluster=land is not None and land.services is not None,
            alarms=sum(finding.alarm for finding in auditor.findings),
            findings=[_finding(finding) for finding in auditor.findings],
            services=[_service(wanted, lacking) for wanted, lacking in pairs],
            problems=list(land.problems) if land else [],
        )


def _peers(peering: Peering, node: str) -> list[NodePeer]:
    found = peering.roster.by_name.get(node)
    return [peering.nodes[a] for a in found.addresses if a in peering.nodes] if found else []


def _takes(said: object, node: NodeFacts) -> bool:
    """Whether a BGPPeer's nodeSelectors take a node; none take all."""
    if not isinstance(said, list) or not said:
        return True
    labels = dict(node.labels)
    for body in said:
        try:
            if selector_of(body).selects(labels):
                return True
        except SelectorError:
            continue
    return False


def _finding(finding: Finding) -> views.FindingView:
    missing = finding.missing
    services = list(dict.fromkeys(wanted.service for wanted in missing.wanted))
    return views.FindingView(
        node=missing.node,
        reason=str(missing.reason),
        detail=missing.detail,
        since=finding.since,
        alarm=finding.alarm,
        whole=missing.whole,
        services=services[:MOST],
        service_count=len(services),
        next_step=missing.reason.next_step,
    )


def _service(wanted: Wanted, lacking: frozenset[str]) -> views.ServiceView:
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
    )
