"""What does the running Onepeer look like right now? Its state as the views of serve/views.py.

Reads everything and changes nothing. Text is made here and nowhere before.
"""

import asyncio
import ipaddress
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from speaker.auditing import Auditing
from speaker.bgp import nlri
from speaker.bgp.attributes import Attributes
from speaker.bgp.events import Cause
from speaker.bgp.iana import SegmentType
from speaker.bgp.session import State
from speaker.config import Settings
from speaker.journal.journal import Journal
from speaker.journal.records import wanted_network
from speaker.overview import overview, spared
from speaker.peers.bfd import BfdWatch
from speaker.peers.neighbor import Neighbor, agreed, endpoint
from speaker.peers.node import NodePeer
from speaker.peers.peering import Peering
from speaker.peers.router import RouterPeer
from speaker.replicas.lead import Role, shown
from speaker.replicas.replicas import Replicas
from speaker.rib.decide import compare, ranked
from speaker.rib.guard import Reason as GuardReason
from speaker.rib.source import Source
from speaker.rib.table import Table
from speaker.serve import views
from speaker.serve.counters import Counters
from speaker.serve.version import VERSION
from speaker.serve.views import Health
from speaker.settings_values import community_text

#: Names in an answer; the counts are whole.
NAMES = 50

#: Records of the journal that the status page shows.
CHANGES = 40


@dataclass(frozen=True, slots=True)
class RosterState:
    """Where the roster comes from, and why its newest version was refused, if it was. `since` is wall clock."""

    source: str
    problem: str | None = None
    since: float = 0.0
    read: bool = False

    def taken(self) -> "RosterState":
        """It was read and is in force."""
        return replace(self, problem=None, since=time.time(), read=True)

    def refused(self, problem: str, since: float | None = None) -> "RosterState":
        """It could not be used; the one before stays. `since`: when its source was last good, where that is known."""
        return replace(self, problem=problem, since=since or (self.since if self.problem else time.time()))

    def from_source(self, source: str) -> "RosterState":
        """It is read from somewhere, perhaps somewhere else, from now on."""
        return replace(self, source=source)


class Running(Protocol):
    """What app.py lets be seen."""

    path: Path
    settings: Settings
    settings_problem: str | None
    roster: RosterState
    counters: Counters
    journal: Journal
    started: float
    peering: Peering
    replicas: Replicas | None
    auditing: Auditing
    bfd: BfdWatch

    def listening(self) -> list[str]:
        """Addresses with ports."""
        ...

    def drain(self, node: str, force: bool | None) -> None:
        """A person takes a node out, or with None lets it back in."""
        ...

    def answers(self, node: str) -> bool | None:
        """Whether a node answers on its link; None where nothing is known."""
        ...


class Report:
    """serve.source.Source for a running Onepeer."""

    def __init__(self, running: Running) -> None:
        self._running = running

    # --- serve.source.Source ---

    def status(self) -> views.StatusView:
        """The whole at a glance."""
        return self._status(self._nodes())

    def _status(self, nodes: list[views.NodeView]) -> views.StatusView:
        running, peering = self._running, self._running.peering
        settings, tables = running.settings, peering.reflector.tables
        routers = [self._router(name, lanes) for name, lanes in peering.routers.items()]
        return views.StatusView(
            health=self._health(nodes),
            version=VERSION,
            asn=settings.asn,
            router_id=str(settings.router_id),
            started=running.started,
            now=time.time(),
            waiting_for_nodes=not peering.whole,
            mass_failure=self._mass_failure(),
            held=[node.name for node in nodes if any(one.held for one in node.sessions)],
            listen=running.listening(),
            settings_file=str(running.path),
            settings_problem=running.settings_problem,
            roster=views.RosterView(
                source=running.roster.source,
                nodes=len(nodes),
                problem=running.roster.problem,
                since=running.roster.since,
            ),
            nodes_up=[node.name for node in nodes if node.up],
            not_expected=running.auditing.not_expected(),
            nodes_down=[views.NodeDown(name=n.name, since=n.since, why=n.why_down or "") for n in nodes if not n.up],
            paths={str(family): table.path_count() for family, table in tables.items()},
            prefixes={str(family): len(table.prefixes) for family, table in tables.items()},
            refused=sum(r.paths for node in nodes for s in node.sessions for r in s.refused),
            routers=routers,
            warnings=list(self._warnings(nodes)),
        )

    def nodes(self) -> views.NodesView:
        """Every node of the roster."""
        return views.NodesView(nodes=self._nodes())

    def routes(self, prefix: str | None) -> Iterator[views.RouteView]:
        """See serve.source.Source.routes."""
        wanted = None if prefix is None else wanted_network(prefix)
        for family, table in self._running.peering.reflector.tables.items():
            refused = self._refused_by_prefix(table)
            for name in sorted({*table.prefixes, *refused}, key=_by_address):
                if wanted is None or _answers(nlri.to_network(name, family), wanted):
                    yield self._route(table, name, refused.get(name, []))

    async def history(self, query: views.HistoryQuery) -> views.HistoryView:
        """What has happened. In a thread: a full journal is some tenths of a second to read."""
        return await asyncio.to_thread(self._running.journal.history, query)

    async def overview(self, query: views.OverviewQuery) -> views.OverviewView:
        """The status page."""
        changes = await asyncio.to_thread(self._running.journal.recent, CHANGES)
        nodes = self._nodes()
        return overview(self._status(nodes), nodes, self._running.peering, self.audit(), changes, query)

    def ready(self) -> tuple[bool, str]:
        """Whether routers get all they should."""
        if not self._running.peering.whole:
            return False, "waiting-for-nodes"
        # A replica that follows another is ready when it could take over.
        if not any(lane.up or lane.rests for lane in self._running.peering.lanes()):
            return False, "no-router"
        return True, "ready"

    def alive(self) -> tuple[bool, str]:
        """Whoever answers is alive."""
        return True, "alive"

    def counters(self) -> Counters:
        """What has happened so far."""
        return self._running.counters

    # --- nodes ---

    def _nodes(self) -> list[views.NodeView]:
        peering = self._running.peering
        return [
            self._node(node.name, node.asn, [peering.nodes[a] for a in node.addresses if a in peering.nodes])
            for node in peering.roster.nodes
        ]

    def drain(self, order: views.DrainOrder) -> views.DrainView:
        """Takes a node out, or lets it back in."""
        peering = self._running.peering
        if order.node not in peering.roster.by_name:
            raise ValueError(f"no node is called {order.node!r} in the roster: onepeer nodes has them all")
        self._running.drain(order.node, order.force if order.drained else None)
        sources = [peer.source for peer in peering.nodes.values() if peer.source.node == order.node]
        reflector = peering.reflector
        kept = [nlri.text(prefix, family) for s in sources for family, prefix in reflector.drained.kept(s)]
        kept = kept if order.node in peering.drains else []
        announced = sum(len(table.adj_rib_in(s)) for s in sources for table in reflector.tables.values())
        # What the next flush brings, and what it has brought.
        pending = reflector.change_count() + reflector.waits()
        pending += sum(out.pending_count() for lane in peering.lanes() for out in lane.paths.outs(lane.lane).values())
        refused = (r for s in sources for t in reflector.tables.values() for r in t.refused(s).values())
        return views.DrainView(
            node=order.node,
            drained=order.node in peering.drains,
            kept=kept[:NAMES],
            kept_count=len(kept),
            leaving=announced - len(kept) if peering.drains.leaving(order.node) else 0,
            out=sum(one.reason is GuardReason.DRAINED for one in refused),
            pending=pending,
        )

    def audit(self) -> views.AuditView:
        """What should be there against what is."""
        return self._running.auditing.view()

    def why_down(self) -> dict[str, str | None]:
        """Each node of the roster, and why it is without a session; None where it has one."""
        peering, found = self._running.peering, {}
        for node in peering.roster.nodes:
            peers = [peering.nodes[address] for address in node.addresses if address in peering.nodes]
            found[node.name] = None if any(peer.up is not None for peer in peers) else _why_down(peers)
        return found

    def _node(self, name: str, asn: int, peers: list[NodePeer]) -> views.NodeView:
        up = [peer for peer in peers if peer.up is not None]
        return views.NodeView(
            name=name,
            asn=asn,
            up=bool(up),
            why_down=None if up else _why_down(peers),
            since=min((p.since for p in up), default=max((p.since for p in peers), default=0.0)),
            answers=self._running.answers(name),
            drained=name in self._running.peering.drains,
            sessions=[self._node_session(peer) for peer in peers],
        )

    def _node_session(self, peer: NodePeer) -> views.NodeSession:
        tables, bfd = self._running.peering.reflector.tables, self._running.bfd.state(peer.source.address)
        return views.NodeSession(
            address=str(peer.source.address),
            path_id=int.from_bytes(peer.source.path_id, "big"),
            session=_session(peer),
            paths={str(family): len(table.adj_rib_in(peer.source)) for family, table in tables.items()},
            refused=[refusal for table in tables.values() for refusal in _refusals(table, peer.source)],
            end_of_rib=peer.end_of_rib,
            held=self._held(peer.source),
            bfd=None if bfd is None else str(bfd),
        )

    def _held(self, source: Source) -> views.HeldView | None:
        held = self._running.peering.held.of(source)
        return None if held is None else views.HeldView(**asdict(held))

    def _mass_failure(self) -> views.MassFailureView | None:
        found = self._running.peering.held.mass
        return None if found is None else views.MassFailureView(since=found.at, lost=found.lost, of=found.of)

    # --- routers ---

    def _router(self, name: str, lanes: list[RouterPeer]) -> views.RouterView:
        target = lanes[0].target
        return views.RouterView(
            name=name,
            address=str(target.remote),
            asn=target.asn,
            lead=self._lead(name),
            lanes=[
                views.LaneView(
                    lane=lane.lane + 1,
                    local_address=str(lane.target.local),
                    session=_session(lane),
                    families=list(_families(lane)),
                )
                for lane in lanes
            ],
        )

    def _lead(self, router: str) -> views.LeadView | None:
        replicas = self._running.replicas
        lead = None if replicas is None else replicas.leads.get(router)
        if lead is None:
            return None
        taken, trouble = lead.taken, lead.lease.trouble
        return views.LeadView(
            role=lead.role,
            leader=shown(lead.candidate.holder),
            lease_age=lead.lease_age(),
            problem=None if trouble is None else str(trouble),
            followers=lead.followers() if lead.role is Role.LEADS else [],
            mirrored=len(lead.following.copies.by_lane),
            conflict=lead.conflict,
            taken=None if taken is None else views.TakenView(at=taken.at, way=taken.way, seconds=taken.seconds),
        )

    # --- routes ---

    def _route(self, table: Table, prefix: bytes, refused: list[views.RefusedPathView]) -> views.RouteView:
        order = ranked(table.paths(prefix))
        sent = {
            name: lanes[0].paths.where(table.family, prefix) for name, lanes in self._running.peering.routers.items()
        }
        paths = []
        for at, (source, attributes) in enumerate(order):
            reason = str(compare(order[at - 1], order[at]).step) if at else None
            places = [self._sent(name, where.get(source)) for name, where in sent.items()]
            stale = self._running.peering.reflector.stale.has(source, table.family, prefix)
            paths.append(_path(source, attributes, at, reason, places, stale=stale))
        return views.RouteView(
            prefix=nlri.text(prefix, table.family), family=str(table.family), paths=paths, refused=refused
        )

    def _sent(self, router: str, place: object) -> views.SentView:
        if not isinstance(place, int):
            return views.SentView(router=router, lane=None, reason=None if place is None else str(place))
        several = len(self._running.peering.routers[router]) > 1
        return views.SentView(router=router, lane=place + 1 if several else None, reason=None)

    def _refused_by_prefix(self, table: Table) -> dict[bytes, list[views.RefusedPathView]]:
        found: dict[bytes, list[views.RefusedPathView]] = {}
        for peer in self._running.peering.nodes.values():
            for prefix, refused in table.refused(peer.source).items():
                view = views.RefusedPathView(node=peer.source.node, reason=refused.reason)
                found.setdefault(prefix, []).append(view)
        return found

    # --- verdicts ---

    def _health(self, nodes: list[views.NodeView]) -> Health:
        lanes = [lane for lane in self._running.peering.lanes() if not lane.rests]
        up = [lane for lane in lanes if lane.up is not None]
        if (lanes and not up) or not any(node.up for node in nodes):
            return Health.DOWN
        trouble = self._running.settings_problem or self._running.roster.problem
        auditing = self._running.auditing
        away = spared(auditing.not_expected())
        there = (node.up and node.answers is not False for node in nodes if node.name not in away)
        missing = not all(there) or auditing.alarmed
        if len(up) < len(lanes) or missing or trouble:
            return Health.DEGRADED
        return Health.OK

    def _warnings(self, nodes: list[views.NodeView]) -> Iterator[str]:
        if self._running.settings_problem:
            yield f"the changed settings were refused: {self._running.settings_problem}"
        if self._running.roster.problem:
            yield f"the last roster stays in force: {self._running.roster.problem}"
        elif self._running.roster.read and not nodes:
            yield "the roster is empty: no node may peer"
        if (mass := self._running.peering.held.mass) is not None:
            yield f"mass failure: {mass.lost} of {mass.of} sessions of nodes were lost at once; their paths are held"
        if self._running.bfd.problem is not None:
            yield f"no BFD: {self._running.bfd.problem}"
        yield from self._running.auditing.warnings()
        for node in nodes:
            for refusal in (r for s in node.sessions for r in s.refused):
                yield f"{node.name}: {refusal.paths} paths refused: {refusal.reason}, such as {refusal.example}"


def _session(peer: Neighbor) -> views.SessionView:
    negotiated, connection = peer.negotiated, peer.up
    last = peer.last_end
    return views.SessionView(
        state=peer.state.value,
        since=peer.since,
        local=endpoint(connection.local) if connection else None,
        remote=endpoint(connection.remote) if connection else None,
        hold_time=negotiated.hold_time if negotiated else None,
        peer_router_id=str(negotiated.peer.router_id) if negotiated else None,
        peer_hostname=(negotiated.peer.hostname or None) if negotiated else None,
        capabilities=agreed(negotiated) if negotiated else [],
        last_end=None
        if last is None
        else views.SessionEnd(
            at=last.at,
            cause=last.ended.cause,
            notification=str(last.ended.notification) if last.ended.notification else None,
            text=last.ended.text,
        ),
        established_count=peer.established_count,
    )


def _why_down(peers: Iterable[NodePeer]) -> str:
    """The most telling of what is known of a node without a session."""
    for peer in peers:
        if peer.refused is not None and (peer.last_end is None or peer.last_end.ended.notification is None):
            return f"refused: {peer.refused}"
    for peer in peers:
        if peer.state in (State.OPEN_SENT, State.OPEN_CONFIRM):
            return "is connecting"
    ends = [peer.last_end for peer in peers if peer.last_end is not None]
    if not ends:
        return "never dialed"
    ended = max(ends, key=lambda end: end.at).ended
    if ended.cause is Cause.NOTIFICATION_SENT:
        return f"refused: {ended.text}"
    if ended.notification is not None:
        return f"{ended.cause}: {ended.notification}"
    return f"{ended.cause}: {ended.text}" if ended.text else str(ended.cause)


def _refusals(table: Table, source: Source) -> Iterator[views.Refusal]:
    refused = table.refused(source)
    counts = Counter(str(r.reason) for r in refused.values())
    for reason, count in sorted(counts.items()):
        example = next(prefix for prefix, r in refused.items() if r.reason == reason)
        yield views.Refusal(reason=reason, paths=count, example=nlri.text(example, table.family))


def _families(lane: RouterPeer) -> Iterator[views.FamilyOut]:
    choices = lane.paths.choices()
    for family, out in lane.paths.outs(lane.lane).items():
        choice = choices.get(family)
        yield views.FamilyOut(
            family=str(family),
            mode=choice.mode if choice else None,
            mode_reason=choice.reason if choice else None,
            paths_sent=out.sent_count(),
            paths_pending=out.pending_count(),
            end_of_rib_sent=lane.paths.end_of_rib_sent(lane.lane),
        )


def _path(
    source: Source, attributes: Attributes, at: int, reason: str | None, sent: list[views.SentView], *, stale: bool
) -> views.PathView:
    return views.PathView(
        node=source.node,
        next_hop=str(ipaddress.ip_address(attributes.next_hop)),
        path_id=int.from_bytes(source.path_id, "big"),
        stale=stale,
        best=at == 0,
        rank=at + 1,
        rank_reason=reason,
        origin=attributes.origin.name.lower(),
        as_path=_as_path(attributes),
        med=attributes.med,
        local_pref=attributes.local_pref,
        communities=[*map(community_text, attributes.communities), *map(community_text, attributes.large_communities)],
        sent=sent,
    )


def _as_path(attributes: Attributes) -> str:
    """As routers print it: an AS_SET in braces."""
    parts = []
    for segment in attributes.as_path:
        text = " ".join(map(str, segment.asns))
        parts.append(f"{{{text}}}" if segment.kind == SegmentType.AS_SET else text)
    return " ".join(parts)


def _answers(network: nlri.Network, wanted: nlri.Network) -> bool:
    if network.version != wanted.version:
        return False
    if wanted.prefixlen == wanted.max_prefixlen:
        return wanted.network_address in network
    return network.subnet_of(wanted)  # type: ignore[arg-type]


def _by_address(prefix: bytes) -> tuple[bytes, int]:
    return prefix[1:].ljust(16, b"\0"), prefix[0]
