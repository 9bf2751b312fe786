"""What does the status page show? The state of things in a bounded answer, however large the cluster is.

A thousand nodes with a thousand services are a million cells, which nobody reads: rows and columns are counted whole,
and only as many are made as were asked for, those with trouble first. Reads everything and changes nothing. It names
no file: the page is for more people than the control socket.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final, TypeVar

from speaker.audit.reasons import Reason
from speaker.bgp import nlri
from speaker.bgp.iana import Family
from speaker.log import LogEvent
from speaker.peers.peering import Peering
from speaker.rib.table import Table
from speaker.serve.views import (
    AuditView,
    MatrixView,
    MissingView,
    NodeView,
    NotExpectedView,
    OverviewQuery,
    OverviewView,
    RecordView,
    RouterView,
    RowView,
    ServiceView,
    StatusView,
)

MOST: Final = 100
"""Of what is missing. More than that has one cause, and a list of it helps nobody."""

_QUOTING: Final = (LogEvent.SETTINGS_REFUSED, LogEvent.ROSTER_PROBLEM)

T = TypeVar("T")

_Prefix = tuple[Table, bytes]


def overview(
    status: StatusView,
    nodes: list[NodeView],
    peering: Peering,
    audit: AuditView,
    changes: list[RecordView],
    query: OverviewQuery,
) -> OverviewView:
    """The page, as far as it was asked for."""
    missing_nodes = list(_missing_nodes(nodes, audit, status))
    missing = [
        *_missing_routers(status.routers),
        *missing_nodes,
        *_services(audit, fault=True),
        *_troubles(status),
    ]
    told = [*_not_expected(audit, {one.name for one in missing_nodes}), *_services(audit, fault=False)]
    return OverviewView(
        health=status.health,
        version=status.version,
        asn=status.asn,
        router_id=status.router_id,
        started=status.started,
        waiting_for_nodes=status.waiting_for_nodes,
        roster=status.roster.source.partition(" ")[0],
        nodes_up=len(status.nodes_up),
        nodes=len(nodes),
        paths=status.paths,
        prefixes=status.prefixes,
        refused=status.refused,
        routers=status.routers,
        missing=missing[:MOST],
        missing_of=len(missing),
        told=told[:MOST],
        matrix=_Matrix(nodes, audit, peering).view(query),
        changes=[_for_all(record) for record in changes],
    )


def spared(not_expected: Iterable[NotExpectedView]) -> set[str]:
    """Nodes that are not missed, since they were taken out on purpose. Who is not ready is missed, whoever says so."""
    return {one.node for one in not_expected if one.reason != Reason.NOT_READY}


def _for_all(record: RecordView) -> RecordView:
    """Without what names files, and may quote them."""
    text = "refused: `onepeer status` says why" if record.event in _QUOTING else record.text
    return record.model_copy(update={"details": {}, "text": text})


# ---- what is missing


def _missing_routers(routers: list[RouterView]) -> Iterator[MissingView]:
    for router in routers:
        # One that another replica speaks to is not missed here.
        for lane in router.lanes if router.lead is None or router.lead.role == "leads" else ():
            if lane.session.state != "Established":
                end = lane.session.last_end
                yield MissingView(
                    name=f"router {router.name}" + (f", lane {lane.lane}" if len(router.lanes) > 1 else ""),
                    why="never up"
                    if end is None
                    else ": ".join(filter(None, (end.cause, end.notification or end.text))),
                    since=lane.session.since,
                    next_step="`onepeer check` prints the line that the router must have",
                )


def _missing_nodes(nodes: list[NodeView], audit: AuditView, status: StatusView) -> Iterator[MissingView]:
    """By the audit; and nodes without a session that it expects nothing of."""
    found = {finding.node for finding in audit.findings if finding.reason != Reason.NOT_READY}
    found |= spared(audit.not_expected)
    not_ready = {one.node: one for one in audit.not_expected}
    for finding in (one for one in audit.findings if one.fault):
        what = "" if finding.whole else f", {finding.service_count} of its Services"
        detail = f" ({finding.detail})" if finding.detail else ""
        why = f"{finding.reason}{detail}{what}"
        yield MissingView(name=finding.node, why=why, since=finding.since, next_step=finding.next_step)
    for node in nodes:
        if node.up or node.name in found:
            continue
        said = not_ready.get(node.name)
        why = said.reason if said else node.why_down or ""
        next_step = said.next_step if said else _next_step(why, node.name, status)
        yield MissingView(name=node.name, why=why, since=node.since, next_step=next_step)


def _next_step(why: str, name: str, status: StatusView) -> str:
    if why == "never dialed":
        return f"does its MetalLB speaker run, and has MetalLB a BGPPeer with {', '.join(status.listen)}?"
    if why.startswith("refused"):
        return "`onepeer nodes` has the details, docs/troubleshooting.md the cure"
    return f"does the host run? `onepeer history --node {name}` has what happened"


def _services(audit: AuditView, *, fault: bool) -> Iterator[MissingView]:
    """Those that nobody announces; the same reason is told once."""
    found: dict[str, list[ServiceView]] = {}
    for service in audit.services:
        if service.since is not None and service.fault is fault:
            found.setdefault(service.why_none or "", []).append(service)
    for why, services in found.items():
        first, names = services[0], list(dict.fromkeys(service.service for service in services))
        more = f" and {len(names) - 1} more Services" if len(names) > 1 else ""
        since = min(service.since or 0.0 for service in services)
        yield MissingView(name=names[0] + more, why=why, since=since, next_step=first.next_step or "")


def _not_expected(audit: AuditView, missing: set[str]) -> Iterator[MissingView]:
    for one in (one for one in audit.not_expected if one.node not in missing):
        yield MissingView(name=one.node, why=one.reason, since=None, next_step=one.next_step)


def _troubles(status: StatusView) -> Iterator[MissingView]:
    where = "`onepeer status` has the mistakes with their lines"
    if status.settings_problem is not None:
        yield MissingView(name="the settings", why="the changed file is refused", since=None, next_step=where)
    if status.roster.problem is not None:
        why = "it cannot be renewed, so a new node is not let in"
        yield MissingView(name="the roster", why=why, since=status.roster.since, next_step=where)


# ---- prefixes by nodes


class _Matrix:
    def __init__(self, nodes: list[NodeView], audit: AuditView, peering: Peering) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._services = {prefix: service for service in audit.services for prefix in service.prefixes}
        self._tables = list(peering.reflector.tables.values())
        self._refused: dict[_Prefix, dict[str, str]] = {}
        silent = {peer.source for peer in peering.nodes.values() if self._nodes[peer.source.node].answers is False}
        for peer in peering.nodes.values():
            for table in self._tables:
                for prefix, refused in table.refused(peer.source).items() if peer.source not in silent else ():
                    self._refused.setdefault((table, prefix), {})[peer.source.node] = str(refused.reason)

    def view(self, query: OverviewQuery) -> MatrixView:
        """What was looked for, as many as may be."""
        columns, rows = list(self._nodes), self._prefixes()
        if query.find:
            columns, rows = self._found(query.find.lower(), columns, rows)
        shown = _first(columns, query.columns, lambda name: self._mark(name) != "-")
        found = _first(rows, query.rows, lambda row: row in self._refused)
        return MatrixView(
            columns=shown,
            columns_of=len(columns),
            rows=[self._row(table, prefix, shown) for table, prefix in found],
            rows_of=len(rows),
        )

    def _prefixes(self) -> list[_Prefix]:
        found = [(table, prefix) for table in self._tables for prefix in table.prefixes]
        found += [row for row in self._refused if not row[0].paths(row[1])]
        return sorted(found, key=lambda row: (row[0].family.bits, row[1][1:].ljust(16, b"\0"), row[1][0]))

    def _found(self, find: str, columns: list[str], rows: list[_Prefix]) -> tuple[list[str], list[_Prefix]]:
        """What is looked for may be nodes, prefixes or both; of a side that has none, all are shown."""
        names = [name for name in columns if find in name.lower()]
        prefixes = [row for row in rows if find in _text(row[1], row[0].family)]
        if not names and not prefixes:
            return [], []
        return names or columns, prefixes or rows

    def _row(self, table: Table, prefix: bytes, columns: list[str]) -> RowView:
        there = {source.node for source in table.paths(prefix)}
        refused = self._refused.get((table, prefix), {})
        service = self._services.get(_text(prefix, table.family))
        lacking = set(service.lacking) if service else set()
        marks = (
            "a" if name in there else "l" if name in lacking else "r" if name in refused else self._mark(name)
            for name in columns
        )
        return RowView(
            prefix=_text(prefix, table.family),
            service=service.service if service else "",
            announced=len(there),
            wanted=service.wanted if service else None,
            cells="".join(marks),
            refused={name: refused[name] for name in columns if name in refused},
        )

    def _mark(self, name: str) -> str:
        """Of a node where it announces nothing."""
        node = self._nodes[name]
        return "m" if not node.up or node.answers is False else "-"


def _first(items: list[T], most: int, has_trouble: Callable[[T], bool]) -> list[T]:
    """In their order where all fit, so that nothing jumps about; else those with trouble before the others."""
    if len(items) <= most:
        return items
    return sorted(items, key=lambda item: not has_trouble(item))[:most]


@lru_cache(maxsize=65536)
def _text(prefix: bytes, family: Family) -> str:
    return nlri.text(prefix, family)
