"""A running Onepeer as a value: three nodes of which one is missing, two routers of which one is down.

leviathan1 192.168.3.31  up      2 paths, 1 refused
leviathan2 192.168.3.32  up      1 path
leviathan3 192.168.3.33  never dialed

edge 192.168.3.1         up      3 paths by ADD-PATH
spare 192.168.3.2        down    hold timer
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from speaker.journal.history import kept
from speaker.serve.counters import Counters, Direction, Side
from speaker.serve.views import (
    AuditView,
    DrainOrder,
    DrainView,
    FamilyOut,
    FindingView,
    Health,
    HistoryQuery,
    HistoryView,
    LaneView,
    NodeDown,
    NodeSession,
    NodesView,
    NodeView,
    NotExpectedView,
    PathView,
    RecordView,
    Refusal,
    RefusedPathView,
    RosterView,
    RouterDownView,
    RouterView,
    RouteView,
    SentView,
    ServiceView,
    SessionEnd,
    SessionView,
    StatusView,
)

NOW = 1_800_000_000.0


def session(state: str = "Established", ago: float = 3600, end: SessionEnd | None = None) -> SessionView:
    """A session that has been in `state` for `ago` seconds."""
    up = state == "Established"
    return SessionView(
        state=state,
        since=NOW - ago,
        local="192.168.3.10:1790" if up else None,
        remote="192.168.3.31:40000" if up else None,
        hold_time=90 if up else None,
        peer_router_id="192.168.3.31" if up else None,
        peer_hostname=None,
        capabilities=["as4"] if up else [],
        last_end=end,
        established_count=int(up),
    )


LOST = SessionEnd(at=NOW - 120, cause="hold-timer-expired", notification=None, text="")


def router(name: str, address: str, at: SessionView, families: list[FamilyOut]) -> RouterView:
    """A router with one lane."""
    lane = LaneView(lane=1, local_address="192.168.3.10", session=at, families=families)
    return RouterView(name=name, address=address, asn=64512, lanes=[lane])


def carried(paths: int, pending: int = 0) -> FamilyOut:
    """What a router has by ADD-PATH."""
    return FamilyOut(
        family="ipv4",
        mode="addpath",
        mode_reason="the router takes ADD-PATH",
        paths_sent=paths,
        paths_pending=pending,
        end_of_rib_sent=True,
    )


EDGE = router("edge", "192.168.3.1", session(ago=3 * 86400 + 4 * 3600), [carried(3)])
SPARE = router("spare", "192.168.3.2", session("Active", 120, LOST), [])


EXCLUDED = NotExpectedView(node="leviathan9", reason="excluded", next_step="It has Kubernetes' own label.")


def status(**changes: object) -> StatusView:
    """The status of it all, with these fields otherwise."""
    view = StatusView(
        health=Health.DEGRADED,
        version="0.1.0",
        asn=64512,
        router_id="192.168.3.10",
        started=NOW - 4 * 86400,
        now=NOW,
        waiting_for_nodes=False,
        mass_failure=None,
        held=[],
        listen=["192.168.3.10:1790"],
        settings_file="/etc/onepeer/onepeer.yaml",
        settings_problem=None,
        roster=RosterView(source="file nodes.yaml", nodes=3, problem=None, since=NOW - 86400),
        nodes_up=["leviathan1", "leviathan2"],
        not_expected=[EXCLUDED],
        nodes_down=[NodeDown(name="leviathan3", since=NOW - 59 * 86400, why="never dialed")],
        paths={"ipv4": 3},
        prefixes={"ipv4": 2},
        refused=1,
        routers=[EDGE, SPARE],
        warnings=[],
    )
    return view.model_copy(update=changes)


HEALTHY = {"health": Health.OK, "nodes_down": [], "routers": [EDGE]}


def node(name: str, last: int, paths: int, refused: list[Refusal] | None = None) -> NodeView:
    """A node at 192.168.3.`last`, up unless it has no paths."""
    up = paths > 0
    address = ip_address(f"192.168.3.{last}")
    one = NodeSession(
        address=str(address),
        path_id=int(address),
        session=session() if up else session("Idle", 59 * 86400),
        paths={"ipv4": paths} if up else {},
        refused=refused or [],
        end_of_rib=up,
        held=None,
    )
    why = None if up else "never dialed"
    since = NOW - (3600 if up else 59 * 86400)
    return NodeView(
        name=name, asn=64512, up=up, why_down=why, since=since, answers=up or None, drained=False, sessions=[one]
    )


OUTSIDE = Refusal(reason="outside-guard", paths=1, example="10.0.0.0/8")

NODES = NodesView(nodes=[node("leviathan1", 31, 2, [OUTSIDE]), node("leviathan2", 32, 1), node("leviathan3", 33, 0)])


def path(name: str, last: int, rank: int, reason: str | None = None) -> PathView:
    """A path of the node at 192.168.3.`last`, which only `edge` gets."""
    address = ip_address(f"192.168.3.{last}")
    return PathView(
        node=name,
        next_hop=str(address),
        path_id=int(address),
        stale=False,
        best=rank == 1,
        rank=rank,
        rank_reason=reason,
        origin="igp",
        as_path="",
        med=None,
        local_pref=100,
        communities=["64512:100"],
        sent=[
            SentView(router="edge", lane=None, reason=None),
            SentView(router="spare", lane=None, reason="session down"),
        ],
    )


ROUTES = (
    RouteView(
        prefix="192.168.30.1/32",
        family="ipv4",
        paths=[path("leviathan1", 31, 1), path("leviathan2", 32, 2, "router-id")],
        refused=[],
    ),
    RouteView(prefix="192.168.30.22/32", family="ipv4", paths=[path("leviathan1", 31, 1)], refused=[]),
    RouteView(
        prefix="10.0.0.0/8",
        family="ipv4",
        paths=[],
        refused=[RefusedPathView(node="leviathan1", reason="outside-guard")],
    ),
)


def record(event: str, ago: float, text: str, **more: object) -> RecordView:
    """One that is `ago` seconds old."""
    return RecordView.model_validate({"at": NOW - ago, "kind": "session", "event": event, "text": text, **more})


RECORDS = (
    record("started", 4 * 86400, "Onepeer 0.1.0 started", kind="life"),
    record("session_established", 3600, "session up", node="leviathan1", address="192.168.3.31"),
    record("paths", 3599, "announced 192.168.30.1/32", kind="paths", node="leviathan1", announced=["192.168.30.1/32"]),
    record("session_ended", 120, "session down: hold-timer-expired", router="spare", lane=1),
)


@dataclass
class Example:
    """A Source whose answers are its fields."""

    status_view: StatusView = field(default_factory=status)
    nodes_view: NodesView = NODES
    records: tuple[RecordView, ...] = RECORDS
    all_routes: tuple[RouteView, ...] = ROUTES
    is_ready: tuple[bool, str] = (True, "ready")
    is_alive: tuple[bool, str] = (True, "alive")
    counted: Counters = field(default_factory=Counters)
    audit_changes: dict[str, object] = field(default_factory=dict)

    def status(self) -> StatusView:
        return self.status_view

    def nodes(self) -> NodesView:
        return self.nodes_view

    def routes(self, prefix: str | None) -> Iterator[RouteView]:
        wanted = ip_network(prefix) if prefix is not None else None
        for route in self.all_routes:
            if wanted is None or str(wanted) == route.prefix:
                yield route

    def audit(self) -> AuditView:
        finding = FindingView(
            node="leviathan3",
            reason="never-dialed",
            detail="",
            since=NOW - 120,
            fault=True,
            alarm=True,
            whole=True,
            services=["default/gitea"],
            service_count=1,
            next_step="Look at its firewall.",
        )
        service = ServiceView(
            service="default/gitea",
            address="192.168.30.22",
            prefixes=["192.168.30.22/32"],
            wanted=3,
            announced=2,
            lacking=["leviathan3"],
            why_none=None,
            next_step=None,
        )
        nobody = ServiceView(
            service="default/idle",
            address="192.168.30.7",
            prefixes=["192.168.30.7/32"],
            wanted=0,
            announced=0,
            lacking=[],
            why_none="no-endpoints",
            next_step="It has no pod.",
            since=NOW - 60,
        )
        down = RouterDownView(
            router="spare",
            reason="router-session-down",
            detail="hold-timer-expired",
            since=NOW - 120,
            alarm=True,
            next_step="onepeer status says why.",
        )
        view = AuditView(
            from_cluster=True,
            alarms=2,
            findings=[finding],
            services=[service, nobody],
            routers=[down],
            not_expected=[EXCLUDED],
            problems=[],
        )
        return view.model_copy(update=self.audit_changes)

    def drain(self, order: DrainOrder) -> DrainView:
        if order.node == "nobody":
            raise ValueError("no node is called 'nobody' in the roster: onepeer nodes has them all")
        kept = ["192.168.30.22/32"] if order.drained and not order.force else []
        drained = order.drained
        return DrainView(
            node=order.node,
            drained=drained,
            kept=kept,
            kept_count=len(kept),
            leaving=0,
            out=7 * drained,
            pending=0,
        )

    async def history(self, query: HistoryQuery) -> HistoryView:
        return kept(reversed(self.records), query)

    def ready(self) -> tuple[bool, str]:
        return self.is_ready

    def alive(self) -> tuple[bool, str]:
        return self.is_alive

    def counters(self) -> Counters:
        return self.counted


def busy() -> Counters:
    """Counters of which each has moved."""
    counters = Counters(updates_received=7, updates_sent=5, bytes_received=700, bytes_written=500)
    counters.sessions_ended[Side.NODE, "hold-timer-expired"] += 2
    counters.notifications[Side.ROUTER, Direction.RECEIVED, "6 Cease"] += 1
    counters.connections_refused["stranger"] += 3
    counters.settings_reload_failures += 1
    return counters
