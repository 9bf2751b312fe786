"""Which numbers does Prometheus get? One table of all metrics, and the text made of it.

A metric is read off one `Scrape`, the state at one moment: nothing is kept between scrapes, so a node that has left
the roster leaves no series behind. Names follow Prometheus: base units, `_total` for counters and only for them.
Labels are few, and only those whose values the user wrote down (router, node) or the code knows (reason, cause).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from speaker.serve.counters import Counters
from speaker.serve.views import AuditView, FamilyOut, LaneView, LeadView, NodesView, RouterView, StatusView

Samples = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class Scrape:
    """Everything at one moment."""

    status: StatusView
    nodes: NodesView
    audit: AuditView
    counters: Counters
    ready: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One metric."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...]
    read: Callable[[Scrape], Samples]


def _lanes(scrape: Scrape) -> Iterator[tuple[tuple[str, str], RouterView, LaneView]]:
    for router in scrape.status.routers:
        for lane in router.lanes:
            yield (router.name, str(lane.lane)), router, lane


def _leads(value: Callable[[LeadView], float]) -> Callable[[Scrape], Samples]:
    """One sample for each router that several replicas share."""
    return lambda scrape: (((r.name,), value(r.lead)) for r in scrape.status.routers if r.lead is not None)


def _out(value: Callable[[FamilyOut], float]) -> Callable[[Scrape], Samples]:
    """One sample for each router, lane and family."""

    def read(scrape: Scrape) -> Samples:
        for labels, _, lane in _lanes(scrape):
            for out in lane.families:
                yield (*labels, out.family), value(out)

    return read


def _lane(value: Callable[[LaneView], float]) -> Callable[[Scrape], Samples]:
    """One sample for each router and lane."""
    return lambda scrape: ((labels, value(lane)) for labels, _, lane in _lanes(scrape))


def _one(value: Callable[[Scrape], float]) -> Callable[[Scrape], Samples]:
    """One sample without labels."""
    return lambda scrape: [((), value(scrape))]


def _modes(scrape: Scrape) -> Samples:
    for labels, _, lane in _lanes(scrape):
        for out in lane.families:
            if out.mode is not None:
                yield (*labels, out.family, out.mode), 1


def _established(lane: LaneView) -> float:
    return lane.session.state == "Established"


def _accepted(scrape: Scrape) -> Samples:
    for node in scrape.nodes.nodes:
        families = dict.fromkeys(family for one in node.sessions for family in one.paths)
        for family in families:
            yield (node.name, family), sum(one.paths.get(family, 0) for one in node.sessions)


def _refused(scrape: Scrape) -> Samples:
    for node in scrape.nodes.nodes:
        said = [refusal for one in node.sessions for refusal in one.refused]
        for reason in dict.fromkeys(refusal.reason for refusal in said):
            yield (node.name, reason), sum(refusal.paths for refusal in said if refusal.reason == reason)


def _held(scrape: Scrape) -> Samples:
    for node in scrape.nodes.nodes:
        yield (node.name,), sum(one.held.paths for one in node.sessions if one.held is not None)


def _node_sessions(scrape: Scrape) -> Samples:
    for node in scrape.nodes.nodes:
        yield (node.name,), sum(one.session.established_count for one in node.sessions)


def _missing(scrape: Scrape) -> Samples:
    for finding in scrape.audit.findings:
        yield (finding.node, finding.reason), max(1, finding.service_count)


def _unannounced(scrape: Scrape) -> Samples:
    counts = Counter(service.why_none for service in scrape.audit.services if service.since is not None)
    for reason, count in counts.items():
        yield (str(reason),), count


def _roster_stale(scrape: Scrape) -> float:
    status = scrape.status
    return max(0.0, status.now - status.roster.since) if status.roster.problem else 0.0


_OUT = ("router", "lane", "family")

ROWS: Final = (
    Row("onepeer_build_info", "gauge", "Always 1; the version is a label.", ("version",),
        lambda s: [((s.status.version,), 1)]),
    Row("onepeer_ready", "gauge", "1 while /readyz says 200.", (), _one(lambda s: s.ready)),
    Row("onepeer_waiting_for_nodes", "gauge", "1 while End-of-RIB is held back after the start.", (),
        _one(lambda s: s.status.waiting_for_nodes)),
    # routers
    Row("onepeer_router_session_up", "gauge", "1 while the session to the router is Established.",
        ("router", "lane"), _lane(_established)),
    Row("onepeer_router_sessions_established_total", "counter", "How often the session to the router came up.",
        ("router", "lane"), _lane(lambda lane: lane.session.established_count)),
    Row("onepeer_router_paths_sent", "gauge", "Paths that the router has from us.", _OUT,
        _out(lambda out: out.paths_sent)),
    Row("onepeer_router_paths_pending", "gauge", "Changes that the router's TCP has not taken yet.", _OUT,
        _out(lambda out: out.paths_pending)),
    Row("onepeer_router_mode", "gauge", "Always 1; the path mode is a label.", (*_OUT, "mode"), _modes),
    # nodes
    Row("onepeer_nodes_expected", "gauge", "Nodes in the roster.", (), _one(lambda s: len(s.nodes.nodes))),
    Row("onepeer_nodes_missing", "gauge", "Nodes in the roster that have no session.", (),
        _one(lambda s: sum(not node.up for node in s.nodes.nodes))),
    Row("onepeer_node_session_up", "gauge", "1 while the node has an Established session.", ("node",),
        lambda s: (((node.name,), node.up) for node in s.nodes.nodes)),
    Row("onepeer_node_sessions_established_total", "counter", "How often a session of the node came up.",
        ("node",), _node_sessions),
    Row("onepeer_node_paths_accepted", "gauge", "Paths of the node that the guard lets in.",
        ("node", "family"), _accepted),
    Row("onepeer_node_paths_refused", "gauge", "Paths of the node that the guard keeps out.",
        ("node", "reason"), _refused),
    Row("onepeer_paths", "gauge", "Paths of all nodes that the guard lets in.", ("family",),
        lambda s: (((family,), paths) for family, paths in s.status.paths.items())),
    Row("onepeer_prefixes", "gauge", "Prefixes that have at least one such path.", ("family",),
        lambda s: (((family,), prefixes) for family, prefixes in s.status.prefixes.items())),
    Row("onepeer_node_paths_held", "gauge", "Paths of the node that outlive their session.", ("node",), _held),
    Row("onepeer_nodes_bfd_up", "gauge", "Nodes with a BFD session that is Up.", (),
        _one(lambda s: sum(any(one.bfd == "Up" for one in node.sessions) for node in s.nodes.nodes))),
    Row("onepeer_bfd_downs_total", "counter", "BFD sessions of nodes that left Up, by RFC 5880's diagnostic.",
        ("diag",), lambda s: (((diag,), count) for diag, count in s.counters.bfd_downs.items())),
    Row("onepeer_bfd_discarded_total", "counter", "BFD packets left aside.", ("reason",),
        lambda s: (((reason,), count) for reason, count in s.counters.bfd_discarded.items())),
    Row("onepeer_mass_failure", "gauge", "1 while many nodes are lost at once and their paths are held.", (),
        _one(lambda s: s.status.mass_failure is not None)),
    # what should be there
    Row("onepeer_node_missing_addresses", "gauge",
        "Addresses that the node should announce and does not, by reason; 1 where Services are not known.",
        ("node", "reason"), _missing),
    Row("onepeer_node_not_expected", "gauge",
        "Always 1; a node that should announce nothing, such as one that is drained, and why.", ("node", "reason"),
        lambda s: (((one.node, one.reason), 1) for one in s.audit.not_expected)),
    Row("onepeer_services_known", "gauge", "1 while the cluster says what should be announced.", (),
        _one(lambda s: s.audit.from_cluster)),
    Row("onepeer_unannounced_addresses", "gauge",
        "Addresses of Services that no node announces because none should, by reason.", ("reason",), _unannounced),
    Row("onepeer_alarms", "gauge", "Findings of the audit that are faults and have lasted for half a minute.", (),
        _one(lambda s: s.audit.alarms)),
    # what happened
    Row("onepeer_sessions_ended_total", "counter", "Sessions that ended; the side is router or node.",
        ("side", "cause"), lambda s: s.counters.sessions_ended.items()),
    Row("onepeer_notifications_total", "counter", "NOTIFICATIONs sent and received, by error code.",
        ("side", "direction", "code"), lambda s: s.counters.notifications.items()),
    Row("onepeer_connections_refused_total", "counter", "Calls that got no session.", ("reason",),
        lambda s: (((reason,), count) for reason, count in s.counters.connections_refused.items())),
    Row("onepeer_updates_received_total", "counter", "UPDATE messages from nodes.", (),
        _one(lambda s: s.counters.updates_received)),
    Row("onepeer_updates_sent_total", "counter", "UPDATE messages to routers.", (),
        _one(lambda s: s.counters.updates_sent)),
    Row("onepeer_updates_malformed_total", "counter", "UPDATEs treated as withdraw (RFC 7606).", (),
        _one(lambda s: s.counters.updates_malformed)),
    Row("onepeer_messages_ignored_total", "counter", "Messages, or parts of one, left aside.", (),
        _one(lambda s: s.counters.messages_ignored)),
    Row("onepeer_received_bytes_total", "counter", "Octets of BGP read.", (),
        _one(lambda s: s.counters.bytes_received)),
    Row("onepeer_written_bytes_total", "counter", "Octets of BGP handed to TCP.", (),
        _one(lambda s: s.counters.bytes_written)),
    # replicas
    Row("onepeer_leads", "gauge", "1 while this replica speaks to the router.", ("router",),
        _leads(lambda lead: lead.role == "leads")),
    Row("onepeer_followers", "gauge", "Replicas that could go on for this one at once; 0 where it does not lead.",
        ("router",), _leads(lambda lead: len(lead.followers))),
    Row("onepeer_lease_age_seconds", "gauge", "Since the router's Lease was seen to be renewed.", ("router",),
        _leads(lambda lead: lead.lease_age or 0.0)),
    Row("onepeer_address_conflict", "gauge", "1 while another host has the router's address.", ("router",),
        _leads(lambda lead: lead.conflict is not None)),
    Row("onepeer_takeovers_total", "counter", "Sessions to routers that this replica took over, by way.", ("way",),
        lambda s: (((way,), count) for way, count in s.counters.takeovers.items())),
    # files
    Row("onepeer_settings_problem", "gauge", "1 while changed settings are refused and old ones in force.", (),
        _one(lambda s: s.status.settings_problem is not None)),
    Row("onepeer_settings_reloads_total", "counter", "Changed settings taken up.", (),
        _one(lambda s: s.counters.settings_reloads)),
    Row("onepeer_settings_reload_failures_total", "counter", "Changed settings refused.", (),
        _one(lambda s: s.counters.settings_reload_failures)),
    Row("onepeer_roster_stale_seconds", "gauge", "How long the roster cannot be renewed; 0 while it is current.",
        (), _one(_roster_stale)),
    Row("onepeer_roster_reloads_total", "counter", "Changed rosters taken up.", (),
        _one(lambda s: s.counters.roster_reloads)),
    Row("onepeer_roster_reload_failures_total", "counter", "Changed rosters refused.", (),
        _one(lambda s: s.counters.roster_reload_failures)),
)  # fmt: skip
"""All metrics but those of the process itself, which prometheus_client makes (`process_*`)."""


class _State(Collector):
    def __init__(self, scrape: Scrape) -> None:
        self._scrape = scrape

    def collect(self) -> Iterator[Metric]:
        for row in ROWS:
            make = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
            family = make(row.name, row.help, labels=row.labels)
            for labels, value in row.read(self._scrape):
                family.add_metric(labels, float(value))
            yield family


def exposition(scrape: Scrape, accept: str = "") -> tuple[bytes, str]:
    """The text for Prometheus and its content type: OpenMetrics where `accept` asks for it."""
    registry = CollectorRegistry()
    registry.register(_State(scrape))
    ProcessCollector(registry=registry)
    encode, kind = choose_encoder(accept)
    return encode(registry), kind
