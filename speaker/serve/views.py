"""What does Onepeer show? The one schema behind `onepeer ... -o json`, the control API and the tables.

Times are seconds since the epoch, ages and durations are seconds. Prefixes and addresses are text as people write
them. A field that does not apply is null. Names of states, reasons and modes are the words the core uses itself.
The comment beside a field is its meaning in docs/json.md, where the words stand under "Words".
"""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Time = float
"""Seconds since the epoch."""

Seconds = float
"""How long."""


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Health(StrEnum):
    """The verdict of `status`, worst wins."""

    OK = "ok"
    DEGRADED = "degraded"  # some node or router session is missing; the router still gets paths
    DOWN = "down"  # no router gets anything, or no node is up


class SessionEnd(_View):
    """How the last session to a peer ended."""

    at: Time  # when
    cause: str  # see Words
    notification: str | None  # "6/2 Cease / Administrative Shutdown: \"maintenance\""
    text: str  # what the peer wrote, or the operating system said; empty where neither did


class SessionView(_View):
    """One BGP session, or the lack of one."""

    state: str  # RFC 4271 name: Idle, Connect, Active, OpenSent, OpenConfirm, Established
    since: Time  # when this state began
    local: str | None  # "192.168.3.10:1790"
    remote: str | None  # the peer's address and port; null while there is no connection
    hold_time: int | None  # seconds, as agreed; null while the session is down
    peer_router_id: str | None  # from its OPEN
    peer_hostname: str | None  # from its OPEN, where it names itself
    capabilities: list[str]  # what both sides agreed on: "as4", "add-path", "graceful-restart", ...
    last_end: SessionEnd | None  # null while none has ended
    established_count: int  # how often it has come up since Onepeer started


class FamilyOut(_View):
    """What a router session carries of one address family."""

    family: str  # ipv4, ipv6
    mode: str | None  # addpath, spread, lanes; null while the session is down
    mode_reason: str | None  # why this mode and no other
    paths_sent: int  # paths that the router has been sent and that are not withdrawn
    paths_pending: int  # not yet taken by the router's TCP
    end_of_rib_sent: bool  # whether the router was told that it has everything (RFC 4724)


class LaneView(_View):
    """One session to a router."""

    lane: int  # from 1
    local_address: str  # where its session comes from
    session: SessionView  # the session itself
    families: list[FamilyOut]  # what it carries, while it is up


class TakenView(_View):
    """A takeover of this replica's."""

    at: Time  # when
    way: str  # the worst of its sessions: see Words
    seconds: Seconds  # from the Lease to the last session


class LeadView(_View):
    """Which replica speaks to a router, as this one sees it."""

    role: str  # of this one: "leads", "follows", "takes"
    leader: str  # its name; "" while nobody leads
    lease_age: Seconds | None  # since it was renewed last, as far as this one has seen; null before the first look
    problem: str | None  # why the Lease cannot be read or written
    followers: list[str]  # at the leader: who could go on
    mirrored: int  # at a follower: of how many of the router's sessions it knows everything
    conflict: str | None  # the MAC address of another host that has the router's address
    taken: TakenView | None  # the last one


class RouterView(_View):
    """One router. `lead` is null where there is one replica only."""

    name: str  # as the settings name it
    address: str  # as the settings have it
    asn: int  # the router's AS
    lanes: list[LaneView]  # its sessions; one unless the settings give more local addresses
    lead: LeadView | None = None  # which replica speaks to it; null where there is one replica only


class Refusal(_View):
    """Paths of a node that the guard keeps out, by reason."""

    reason: str  # the guard's word
    paths: int  # how many
    example: str  # one prefix


class HeldView(_View):
    """Paths that outlive the session they came on: see `nodes.hold_paths`."""

    paths: int  # how many
    loss: str  # what the end of the session says of the node: see Words
    since: Time  # when the session was lost
    until: Time  # they are dropped then, unless they are announced again


class NodeSession(_View):
    """A node's session from one of its addresses."""

    address: str  # the node's
    path_id: int  # RFC 7911's path identifier that its paths have on the way to a router
    session: SessionView  # the session itself
    paths: dict[str, int]  # accepted, by family
    refused: list[Refusal]  # by reason
    end_of_rib: bool  # whether the node has said that it sent everything
    held: HeldView | None  # part of `paths`
    bfd: str | None = None  # RFC 5880's state of the BFD session: Up, Init, Down; null where there is none


class NodeView(_View):
    """One node of the roster."""

    name: str  # as the roster names it
    asn: int  # the AS that it should have
    up: bool  # whether one of its sessions is Established
    why_down: str | None  # "never dialed", "refused: wrong-as", "hold-timer-expired", ...
    since: Time  # of `up`
    answers: bool | None  # by ARP, on a link of ours, else by BFD; null where nothing is known
    drained: bool  # taken out on purpose, by a person or by the cluster's cordon
    sessions: list[NodeSession]  # one for each of its addresses


class RosterView(_View):
    """Where the roster comes from and whether it is current."""

    source: str  # "file nodes.yaml"
    nodes: int  # how many it has
    problem: str | None  # why the newest version was refused; the last good one is then in force
    since: Time  # of `problem`; where there is none, of the roster in force


class NodeDown(_View):
    """A node of the roster without a session."""

    name: str  # as the roster names it
    since: Time  # when the last session ended, or the roster named it first
    why: str  # as `why_down` of NodeView


class MassFailureView(_View):
    """Many nodes were lost at once, and what they had announced stays for now."""

    since: Time  # when
    lost: int  # sessions
    of: int  # sessions that were up before


class StatusView(_View):
    """`onepeer status`."""

    health: Health  # the verdict
    version: str  # of Onepeer
    asn: int  # our AS
    router_id: str  # ours
    started: Time  # when this process did
    now: Time  # when this was asked
    waiting_for_nodes: bool  # End-of-RIB is still held back after the start
    mass_failure: MassFailureView | None  # null while there is none
    held: list[str]  # names of nodes whose paths outlive their session
    listen: list[str]  # addresses and ports where nodes call
    settings_file: str  # its path
    settings_problem: str | None  # why a changed file was refused
    roster: RosterView  # the nodes that may peer
    nodes_up: list[str]  # names
    nodes_down: list[NodeDown]  # those without a session
    not_expected: list["NotExpectedView"] = []  # by the audit
    paths: dict[str, int]  # accepted, by family
    prefixes: dict[str, int]  # with a path, by family
    refused: int  # paths that the guard keeps out
    routers: list[RouterView]  # those of the settings
    warnings: list[str]  # sentences for people


class NodesView(_View):
    """`onepeer nodes`."""

    nodes: list[NodeView]  # the roster


class PathView(_View):
    """One path of a prefix."""

    node: str  # who announced it
    next_hop: str  # an address of that node
    path_id: int  # as in NodeSession
    stale: bool  # its node's session is lost, and it is held
    best: bool  # whether the decision process puts it first
    rank: int  # from 1, by the decision process
    rank_reason: str | None  # why it stands behind the one before it
    origin: str  # igp, egp, incomplete
    as_path: str  # AS numbers with spaces between; empty inside our own AS
    med: int | None  # null where it has none
    local_pref: int | None  # null where it has none
    communities: list[str]  # "64512:100"
    sent: list["SentView"]  # one for each router


class SentView(_View):
    """Whether a path goes to a router, and why not."""

    router: str  # its name
    lane: int | None  # from 1; null where it is not sent, and where the router has one session only
    reason: str | None  # why it is not sent


class RefusedPathView(_View):
    """A path that the guard keeps out."""

    node: str  # who announced it
    reason: str  # the guard's word


class RouteView(_View):
    """One prefix."""

    prefix: str  # "192.168.30.22/32"
    family: str  # ipv4, ipv6
    paths: list[PathView]  # in the order of the decision process
    refused: list[RefusedPathView]  # what is kept out of them


class RoutesView(_View):
    """`onepeer routes [PREFIX]`, sorted by prefix."""

    routes: list[RouteView]  # sorted by prefix


class HistoryQuery(_View):
    """What `onepeer history` asks for; null = all."""

    node: str | None = None  # its name or address
    prefix: str | None = None  # an address (what holds it) or a prefix (it and what lies inside)
    since: Time | None = None  # no older ones than this
    last: int | None = Field(default=None, ge=1)  # the newest so many


class RecordView(_View):
    """One record of the journal."""

    at: Time  # when
    kind: str  # life, session, refusal, decision, paths
    event: str  # the name of a log event (docs/logs.md), or "paths"
    node: str | None = None  # whom it is about
    router: str | None = None  # which it is about
    lane: int | None = None  # from 1
    address: str | None = None  # of the session
    announced: list[str] = []  # prefixes; "192.168.30.1-192.168.30.9" = the host routes of these addresses
    withdrawn: list[str] = []  # the same way
    details: dict[str, Any] = {}  # the keys of the log event
    text: str = ""  # what happened, for people


class HistoryView(_View):
    """`onepeer history`: the records asked for, the oldest first."""

    records: list[RecordView]  # the oldest first
    begins: Time | None  # of the oldest record that the journal still has; null while it has none
    more: bool  # whether `last` has left older ones out


class FindingView(_View):
    """What a node does not announce, and why (see Words)."""

    node: str  # its name
    reason: str  # see Words
    detail: str  # more about it; empty where there is nothing to add
    since: Time  # when it began
    fault: bool  # not so where it was taken out on purpose, or is not ready
    alarm: bool  # it is a fault, and has lasted long enough
    whole: bool  # all that the node should announce
    services: list[str]  # "namespace/name", at most 50
    service_count: int  # how many there are in all
    next_step: str  # what to do or to look at


class ServiceView(_View):
    """One address of one Service of type LoadBalancer."""

    service: str  # "namespace/name"
    address: str  # empty while it has none
    prefixes: list[str]  # what should be announced for it
    wanted: int  # nodes that should announce it
    announced: int  # of these, those that do
    lacking: list[str]  # the others, at most 50
    why_none: str | None  # why no node should
    next_step: str | None  # what to do about `why_none`
    since: Time | None = None  # of `why_none`, while no node announces it
    fault: bool = False  # that nobody announces it is one
    alarm: bool = False  # and has lasted long enough


class RouterDownView(_View):
    """A router that gets nothing, of those that this replica speaks to."""

    router: str  # its name
    reason: str  # see Words
    detail: str  # how the last session ended
    since: Time  # when it began
    alarm: bool  # it has lasted long enough
    next_step: str  # what to do or to look at


class NotExpectedView(_View):
    """A Node, in the roster or not, that should announce nothing, and why. No fault."""

    node: str  # its name
    reason: str  # see Words
    next_step: str  # how it would be expected again


class AuditView(_View):
    """What should be there against what is: `GET /v1/audit`."""

    from_cluster: bool  # Services are known; else only nodes that announce nothing while others do are told
    alarms: int  # how many findings, services and routers have `alarm`
    findings: list[FindingView]  # by node
    services: list[ServiceView]  # by address
    routers: list[RouterDownView] = []  # those that get nothing
    not_expected: list[NotExpectedView] = []  # nodes that should announce nothing
    problems: list[str]  # what could not be read of the cluster for it


class ExplainView(_View):
    """`onepeer explain`: put together by the command, of what it asked."""

    services: list[ServiceView]  # those that were asked for, or that the node or prefix belongs to
    nodes: list[NodeView]  # those concerned
    findings: list[FindingView]  # what they do not announce
    routes: list[RouteView]  # their prefixes
    routers: list[RouterDownView] = []  # those that get nothing
    not_expected: list[NotExpectedView] = []  # those concerned that should announce nothing

    def lacking(self) -> bool:
        """Whether some node does not announce what it should, or nobody does."""
        short = (service.announced < service.wanted or service.alarm for service in self.services)
        return any(short) or any(one.alarm for one in self.findings) or any(one.alarm for one in self.routers)


class CheckedView(_View):
    """One thing that `onepeer doctor` has looked at."""

    check: str  # which check: "rights", "ports", ...
    level: str  # ok, hint, warning, problem
    what: str  # what was found
    why: str  # empty where it is ok
    way_out: str  # what to do; empty where it is ok


class DoctorView(_View):
    """`onepeer doctor`: made by the command, of what it looked at itself."""

    settings_file: str  # its path
    level: str  # the worst
    findings: list[CheckedView]  # everything that was looked at


class OverviewQuery(_View):
    """What the status page asks for."""

    find: str = ""  # a part of a prefix or of a node's name; both are looked for
    rows: int = Field(default=60, ge=1, le=1000)  # prefixes, at most
    columns: int = Field(default=60, ge=1, le=1000)  # nodes, at most


class MissingView(_View):
    """Something that should be there and is not, or is kept out."""

    name: str  # "leviathan3", "router edge", "router edge, lane 2", "the settings"
    why: str  # the reason, for people
    since: Time | None  # when it began; null where that is not known
    next_step: str  # what to do or to look at


class RowView(_View):
    """One prefix and its nodes."""

    prefix: str  # "192.168.30.22/32"
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
    rows: list[RowView]  # the prefixes shown
    rows_of: int  # how many there are of what was looked for


class OverviewView(_View):
    """The status page; the same as `status`, `nodes`, `routes` and `history` say. Names no file and no secret."""

    health: Health  # the verdict
    version: str  # of Onepeer
    asn: int  # our AS
    router_id: str  # ours
    started: Time  # when this process did
    waiting_for_nodes: bool  # as in StatusView
    roster: str  # where it comes from: "kubernetes", "file"
    nodes_up: int  # how many are up
    nodes: int  # how many the roster has
    paths: dict[str, int]  # accepted, by family
    prefixes: dict[str, int]  # with a path, by family
    refused: int  # paths that the guard keeps out
    routers: list[RouterView]  # those of the settings
    missing: list[MissingView]  # 100 at most
    missing_of: int  # how many there are in all
    told: list[MissingView] = []  # 100 at most: what is not announced, and no fault
    matrix: MatrixView  # prefixes by nodes
    changes: list[RecordView]  # the newest first, 40 at most


class DrainOrder(_View):
    """`POST /v1/drain`."""

    node: str  # its name
    drained: bool  # true takes it out, false lets it back in
    force: bool = False  # its last paths go, too


class DrainView(_View):
    """A node that is taken out, or let back in."""

    node: str  # its name
    drained: bool  # as ordered
    kept: list[str]  # prefixes that stay, since no other node announces them; at most 50
    kept_count: int  # how many there are in all
    leaving: int  # paths that are the least preferred (RFC 8326), and kept from the routers 5 s after the drain
    out: int  # paths that are kept from the routers
    pending: int  # changes that routers have not taken yet
