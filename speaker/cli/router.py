"""The router's side: what to type, and how to come from a line per node to one. What it holds is in verify.py."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from pydantic import BaseModel

from speaker.cli.common import MISSING, SOCKET, OutputOption, SettingsOption, SocketOption, answered, fail, show
from speaker.cli.page import BLANK, Block, Text, Tone, line
from speaker.cli.render import Answer, Output
from speaker.routers.lines import Dialect, undo
from speaker.routers.lines import lines as lines_for
from speaker.routers.terminal import UnreadableText
from speaker.routers.typed import read as read_typed
from speaker.routers.words import CannotSay

if TYPE_CHECKING:
    from speaker.config import Router, Settings
    from speaker.routers.migrate import Address, Migration

T = TypeVar("T")

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
        old = read_typed(text_of(file))
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


def the_one(routers: Sequence[tuple[str, T]], name: str | None) -> T:
    """The router of this name, or the only one there is; each comes with its name."""
    found = [router for known, router in routers if name in (None, known)]
    if len(found) != 1:
        fail(f"which router? Say --router with one of {', '.join(known for known, _ in routers)}")
    return found[0]


def _settings(config: Path, name: str | None) -> tuple["Settings", "Router"]:
    from speaker.config import SettingsError, load

    try:
        settings = load(config)
    except SettingsError as error:
        fail(str(error))
    return settings, the_one([(router.name, router) for router in settings.routers], name)


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


def text_of(file: Path) -> str:
    """What a FileArgument holds; where it cannot be read the command ends here."""
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
