"""The router's side: what to type, how to come from a line per node to one, and what the router holds."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel

from speaker.cli.common import MISSING, SOCKET, OutputOption, SettingsOption, SocketOption, answered, fail, show
from speaker.cli.page import BLANK, Block, Text, Tone, grid, line
from speaker.cli.render import Answer, Output
from speaker.routers.compare import Verdict, differences
from speaker.routers.lines import Dialect, undo
from speaker.routers.lines import lines as lines_for
from speaker.routers.shown import read as read_shown
from speaker.routers.terminal import UnreadableText
from speaker.routers.typed import read as read_typed
from speaker.routers.words import CannotSay
from speaker.serve.views import RoutesView

if TYPE_CHECKING:
    from speaker.config import Router, Settings
    from speaker.routers.migrate import Address, Migration

router_app = typer.Typer(name="router", no_args_is_help=True, rich_markup_mode=None)

RouterOption = Annotated[
    str | None, typer.Option("--router", "-r", metavar="NAME", help="Which one, where the settings have several.")
]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="What the router printed; - is stdin.")]


class LinesView(BaseModel):
    """`onepeer router lines`."""

    router: str
    dialect: Dialect
    lines: list[str]
    undo: list[str]


class MissingNode(BaseModel):
    """A node that the old configuration does not have."""

    node: str
    address: str


class StepView(BaseModel):
    """One thing to do."""

    what: str
    lines: list[str]
    undo: list[str]


class MigrationView(BaseModel):
    """`onepeer router migrate`."""

    dialect: Dialect
    missing: list[MissingNode]
    others: list[str]  # neighbors that are no node, and stay
    remarks: list[str]
    steps: list[StepView]


class DifferenceView(BaseModel):
    """One next hop that is not as it was sent."""

    table: str  # "bgp" or "route"
    prefix: str
    next_hop: str
    node: str | None  # null: no node announces it
    verdict: Verdict


class VerifyView(BaseModel):
    """`onepeer router verify`."""

    router: str
    prefixes: int  # that were sent
    next_hops: int
    tables: list[str]  # that were read
    differences: list[DifferenceView]


@router_app.command("lines", short_help="The lines to type into the router, and their undo.")
def lines(
    config: SettingsOption,
    dialect: Annotated[Dialect, typer.Option("--dialect", "-d", help="Whose words.")] = Dialect.FRR,
    router: RouterOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """The lines to type into the router for these settings, and what takes them away again.

    FRR's were tried on FRR. All others follow documentation and were not tried on a real router
    (docs/routers.md has each source). What unifi prints goes into the file that is uploaded there,
    what opnsense prints into the fields of os-frr. A password is never printed: its file is named.

    \b
    onepeer router lines -d edgeos -c onepeer.yaml

    Exit status: 0 = printed, 1 = there are mistakes in the settings.
    """
    settings, found = _settings(config, router)
    try:
        typed = lines_for(dialect, settings, found)
    except CannotSay as error:
        fail(str(error))
    view = LinesView(router=found.name, dialect=dialect, lines=typed, undo=undo(dialect, found))
    page = [*map(line, view.lines), BLANK, line(Text("To undo it:", Tone.HEAD)), *map(line, view.undo)]
    show(output, Answer(view, page))


@router_app.command("migrate", short_help="From a line per node to one, step by step.")
def migrate(
    file: FileArgument,
    config: SettingsOption,
    router: RouterOption = None,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = SOCKET,
) -> None:
    """The steps from a neighbor line per node to Onepeer's, without a moment without next hops.

    FILE is the router's configuration: of EdgeOS or VyOS (config.boot, or `show configuration
    commands`) or of FRR (`show running-config`), whole or in part. It says which nodes that
    configuration has not. The nodes are those of nodes.file, or else of the running Onepeer.

    \b
    ssh router show configuration commands | onepeer router migrate - -c onepeer.yaml

    Exit status: 0 = every node was there, 1 = it cannot be read, 3 = a node is missing in it.
    """
    from speaker.routers.migrate import migration

    settings, found = _settings(config, router)
    nodes = _nodes(settings, socket)
    try:
        old = read_typed(_text(file))
    except UnreadableText as error:
        fail(f"{file}: {error}")
    plan = migration(old, settings, found, nodes)
    view = MigrationView(
        dialect=old.dialect,
        missing=[MissingNode(node=node, address=address) for node, address in plan.missing],
        others=list(plan.others),
        remarks=list(plan.remarks),
        steps=[StepView(what=step.what, lines=list(step.lines), undo=list(step.undo)) for step in plan.steps],
    )
    show(output, Answer(view, _migration_page(plan)))
    raise typer.Exit(MISSING if view.missing else 0)


@router_app.command("verify", short_help="Does the router hold what it was sent?")
def verify(
    file: FileArgument,
    routes: Annotated[
        Path | None, typer.Option("--routes", metavar="FILE", help="What `onepeer routes -o json` printed.")
    ] = None,
    router: RouterOption = None,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = SOCKET,
) -> None:
    """Compare what the router shows with what Onepeer sent: missing next hops, by the names of nodes.

    FILE is what the router prints for `show ip bgp` or `show ip route bgp`, one or both, of EdgeOS or
    FRR, also as FRR's JSON. `show ip bgp neighbors ADDRESS routes` shows what came over Onepeer's line.
    With --router is meant the router's name in Onepeer.

    \b
    ssh router show ip bgp | onepeer router verify -

    Exit status: 0 = it holds the same, 1 = it cannot be read or asked, 3 = something differs.
    """
    view_of_routes = _routes(routes, socket)
    name = _sent_to(view_of_routes, router)
    sent: dict[str, frozenset[str]] = {}
    names: dict[str, str] = {}
    for route in view_of_routes.routes:
        names |= {path.next_hop: path.node for path in route.paths}
        hops = (
            path.next_hop for path in route.paths if any(to.router == name and to.reason is None for to in path.sent)
        )
        if found := frozenset(hops):
            sent[route.prefix] = found
    if not sent:
        fail(f"nothing was sent to {name}, so there is nothing to compare: `onepeer routes` says why")
    try:
        shown = read_shown(_text(file))
    except UnreadableText as error:
        fail(f"{file}: {error}")
    tables = {table: held for table, held in (("bgp", shown.bgp), ("route", shown.route)) if held is not None}
    view = VerifyView(
        router=name,
        prefixes=len(sent),
        next_hops=sum(map(len, sent.values())),
        tables=list(tables),
        differences=[
            DifferenceView(
                table=table,
                prefix=found.prefix,
                next_hop=found.next_hop,
                node=names.get(found.next_hop),
                verdict=found.verdict,
            )
            for table, held in tables.items()
            for found in differences(sent, held)
        ],
    )
    show(output, Answer(view, _verify_page(view)))
    raise typer.Exit(MISSING if view.differences else 0)


def _settings(config: Path, name: str | None) -> tuple["Settings", "Router"]:
    from speaker.config import SettingsError, load

    try:
        settings = load(config)
    except SettingsError as error:
        fail(str(error))
    found = [router for router in settings.routers if name in (None, router.name)]
    if len(found) != 1:
        names = ", ".join(router.name for router in settings.routers)
        fail(f"which router? Say --router with one of {names}")
    return settings, found[0]


def _nodes(settings: "Settings", socket: Path) -> "dict[str, tuple[Address, ...]]":
    from ipaddress import ip_address

    from speaker.cli.ask import Asker
    from speaker.cluster.file import read_roster
    from speaker.config import SettingsError

    if settings.nodes.file is None:
        nodes = answered(Asker(socket).nodes).nodes
        return {node.name: tuple(ip_address(session.address) for session in node.sessions) for node in nodes}
    try:
        return {node.name: node.addresses for node in read_roster(settings)[0].nodes}
    except SettingsError as error:
        fail(str(error))


def _routes(file: Path | None, socket: Path) -> RoutesView:
    from speaker.cli.ask import Asker

    if file is None:
        return answered(lambda: Asker(socket).routes(None))
    try:
        return RoutesView.model_validate_json(_text(file))
    except ValueError:
        fail(f"{file} is not what `onepeer routes -o json` prints")


def _sent_to(view: RoutesView, name: str | None) -> str:
    names = sorted({sent.router for route in view.routes for path in route.paths for sent in path.sent})
    if not names:
        fail("Onepeer has no routes for any router: see `onepeer status`")
    found = [known for known in names if name in (None, known)]
    if len(found) != 1:
        fail(f"which router? Say --router with one of {', '.join(names)}")
    return found[0]


def _text(file: Path) -> str:
    try:
        octets = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        fail(f"{file} cannot be read: {(error.strerror or str(error)).lower()}")
    return octets.decode(errors="replace")


# ---- for people


def _migration_page(plan: "Migration") -> list[Block]:
    page: list[Block] = [
        line(Text(f"{node} ({address}) is missing on the router", Tone.BAD)) for node, address in plan.missing
    ]
    page += [line(Text(remark, Tone.WARN)) for remark in plan.remarks]
    page += [line(f"{address} is no node of the roster, and stays") for address in plan.others]
    for number, step in enumerate(plan.steps, 1):
        page += [BLANK, line(Text(f"{number}. {step.what}", Tone.HEAD)), *(line(f"   {said}") for said in step.lines)]
        if step.undo:
            page += [line(Text("   To undo it:", Tone.DIM)), *(line(f"   {said}") for said in step.undo)]
    return page


def _verify_page(view: VerifyView) -> list[Block]:
    sent = f"{view.next_hops} next hops of {view.prefixes} prefixes were sent to {view.router}"
    tables = " and ".join({"bgp": "show ip bgp", "route": "show ip route"}[table] for table in view.tables)
    if not view.differences:
        return [line(Text("OK", Tone.GOOD), f"  {sent}; it holds the same ({tables})")]
    rows = [(found.table, found.prefix, found.node, found.next_hop, found.verdict) for found in view.differences]
    return [
        line(Text("DIFFERENT", Tone.BAD), f"  {sent}; compared with {tables}"),
        grid(("TABLE", "PREFIX", "NODE", "NEXT HOP", "ON THE ROUTER"), rows),
    ]
