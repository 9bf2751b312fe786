"""`onepeer router verify`: does the router hold what it was sent, and has it our sessions up?"""

from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import BaseModel

from speaker.cli.common import MISSING, SOCKET, OutputOption, SocketOption, answered, fail, show
from speaker.cli.page import Block, Text, Tone, grid, line, without_empty
from speaker.cli.render import Answer, Output
from speaker.cli.router import FileArgument, RouterOption, text_of, the_one
from speaker.routers.compare import Verdict, differences
from speaker.routers.shown import Shown
from speaker.routers.shown import read as read_shown
from speaker.routers.summary import Judged, Ours, Trouble, judge
from speaker.routers.terminal import UnreadableText
from speaker.serve.views import RouterView, RoutesView, StatusView

View = TypeVar("View", bound=BaseModel)

TABLES = {"bgp": "show ip bgp", "route": "show ip route", "summary": "show ip bgp summary"}


class DifferenceView(BaseModel):
    """One next hop that is not as it was sent."""

    table: str  # "bgp" or "route"
    prefix: str
    next_hop: str
    node: str | None  # null: no node announces it
    verdict: Verdict


class LineView(BaseModel):
    """One of our sessions, as the router shows it."""

    local_address: str
    family: str  # of the routes; empty where the router does not say it
    asn: str | None  # that the router has for it; null: it has no line for this address
    state: str | None
    received: int | None  # paths that it has accepted
    sent: int
    trouble: Trouble | None
    type_in: list[str]  # what to type into the router, where that is known


class VerifyView(BaseModel):
    """`onepeer router verify`."""

    router: str
    prefixes: int  # that were sent
    next_hops: int
    tables: list[str]  # that were read: "bgp", "route", "summary"
    differences: list[DifferenceView]
    sessions: list[LineView]  # of "summary"

    def differs(self) -> bool:
        """Whether the router has anything otherwise."""
        return bool(self.differences) or any(session.trouble for session in self.sessions)


def verify(
    file: FileArgument,
    routes: Annotated[
        Path | None, typer.Option("--routes", metavar="FILE", help="What `onepeer routes -o json` printed.")
    ] = None,
    status: Annotated[
        Path | None, typer.Option("--status", metavar="FILE", help="What `onepeer status -o json` printed.")
    ] = None,
    router: RouterOption = None,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = SOCKET,
) -> None:
    """Compare what the router shows with what Onepeer sent: missing next hops, by the names of nodes.

    FILE is what the router prints for `show ip bgp`, `show ip route bgp`, `show ip bgp summary`, one or
    several, of EdgeOS or FRR, also as FRR's JSON. `show ip bgp neighbors ADDRESS routes` shows what came
    over Onepeer's line. Of the summary it says which of our sessions the router has up, what it has taken
    over each, and what to type where a line is missing. --router is the router's name in Onepeer.

    \b
    ssh router show ip bgp | onepeer router verify -
    ssh router show ip bgp summary | onepeer router verify -

    Exit status: 0 = it holds the same, 1 = it cannot be read or asked, 3 = something differs.
    """
    from speaker.cli.ask import Asker

    asker = Asker(socket)
    sent_view = _kept(routes, "routes", RoutesView) or answered(lambda: asker.routes(None))
    try:
        shown = read_shown(text_of(file))
    except UnreadableText as error:
        fail(f"{file}: {error}")
    if shown.summary is None:
        name, ours = _sent_to(sent_view, router), None
    else:
        status_view = _kept(status, "status", StatusView) or answered(asker.status)
        ours = _router(status_view, router)
        name = ours.name
    sent, names = _sent(sent_view, name)
    if not sent and shown.summary is None:
        fail(f"nothing was sent to {name}, so there is nothing to compare: `onepeer routes` says why")
    sessions = _sessions(shown, sent_view, status_view.asn, ours) if ours is not None else []
    view = _view(name, sent, names, shown, sessions)
    show(output, Answer(view, _page(view)))
    raise typer.Exit(MISSING if view.differs() else 0)


def _kept(file: Path | None, command: str, view: type[View]) -> View | None:
    """What `onepeer COMMAND -o json` printed into a file; None where none is given."""
    if file is None:
        return None
    try:
        return view.model_validate_json(text_of(file))
    except ValueError:
        fail(f"{file} is not what `onepeer {command} -o json` prints")


def _sent_to(view: RoutesView, name: str | None) -> str:
    names = sorted({sent.router for route in view.routes for path in route.paths for sent in path.sent})
    if not names:
        fail("Onepeer has no routes for any router: see `onepeer status`")
    return the_one([(known, known) for known in names], name)


def _router(view: StatusView, name: str | None) -> RouterView:
    router = the_one([(router.name, router) for router in view.routers], name)
    if router.lead is not None and router.lead.role != "leads":
        leader = router.lead.leader or "once there is one"
        fail(f"this replica does not speak to {router.name}: ask the one that does, {leader}")
    return router


def _sent(view: RoutesView, router: str) -> tuple[dict[str, frozenset[str]], dict[str, str]]:
    """Next hops by prefix, and the names of their nodes."""
    sent: dict[str, frozenset[str]] = {}
    names: dict[str, str] = {}
    for route in view.routes:
        names |= {path.next_hop: path.node for path in route.paths}
        hops = (
            path.next_hop for path in route.paths if any(to.router == router and to.reason is None for to in path.sent)
        )
        if found := frozenset(hops):
            sent[route.prefix] = found
    return sent, names


def _sessions(shown: Shown, routes: RoutesView, asn: int, router: RouterView) -> list[Judged]:
    """Of each of our addresses for this router, what the router shows."""
    if shown.summary is None:
        return []
    sent: dict[int, dict[str, int]] = {lane.lane: {"ipv4": 0, "ipv6": 0} for lane in router.lanes}
    for route in routes.routes:
        for path in route.paths:
            for to in path.sent:
                # Where there is one session only, a path does not say over which.
                lane = to.lane or router.lanes[0].lane
                if to.router == router.name and to.reason is None and lane in sent:
                    sent[lane][route.family] += 1
    return judge(shown.summary, [Ours(lane.local_address, asn, router.asn, sent[lane.lane]) for lane in router.lanes])


def _view(
    router: str, sent: dict[str, frozenset[str]], names: dict[str, str], shown: Shown, sessions: list[Judged]
) -> VerifyView:
    tables = {table: held for table, held in (("bgp", shown.bgp), ("route", shown.route)) if held is not None}
    return VerifyView(
        router=router,
        prefixes=len(sent),
        next_hops=sum(map(len, sent.values())),
        tables=[*tables, *(["summary"] if shown.summary is not None else [])],
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
        sessions=[
            LineView(
                local_address=one.ours.address,
                family=one.shown.family if one.shown else "",
                asn=one.shown.asn if one.shown else None,
                state=one.shown.state if one.shown else None,
                received=one.shown.received if one.shown else None,
                sent=max(one.ours.sent_of(one.shown.family if one.shown else "")),
                trouble=one.trouble,
                type_in=list(one.type_in),
            )
            for one in sessions
        ],
    )


# ---- for people


def _page(view: VerifyView) -> list[Block]:
    sent = f"{view.next_hops} next hops of {view.prefixes} prefixes were sent to {view.router}"
    tables = " and ".join(TABLES[table] for table in view.tables)
    if not view.differs():
        page: list[Block] = [line(Text("OK", Tone.GOOD), f"  {sent}; it holds the same ({tables})")]
    else:
        page = [line(Text("DIFFERENT", Tone.BAD), f"  {sent}; compared with {tables}")]
    if view.differences:
        rows = [(found.table, found.prefix, found.node, found.next_hop, found.verdict) for found in view.differences]
        page.append(grid(("TABLE", "PREFIX", "NODE", "NEXT HOP", "ON THE ROUTER"), rows))
    if view.sessions:
        page += _sessions_page(view.sessions)
    return page


def _sessions_page(sessions: list[LineView]) -> list[Block]:
    rows = [
        (
            one.local_address,
            one.asn,
            one.family,
            Text(one.state or "", Tone.BAD if one.trouble else Tone.PLAIN),
            one.received,
            one.sent,
            Text(one.trouble or "", Tone.BAD),
        )
        for one in sessions
    ]
    table = grid(("NEIGHBOR", "AS", "FAMILY", "STATE", ">RECEIVED", ">SENT", "TROUBLE"), rows)
    page: list[Block] = [without_empty(table, "FAMILY", "TROUBLE")]
    if typed := list(dict.fromkeys(said for one in sessions for said in one.type_in)):
        page += [line("To type into the router (`onepeer router lines` has every dialect, and passwords):")]
        page += [line(f"   {said}") for said in typed]
    if any(one.trouble is Trouble.NOT_UP for one in sessions):
        page.append(
            line("Why a session is not up: `onepeer status` says what we see of it, `onepeer doctor` what to do.")
        )
    return page
