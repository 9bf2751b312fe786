"""What does Onepeer show? The one schema behind `onepeer ... -o json`, the control API and the tables.

Times are seconds since the epoch, ages and durations are seconds. Prefixes and addresses are text as people write
them. A field that does not apply is null. Names of states, reasons and modes are the words the core uses itself.
"""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Health(StrEnum):
    """The verdict of `status`, worst wins."""

    OK = "ok"
    DEGRADED = "degraded"  # some node or router session is missing; the router still gets paths
    DOWN = "down"  # no router gets anything, or no node is up


class SessionEnd(_View):
    """How the last session to a peer ended."""

    at: float
    cause: str  # bgp.events.Cause
    notification: str | None  # "6/2 Cease / Administrative Shutdown: \"maintenance\""
    text: str


class SessionView(_View):
    """One BGP session, or the lack of one."""

    state: str  # RFC 4271 name: Idle, Connect, Active, OpenSent, OpenConfirm, Established
    since: float  # when this state began
    local: str | None  # "192.168.3.10:1790"
    remote: str | None
    hold_time: int | None
    peer_router_id: str | None
    peer_hostname: str | None
    capabilities: list[str]  # what both sides agreed on: "as4", "add-path", "graceful-restart", ...
    last_end: SessionEnd | None
    established_count: int  # how often it has come up since Onepeer started


class FamilyOut(_View):
    """What a router session carries of one address family."""

    family: str  # ipv4, ipv6
    mode: str | None  # addpath, spread, lanes; null while the session is down
    mode_reason: str | None
    paths_sent: int
    paths_pending: int  # not yet taken by the router's TCP
    end_of_rib_sent: bool


class LaneView(_View):
    """One session to a router."""

    lane: int  # from 1
    local_address: str
    session: SessionView
    families: list[FamilyOut]


class TakenView(_View):
    """A takeover of this replica's."""

    at: float
    way: str  # replicas.takeover.Way, the worst of its sessions
    seconds: float  # from the Lease to the last session


class LeadView(_View):
    """Which replica speaks to a router, as this one sees it."""

    role: str  # of this one: "leads", "follows", "takes"
    leader: str  # its name; "" while nobody leads
    lease_age: float | None  # since it was renewed last, as far as this one has seen; null before the first look
    problem: str | None  # why the Lease cannot be read or written
    followers: list[str]  # at the leader: who could go on
    mirrored: int  # at a follower: of how many of the router's sessions it knows everything
    conflict: str | None  # the MAC address of another host that has the router's address
    taken: TakenView | None  # the last one


class RouterView(_View):
    """One router. `lead` is null where there is one replica only."""

    name: str
    address: str
    asn: int
    lanes: list[LaneView]
    lead: LeadView | None = None


class Refusal(_View):
    """Paths of a node that the guard keeps out, by reason."""

    reason: str
    paths: int
    example: str  # one prefix


class HeldView(_View):
    """Paths that outlive the session they came on: see `nodes.hold_paths`."""

    paths: int
    loss: str  # peers.holding.Loss: what the end of the session says of the node
    since: float
    until: float  # they are dropped then, unless they are announced again


class NodeSession(_View):
    """A node's session from one of its addresses."""

    address: str
    path_id: int
    session: SessionView
    paths: dict[str, int]  # accepted, by family
    refused: list[Refusal]
    end_of_rib: bool
    held: HeldView | None  # part of `paths`
    bfd: str | None = None  # RFC 5880's state of the BFD session: Up, Init, Down; null where there is none


class NodeView(_View):
    """One node of the roster."""

    name: str
    asn: int
    up: bool
    why_down: str | None  # "never dialed", "refused: wrong-as", "hold-timer-expired", ...
    since: float  # of `up`
    answers: bool | None  # by ARP, on a link of ours, else by BFD; null where nothing is known
    drained: bool  # taken out on purpose, by a person or by the cluster's cordon
    sessions: list[NodeSession]


class RosterView(_View):
    """Where the roster comes from and whether it is current."""

    source: str  # "file nodes.yaml"
    nodes: int
    problem: str | None  # why the newest version was refused; the last good one is then in force
    since: float  # of `problem`; where there is none, of the roster in force


class NodeDown(_View):
    """A node of the roster without a session."""

    name: str
    since: float
    why: str  # as `why_down` of NodeView


class MassFailureView(_View):
    """Many nodes were lost at once, and what they had announced stays for now."""

    since: float
    lost: int  # sessions
    of: int


class StatusView(_View):
    """`onepeer status`."""

    health: Health
    version: str
    asn: int
    router_id: str
    started: float
    now: float
    waiting_for_nodes: bool  # End-of-RIB is still held back after the start
    mass_failure: MassFailureView | None
    held: list[str]  # names of nodes whose paths outlive their session
    listen: list[str]
    settings_file: str
    settings_problem: str | None  # why a changed file was refused
    roster: RosterView
    nodes_up: list[str]  # names
    nodes_down: list[NodeDown]
    not_expected: list["NotExpectedView"] = []  # by the audit
    paths: dict[str, int]  # accepted, by family
    prefixes: dict[str, int]
    refused: int
    routers: list[RouterView]
    warnings: list[str]


class NodesView(_View):
    """`onepeer nodes`."""

    nodes: list[NodeView]


class PathView(_View):
    """One path of a prefix."""

    node: str
    next_hop: str
    path_id: int
    stale: bool  # its node's session is lost, and it is held
    best: bool
    rank: int  # from 1, by the decision process
    rank_reason: str | None  # why it stands behind the one before it
    origin: str
    as_path: str
    med: int | None
    local_pref: int | None
    communities: list[str]
    sent: list["SentView"]


class SentView(_View):
    """Whether a path goes to a router, and why not."""

    router: str
    lane: int | None  # from 1; null where it is not sent, and where the router has one session only
    reason: str | None  # why it is not sent


class RefusedPathView(_View):
    """A path that the guard keeps out."""

    node: str
    reason: str


class RouteView(_View):
    """One prefix."""

    prefix: str
    family: str
    paths: list[PathView]
    refused: list[RefusedPathView]


class RoutesView(_View):
    """`onepeer routes [PREFIX]`, sorted by prefix."""

    routes: list[RouteView]


class HistoryQuery(_View):
    """What `onepeer history` asks for; null = all."""

    node: str | None = None  # its name or address
    prefix: str | None = None  # an address (what holds it) or a prefix (it and what lies inside)
    since: float | None = None
    last: int | None = Field(default=None, ge=1)  # the newest so many


class RecordView(_View):
    """One record of the journal."""

    at: float
    kind: str  # life, session, refusal, decision, paths
    event: str  # the name of a log event (docs/logs.md), or "paths"
    node: str | None = None
    router: str | None = None
    lane: int | None = None  # from 1
    address: str | None = None
    announced: list[str] = []  # prefixes; "192.168.30.1-192.168.30.9" = the host routes of these addresses
    withdrawn: list[str] = []
    details: dict[str, Any] = {}  # the keys of the log event
    text: str = ""  # what happened, for people


class HistoryView(_View):
    """`onepeer history`: the records asked for, the oldest first."""

    records: list[RecordView]
    begins: float | None  # of the oldest record that the journal still has; null while it has none
    more: bool  # whether `last` has left older ones out


class FindingView(_View):
    """What a node does not announce, and why (audit/reasons.py has the words)."""

    node: str
    reason: str
    detail: str
    since: float
    fault: bool  # not so where it was taken out on purpose, or is not ready
    alarm: bool  # it is a fault, and has lasted long enough
    whole: bool  # all that the node should announce
    services: list[str]  # "namespace/name", at most 50
    service_count: int
    next_step: str


class ServiceView(_View):
    """One address of one Service of type LoadBalancer."""

    service: str  # "namespace/name"
    address: str  # empty while it has none
    prefixes: list[str]
    wanted: int  # nodes that should announce it
    announced: int  # of these, those that do
    lacking: list[str]  # the others, at most 50
    why_none: str | None  # why no node should
    next_step: str | None
    since: float | None = None  # of `why_none`, while no node announces it
    fault: bool = False  # that nobody announces it is one
    alarm: bool = False  # and has lasted long enough


class RouterDownView(_View):
    """A router that gets nothing, of those that this replica speaks to."""

    router: str
    reason: str
    detail: str  # how the last session ended
    since: float
    alarm: bool
    next_step: str


class NotExpectedView(_View):
    """A Node, in the roster or not, that should announce nothing, and why. No fault."""

    node: str
    reason: str
    next_step: str


class AuditView(_View):
    """What should be there against what is: `GET /v1/audit`."""

    from_cluster: bool  # Services are known; else only nodes that announce nothing while others do are told
    alarms: int
    findings: list[FindingView]
    services: list[ServiceView]
    routers: list[RouterDownView] = []
    not_expected: list[NotExpectedView] = []
    problems: list[str]  # what could not be read of the cluster for it


class ExplainView(_View):
    """`onepeer explain`: put together by the command, of what it asked."""

    services: list[ServiceView]
    nodes: list[NodeView]
    findings: list[FindingView]
    routes: list[RouteView]
    routers: list[RouterDownView] = []
    not_expected: list[NotExpectedView] = []

    def lacking(self) -> bool:
        """Whether some node does not announce what it should, or nobody does."""
        short = (service.announced < service.wanted or service.alarm for service in self.services)
        return any(short) or any(one.alarm for one in self.findings) or any(one.alarm for one in self.routers)


class CheckedView(_View):
    """One thing that `onepeer doctor` has looked at."""

    check: str  # which check: "rights", "ports", ...
    level: str  # doctor.findings.Level: ok, hint, warning, problem
    what: str
    why: str  # empty where it is ok
    way_out: str


class DoctorView(_View):
    """`onepeer doctor`: made by the command, of what it looked at itself."""

    settings_file: str
    level: str  # the worst
    findings: list[CheckedView]


class OverviewQuery(_View):
    """What the status page asks for."""

    find: str = ""  # a part of a prefix or of a node's name; both are looked for
    rows: int = Field(default=60, ge=1, le=1000)  # prefixes, at most
    columns: int = Field(default=60, ge=1, le=1000)  # nodes, at most


class MissingView(_View):
    """Something that should be there and is not, or is kept out."""

    name: str  # "leviathan3", "router edge", "router edge, lane 2", "the settings"
    why: str
    since: float | None
    next_step: str


class RowView(_View):
    """One prefix and its nodes."""

    prefix: str
    service: str  # "namespace/name" of the Service that it is, where that is known
    announced: int  # nodes that announce it, shown or not
    wanted: int | None  # nodes that should, where that is known
    cells: (
        str  # a letter for each column: a announces it, l should and does not, r is refused, m has no session, - none
    )
    refused: dict[str, str]  # of the columns: node and reason


class MatrixView(_View):
    """Prefixes by nodes. Where they are more than asked for, those with trouble come first."""

    columns: list[str]  # names of nodes
    columns_of: int  # how many there are of what was looked for
    rows: list[RowView]
    rows_of: int


class OverviewView(_View):
    """The status page; the same as `status`, `nodes`, `routes` and `history` say. Names no file and no secret."""

    health: Health
    version: str
    asn: int
    router_id: str
    started: float
    waiting_for_nodes: bool
    roster: str  # where it comes from: "kubernetes", "file"
    nodes_up: int
    nodes: int
    paths: dict[str, int]  # accepted, by family
    prefixes: dict[str, int]
    refused: int
    routers: list[RouterView]
    missing: list[MissingView]  # 100 at most
    missing_of: int
    told: list[MissingView] = []  # 100 at most: what is not announced, and no fault
    matrix: MatrixView
    changes: list[RecordView]  # the newest first, 40 at most


class DrainOrder(_View):
    """`POST /v1/drain`."""

    node: str
    drained: bool
    force: bool = False  # its last paths go, too


class DrainView(_View):
    """A node that is taken out, or let back in."""

    node: str
    drained: bool
    kept: list[str]  # prefixes that stay, since no other node announces them; at most 50
    kept_count: int
    leaving: int  # paths that are the least preferred (RFC 8326), and kept from the routers 5 s after the drain
    out: int  # paths that are kept from the routers
    pending: int  # changes that routers have not taken yet
