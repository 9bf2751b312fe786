"""`onepeer explain`: from a Service, an address or a node to what the router was sent, on one screen."""

import time
from functools import partial
from typing import Annotated

import typer

from speaker.cli.common import MISSING, SOCKET, OutputOption, SocketOption, answered, fail, show
from speaker.cli.page import BLANK, Block, Page, Text, Tone, grid, line, without_empty
from speaker.cli.render import Answer, Output
from speaker.cli.words import age
from speaker.serve.views import AuditView, ExplainView, FindingView, NodeView, RouteView, ServiceView

KINDS = ("service", "node")


def explain(
    what: Annotated[
        list[str], typer.Argument(metavar="WHAT", help="An address, `service NAMESPACE/NAME`, `node NAME`.")
    ],
    output: OutputOption = Output.TABLE,
    socket: SocketOption = SOCKET,
) -> None:
    """Why is it there, or not? From the Service through the nodes to what each router was sent.

    \b
    onepeer explain 192.168.30.22
    onepeer explain service default/gitea
    onepeer explain node leviathan3

    Every reason comes with the next step. Without a cluster (a roster by file) nobody knows what should be
    there, and the answer is what is.

    Exit status: 0 = all is as it should be, 1 = Onepeer cannot be asked, or there is no such thing,
    3 = something is missing.
    """
    from speaker.cli.ask import Asker

    kind, name = (what[0], " ".join(what[1:])) if what[0] in KINDS and len(what) > 1 else ("address", " ".join(what))
    asker = Asker(socket)
    audit = answered(asker.audit)
    if kind == "node":
        view = _of_node(name, audit, answered(asker.nodes).nodes)
    else:
        services = [s for s in audit.services if name in ((s.service,) if kind == "service" else (s.address,))]
        if kind == "service" and not services:
            fail(
                f"no Service of type LoadBalancer is called {name!r}: kubectl get services -A, and write NAMESPACE/NAME"
            )
        wanted = [s.address for s in services if s.address] or ([name] if kind == "address" else [])
        routes = [route for address in wanted for route in answered(partial(asker.routes, address)).routes]
        view = _of_services(services, routes, audit)
    show(output, Answer(view, explain_page(view, time.time())))
    raise typer.Exit(MISSING if view.lacking() else 0)


def _of_node(name: str, audit: AuditView, nodes: list[NodeView]) -> ExplainView:
    found = [node for node in nodes if node.name == name]
    not_expected = [one for one in audit.not_expected if one.node == name]
    if not found and not not_expected:
        fail(f"no node is called {name!r}: onepeer nodes has those of the roster")
    findings = [finding for finding in audit.findings if finding.node == name]
    return ExplainView(
        services=[], routes=[], nodes=found, findings=findings, routers=audit.routers, not_expected=not_expected
    )


def _of_services(services: list[ServiceView], routes: list[RouteView], audit: AuditView) -> ExplainView:
    nodes = {node for service in services for node in service.lacking}
    names = {service.service for service in services}
    findings = [f for f in audit.findings if f.node in nodes and (f.whole or names.intersection(f.services))]
    return ExplainView(services=services, routes=routes, nodes=[], findings=findings, routers=audit.routers)


def explain_page(view: ExplainView, now: float) -> Page:
    """Services, then what is missing and why, then paths and what each router has of them."""
    blocks: list[Block] = []
    for service in view.services:
        blocks += _service(service, now)
    for node in view.nodes:
        blocks += _node(node, now)
    for one in view.not_expected:
        said = Text(f"nothing is expected of it: {one.reason}", Tone.WARN)
        blocks += [line(Text(f"Node {one.node}  ", Tone.HEAD), said), line(Text(one.next_step, Tone.DIM))]
    if view.findings:
        blocks += [BLANK, _findings(view.findings, now)]
        blocks += [line(Text(f"{reason}: {step}", Tone.DIM)) for reason, step in _steps(view.findings).items()]
    for route in view.routes:
        blocks += [BLANK, *_route(route)]
    if not any((view.services, view.nodes, view.routes, view.not_expected)):
        blocks.append(line(Text("No node announces it, and no Service that we know of has this address.", Tone.WARN)))
    for down in view.routers:
        text = f"Router {down.router} gets nothing, for {age(now - down.since)} now: {down.reason} ({down.detail})"
        blocks += [BLANK, line(Text(text, Tone.BAD)), line(Text(down.next_step, Tone.DIM))]
    return blocks


def _service(service: ServiceView, now: float) -> list[Block]:
    head = f"Service {service.service}  {service.address or 'without an address'}"
    if service.why_none:
        since = "" if service.since is None else f", for {age(now - service.since)} now"
        text = f"  nobody should announce it{since}: {service.why_none}"
        said = Text(text, Tone.BAD if service.fault else Tone.WARN)
        return [line(Text(head, Tone.HEAD), said), line(Text(service.next_step or "", Tone.DIM))]
    tone = Tone.GOOD if service.announced == service.wanted else Tone.BAD
    return [line(Text(head, Tone.HEAD), Text(f"  {service.announced} of {service.wanted} nodes announce it", tone))]


def _node(node: NodeView, now: float) -> list[Block]:
    up = Text("session up", Tone.GOOD) if node.up else Text(f"no session: {node.why_down}", Tone.BAD)
    paths = sum(sum(one.paths.values()) for one in node.sessions)
    return [line(Text(f"Node {node.name}  ", Tone.HEAD), up, f" for {age(now - node.since)}, {paths} paths")]


def _findings(findings: list[FindingView], now: float) -> Block:
    rows = [
        (
            Text(finding.node, Tone.BAD if finding.alarm else Tone.WARN),
            finding.reason,
            age(now - finding.since),
            "all" if finding.whole else f"{finding.service_count} services",
            finding.detail,
        )
        for finding in findings
    ]
    return without_empty(grid(("MISSING", "WHY", "SINCE", "OF ITS SERVICES", "DETAIL"), rows), "DETAIL")


def _steps(findings: list[FindingView]) -> dict[str, str]:
    return {finding.reason: finding.next_step for finding in findings}


def _route(route: RouteView) -> list[Block]:
    rows: list[tuple[str | int | Text | None, ...]] = [
        (path.node, path.next_hop, sent.router, "yes" if sent.reason is None else "no", sent.lane, sent.reason)
        for path in route.paths
        for sent in path.sent
    ]
    rows += [(Text(refused.node, Tone.BAD), None, None, "no", None, refused.reason) for refused in route.refused]
    columns = ("NODE", "NEXT HOP", "ROUTER", "SENT", "LANE", "WHY NOT")
    return [line(Text(f"Prefix {route.prefix}", Tone.HEAD)), without_empty(grid(columns, rows), "LANE", "WHY NOT")]
