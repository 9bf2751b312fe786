"""Would these settings run, and what would they do? All mistakes with their lines, or a summary."""

from pathlib import Path

import yaml
from pydantic import BaseModel

from speaker.cli.page import BLANK, Block, Page, Text, Tone, grid, line
from speaker.cli.words import count
from speaker.cluster.base import Roster
from speaker.cluster.file import read_roster
from speaker.cluster.kube.bgppeers import wanted_peers
from speaker.config import Router, Settings, SettingsError, load
from speaker.routers import lines as router_lines


class ProblemView(BaseModel):
    """One mistake."""

    file: str
    line: int | None
    key: str
    what: str
    why: str
    way_out: str
    text: str  # all of it in one line


class RouterPlan(BaseModel):
    """One router, and what is to be typed into it."""

    name: str
    address: str
    port: int
    asn: int
    connect: str
    mode: str
    local_addresses: list[str]  # a lane each
    frr: list[str]
    edgeos: list[str]


class NodePlan(BaseModel):
    """One node of the roster."""

    name: str
    addresses: list[str]
    asn: int
    password: bool


class Plan(BaseModel):
    """What would run."""

    asn: int
    router_id: str
    cluster_id: str
    listen: list[str]
    routers: list[RouterPlan]
    nodes: list[NodePlan]
    nodes_file: str | None  # null: the nodes are what the cluster says
    guard: list[str]  # empty: MetalLB's pools say it
    bgp_peers: list[str]  # YAML to apply to the cluster, where people keep MetalLB's peers
    control: str
    http: str | None
    remarks: list[str]


class CheckView(BaseModel):
    """`onepeer check`."""

    good: bool
    file: str
    problems: list[ProblemView]
    plan: Plan | None


def check(path: Path) -> CheckView:
    """Read the settings and the roster they name, as `onepeer run` would."""
    try:
        settings = load(path)
        roster = read_roster(settings)[0] if settings.nodes.file else Roster()
    except SettingsError as error:
        problems = [
            ProblemView(
                file=problem.file,
                line=problem.line,
                key=problem.key,
                what=problem.what,
                why=problem.why,
                way_out=problem.way_out,
                text=str(problem),
            )
            for problem in error.problems
        ]
        return CheckView(good=False, file=str(path), problems=problems, plan=None)
    return CheckView(good=True, file=str(path), problems=[], plan=_plan(settings, roster))


def _plan(settings: Settings, roster: Roster) -> Plan:
    return Plan(
        asn=settings.asn,
        router_id=str(settings.router_id),
        cluster_id=str(settings.cluster_id),
        listen=[at(address, settings.listen.port) for address in settings.listen.addresses],
        routers=[_router(settings, router) for router in settings.routers],
        nodes=[
            NodePlan(
                name=node.name,
                addresses=[str(address) for address in node.addresses],
                asn=node.asn,
                password=node.password is not None,
            )
            for node in roster.nodes
        ],
        nodes_file=str(settings.nodes.file) if settings.nodes.file else None,
        guard=[str(prefix) for prefix in settings.guard.prefixes],
        bgp_peers=_bgp_peers(settings),
        control=str(settings.control.socket),
        http=at(settings.http.address, settings.http.port) if settings.http else None,
        remarks=[roster.remark] if roster.remark and settings.nodes.file else [],
    )


def _bgp_peers(settings: Settings) -> list[str]:
    """What people have to write into MetalLB, where Onepeer is not to do it."""
    kubernetes = settings.nodes.kubernetes
    if kubernetes is None or kubernetes.bgp_peers.manage:
        return []
    peers = []
    # Who names a BFDProfile says that no speaker is native.
    for body in wanted_peers(settings, frr=kubernetes.bgp_peers.bfd_profile is not None):
        # Without our label: what people write is theirs.
        metadata = {key: value for key, value in body["metadata"].items() if key != "labels"}
        peers.append(yaml.safe_dump({**body, "metadata": metadata}, sort_keys=False))
    return peers


def _router(settings: Settings, router: Router) -> RouterPlan:
    return RouterPlan(
        name=router.name,
        address=str(router.address),
        port=router.port,
        asn=router.asn,
        connect=router.connect,
        mode=router.mode,
        local_addresses=[str(address) for address in router.local_addresses],
        frr=router_lines.frr(settings, router),
        edgeos=router_lines.edgeos(settings, router),
    )


def at(address: object, port: int) -> str:
    """`192.168.3.10:1790`, `[fd00::10]:1790`."""
    return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"


# ---- for people


def check_page(view: CheckView) -> Page:
    """The mistakes, one a line; or what would run, router by router."""
    if view.plan is None:
        said = [line(Text(problem.text, Tone.BAD)) for problem in view.problems]
        return [*said, line(f"{view.file}: {count(len(view.problems), 'mistake')}; nothing would run")]
    plan = view.plan
    blocks: list[Block] = [line(Text("OK", Tone.GOOD), f"  {view.file} is good. What would run:")]
    blocks += [line(Text(f"warning: {remark}", Tone.WARN)) for remark in plan.remarks]
    ids = plan.router_id if plan.router_id == plan.cluster_id else f"{plan.router_id}, cluster ID {plan.cluster_id}"
    blocks += [
        line("is         ", f"AS {plan.asn}, router ID {ids}"),
        line("listens on ", ", ".join(plan.listen)),
        line("lets in    ", _lets_in(plan)),
        line("answers on ", plan.control, f" and http://{plan.http}" if plan.http else ""),
    ]
    if plan.nodes:
        rows = [
            (node.name, ", ".join(node.addresses), node.asn, "MD5" if node.password else None) for node in plan.nodes
        ]
        blocks += [BLANK, grid(("NODE", "ADDRESSES", "AS", "PASSWORD"), rows)]
    for router in plan.routers:
        blocks += [BLANK, line(Text(_about(router), Tone.HEAD))]
        blocks += [line("  FRR:"), *(line(f"    {words}") for words in router.frr)]
        blocks += [line("  EdgeOS:"), *(line(f"    {words}") for words in router.edgeos)]
    if plan.bgp_peers:
        blocks += [BLANK, line(Text("MetalLB's side, for `kubectl apply -f -`:", Tone.HEAD))]
        blocks += [line(words) for words in "---\n".join(plan.bgp_peers).splitlines()]
    return blocks


def _lets_in(plan: Plan) -> str:
    prefixes = ", ".join(plan.guard)
    if plan.nodes_file is not None:
        return f"{prefixes} from {count(len(plan.nodes), 'node')} of {plan.nodes_file}"
    narrowed = f", as far as they lie in {prefixes}" if prefixes else ""
    return f"the addresses of MetalLB's pools{narrowed}, from the nodes of the cluster"


def _about(router: RouterPlan) -> str:
    name = router.address if router.name == router.address else f"{router.name} ({router.address})"
    ways = {
        "both": f"dialled on port {router.port}, and may dial",
        "active": f"dialled on port {router.port}",
        "passive": "dials us",
    }
    return f"router {name}, AS {router.asn}, {ways[router.connect]}; type into it, once:"
