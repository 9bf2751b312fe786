"""How are the answers of a running Onepeer laid out for a person? One function for each view."""

from collections.abc import Iterator

from speaker.cli.page import BLANK, Block, Grid, Page, Text, Tone, grid, line, without_empty
from speaker.cli.words import age, carried, count, ending
from speaker.serve.views import (
    FamilyOut,
    Health,
    LaneView,
    NodeSession,
    NodesView,
    NodeView,
    PathView,
    RouterView,
    RoutesView,
    RouteView,
    SessionView,
    StatusView,
    TakenView,
)

UP = "Established"

MANY = 20
"""More names than that are a list for `onepeer nodes`, not for a glance."""

_VERDICT = {Health.OK: Tone.GOOD, Health.DEGRADED: Tone.WARN, Health.DOWN: Tone.BAD}


# ---- status


def status_page(status: StatusView) -> Page:
    """The verdict, what is wrong, and what the routers get."""
    verdict = Text(status.health.upper(), _VERDICT[status.health])
    blocks: list[Block] = [line(verdict, f"  {_summary(status)}")]
    blocks += [line(Text(f"warning: {text}", Tone.WARN)) for text in _warnings(status)]
    blocks += [BLANK, _routers(status), BLANK]
    if any(router.lead is not None for router in status.routers):
        blocks += [_replicas(status), BLANK]
    spared = {one.node: one for one in status.not_expected}
    missing = [
        (Text(node.name, Tone.BAD), age(status.now - node.since), node.why)
        for node in status.nodes_down
        if node.name not in spared
    ]
    if missing:
        blocks += [grid(("MISSING NODE", "SINCE", "WHY"), missing), BLANK]
    if spared:
        rows = [(one.node, one.reason) for one in list(spared.values())[:MANY]]
        rows += [(f"and {len(spared) - MANY} more", "")] if len(spared) > MANY else []
        blocks += [grid(("NOT EXPECTED", "WHY"), rows), BLANK]
    return [*blocks, *_facts(status)]


def _summary(status: StatusView) -> str:
    nodes = len(status.nodes_up) + len(status.nodes_down)
    lanes = [lane for router in status.routers if not _followed(router) for lane in router.lanes]
    if not lanes:
        return f"{len(status.nodes_up)} of {count(nodes, 'node')} up; another replica has the routers"
    up = [lane for lane in lanes if lane.session.state == UP]
    sent = sum(out.paths_sent for lane in up for out in lane.families)
    routers = "router" if len(lanes) == 1 else f"{len(up)} of {len(lanes)} router sessions"
    state = "up" if up else "down"
    gets = f", {count(sent, 'path')} sent" if up else ""
    return f"{len(status.nodes_up)} of {count(nodes, 'node')} up; {routers} {state}{gets}"


def _warnings(status: StatusView) -> Iterator[str]:
    if status.settings_problem is not None:
        yield f"{status.settings_file} is refused, the old settings are in force: {status.settings_problem}"
    if status.roster.problem is not None:
        since = age(status.now - status.roster.since)
        yield f"the last roster stays in force, for {since} now: {status.roster.problem}"
    if status.waiting_for_nodes:
        yield "started a moment ago and waiting for its nodes: routers keep what they had (End-of-RIB is held back)"
    for lead in (router.lead for router in status.routers if router.lead is not None):
        if lead.conflict:
            outcome = "the link is told anew every 10 s" if lead.role == "leads" else "it is not taken from it"
            yield f"another host on the link, {lead.conflict}, has the router's address; {outcome}"
        if lead.problem:
            yield f"the Lease: {lead.problem}"
    told = [problem for problem in (status.settings_problem, status.roster.problem) if problem]
    yield from (text for text in status.warnings if not any(problem in text for problem in told))


def _routers(status: StatusView) -> Grid:
    rows = [
        row
        for router in status.routers
        for lane in router.lanes
        for row in _lane(router, lane, len(router.lanes) > 1, status.now)
    ]
    columns = ("ROUTER", "AS", "LANE", "STATE", "SINCE", "FAMILY", "MODE", ">PATHS", ">PENDING", "REMARK")
    return without_empty(grid(columns, rows), "LANE", "REMARK")


def _taken(taken: TakenView, now: float) -> str:
    return f"{taken.way} in {taken.seconds:.2g} s, {age(now - taken.at)} ago"


def _followed(router: RouterView) -> bool:
    return router.lead is not None and router.lead.role == "follows"


def _replicas(status: StatusView) -> Grid:
    """Who speaks to each router, and who could."""
    rows = []
    for router in status.routers:
        if (lead := router.lead) is None:
            continue
        others = ", ".join(lead.followers) or (Text("none", Tone.WARN) if lead.role == "leads" else None)
        renewed = None if lead.lease_age is None else f"{lead.lease_age:.1f} s ago"
        taken = None if lead.taken is None else _taken(lead.taken, status.now)
        rows.append((_router_name(router), lead.role, lead.leader or Text("nobody", Tone.BAD), renewed, others, taken))
    columns = ("ROUTER", "THIS REPLICA", "LEADER", "LEASE RENEWED", "FOLLOWERS", "LAST TAKEOVER HERE")
    return without_empty(grid(columns, rows), "FOLLOWERS", "LAST TAKEOVER HERE")


def _lane(router: RouterView, lane: LaneView, lanes: bool, now: float) -> Iterator[tuple[str | int | Text | None, ...]]:
    session = lane.session
    number = lane.lane if lanes else None
    head = (_router_name(router), router.asn, number, _state(session), age(now - session.since))
    if router.lead is not None and _followed(router):
        remark = None if router.lead.mirrored else "nothing is known of its session yet"
        state = f"with {router.lead.leader or 'nobody'}"
        yield (_router_name(router), router.asn, number, state, None, None, None, None, None, remark)
        return
    if session.state != UP or not lane.families:
        yield (*head, None, None, None, None, _last_end(session, now))
        return
    for out in lane.families:
        yield (*head, out.family, out.mode, out.paths_sent, out.paths_pending, _out_remark(out))


def _router_name(router: RouterView) -> str:
    return router.name if router.name == router.address else f"{router.name} ({router.address})"


def _out_remark(out: FamilyOut) -> str | None:
    why = None if out.mode == "addpath" else out.mode_reason  # what is best needs no excuse
    held = None if out.end_of_rib_sent else "End-of-RIB not sent yet"
    return "; ".join(part for part in (why, held) if part) or None


def _state(session: SessionView) -> Text:
    return Text(session.state, Tone.GOOD if session.state == UP else Tone.BAD)


def _last_end(session: SessionView, now: float) -> str | None:
    return ending(session.last_end, now) if session.last_end else None


def _facts(status: StatusView) -> Iterator[Block]:
    roster = status.roster
    up = status.nodes_up
    names = _names(up)
    refused = f"; {status.refused} refused by the guard" if status.refused else ""
    facts = [
        ("Onepeer", f"{status.version}, AS {status.asn}, router ID {status.router_id}"),
        ("running", f"for {age(status.now - status.started)}, settings {status.settings_file}"),
        ("listening", ", ".join(status.listen)),
        ("roster", f"{count(roster.nodes, 'node')}, {roster.source}"),
        ("nodes up", names),
        ("paths", f"{carried(status.paths, status.prefixes)}{refused}"),
        *([("held", f"paths of {_names(status.held)}")] if status.held else []),
    ]
    for name, text in facts:
        yield line(Text(f"{name:<11}", Tone.DIM), text)


def _names(names: list[str]) -> str:
    return ", ".join(names) if 0 < len(names) <= MANY else f"{len(names)}"


# ---- nodes


def nodes_page(nodes: NodesView, now: float) -> Page:
    """A row for each session of each node."""
    columns = ("NODE", "ADDRESS", "AS", "STATE", "SINCE", "BFD", ">PATHS", ">REFUSED", "REMARK")
    rows = [row for node in nodes.nodes for row in _node(node, now)]
    if not rows:
        return [line("The roster is empty: no node may peer.")]
    return [without_empty(grid(columns, rows), "BFD", "REMARK")]


def _node(node: NodeView, now: float) -> Iterator[tuple[str | int | Text | None, ...]]:
    name = Text(node.name, Tone.PLAIN if node.up else Tone.BAD)
    if not node.sessions:
        yield (name, None, node.asn, Text("missing", Tone.BAD), age(now - node.since), None, None, None, node.why_down)
    for one in node.sessions:
        up = one.session.state == UP
        # Of a node with two addresses one session is enough: the other's silence is no fault.
        state = Text(UP, Tone.GOOD) if up else Text(one.session.state, Tone.DIM if node.up else Tone.BAD)
        since = one.session.since if up or node.up else node.since
        paths, refused = sum(one.paths.values()), sum(refusal.paths for refusal in one.refused)
        remark = _node_remark(node, one, now)
        yield (name, one.address, node.asn, state, age(now - since), one.bfd, paths, refused, remark)


def _node_remark(node: NodeView, one: NodeSession, now: float) -> str | None:
    end = one.session.last_end if one.session.state != UP else None
    parts = [ending(end, now)] if end else []
    if not node.up and node.why_down and not (end and node.why_down.startswith(end.cause)):
        parts.insert(0, node.why_down)
    if one.held is not None:
        parts.append(f"{count(one.held.paths, 'path')} held for {age(one.held.until - now)} more")
    parts += [f"{refusal.paths} refused: {refusal.reason} ({refusal.example})" for refusal in one.refused]
    return "; ".join(parts) or None


# ---- routes


def routes_page(routes: RoutesView, prefix: str | None) -> Page:
    """A row for each path; the decision and the attributes too where one prefix was asked for."""
    if not routes.routes:
        whom = f"for {prefix}" if prefix else "at all"
        return [line(f"No node announces a path {whom}.")]
    columns = ["PREFIX", "NODE", "NEXT HOP", ">PATH ID", ">RANK", "SENT TO"]
    if prefix is not None:
        columns += ["ORIGIN", "AS PATH", ">MED", ">LOCAL PREF", "COMMUNITIES", "WHY BEHIND"]
    rows = [row for route in routes.routes for row in _route(route, len(columns))]
    return [without_empty(grid(columns, rows), "AS PATH", "MED", "COMMUNITIES", "WHY BEHIND")]


def _route(route: RouteView, width: int) -> Iterator[tuple[str | int | Text | None, ...]]:
    for path in route.paths:
        rank = Text(f"{path.rank}*" if path.best else f"{path.rank}", Tone.GOOD if path.best else Tone.PLAIN)
        node = Text(f"{path.node} (held)", Tone.WARN) if path.stale else path.node
        row = (route.prefix, node, path.next_hop, path.path_id, rank, _sent(path))
        more = (
            path.origin,
            path.as_path,
            path.med,
            path.local_pref,
            " ".join(path.communities),
            path.rank_reason,
        )
        yield (*row, *more)[:width]
    for refused in route.refused:
        said = Text(f"refused: {refused.reason}", Tone.WARN)
        yield (route.prefix, refused.node, None, None, None, said, *(None,) * 6)[:width]


def _sent(path: PathView) -> str:
    """`192.168.3.1`, `edge (lane 2)`, or why not: `edge: not best`."""
    said = []
    for sent in path.sent:
        if sent.reason is not None:
            said.append(f"{sent.router}: {sent.reason}")
        else:
            said.append(sent.router if sent.lane is None else f"{sent.router} (lane {sent.lane})")
    return ", ".join(said)
