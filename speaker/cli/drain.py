"""`onepeer drain` and `onepeer undrain`: a node is taken out on purpose, and let back in."""

import time
from pathlib import Path
from typing import Annotated

import typer

from speaker.cli.common import MISSING, SOCKET, OutputOption, SocketOption, answered, fail, show
from speaker.cli.page import Block, Page, Text, Tone, line
from speaker.cli.render import Answer, Output
from speaker.serve.views import DrainOrder, DrainView

#: Seconds that routers may take.
PATIENCE = 30.0

NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="As `onepeer nodes` calls it.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Return when the routers have been told.")]


def drain(
    node: NodeArgument,
    force: Annotated[bool, typer.Option("--force", help="Also paths that no other node has.")] = False,
    wait: WaitOption = False,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = SOCKET,
) -> None:
    """Take a node out before it is worked on: new connections go to the other nodes.

    Its paths are made the least preferred (GRACEFUL_SHUTDOWN and LOCAL_PREF 0, RFC 8326), and 5 s later
    kept from the routers, while it still forwards, so nothing is lost. A path that no other node has
    stays, and is named, unless --force. A restart of Onepeer remembers it, and replicas tell each other.
    nodes.kubernetes.follow_cordon needs nobody.

    \b
    onepeer drain leviathan3 --wait && ssh leviathan3 reboot
    onepeer undrain leviathan3

    Exit status: 0 = it carries nothing any more, 1 = Onepeer cannot be asked, or there is no such node,
    3 = some paths stay, since no other node has them.
    """
    view = _order(DrainOrder(node=node, drained=True, force=force), wait, socket)
    show(output, Answer(view, drain_page(view)))
    raise typer.Exit(MISSING if view.kept_count else 0)


def undrain(
    node: NodeArgument, wait: WaitOption = False, output: OutputOption = Output.TABLE, socket: SocketOption = SOCKET
) -> None:
    """Let a node back in that was drained.

    \b
    onepeer undrain leviathan3

    Exit status: 0 = it is in, 1 = Onepeer cannot be asked, or there is no such node.
    """
    view = _order(DrainOrder(node=node, drained=False), wait, socket)
    show(output, Answer(view, drain_page(view)))


def _order(order: DrainOrder, wait: bool, socket: Path) -> DrainView:
    from speaker.cli.ask import Asker

    asker, end = Asker(socket), time.monotonic() + PATIENCE
    view = answered(lambda: asker.drain(order))
    while wait and (view.leaving or view.pending):
        if time.monotonic() > end:
            left = view.leaving + view.pending
            fail(f"routers have not taken {left} changes in {PATIENCE:g} s: onepeer status says which")
        time.sleep(0.1)
        view = answered(lambda: asker.drain(order))
    return view


def drain_page(view: DrainView) -> Page:
    """What came of it."""
    if not view.drained:
        return [line(Text(f"{view.node} is in", Tone.GOOD))]
    said = f": {view.out} paths are kept from the routers"
    if view.leaving:
        said = f": {view.leaving} paths are the least preferred now, and kept from the routers in a few seconds"
    blocks: list[Block] = [line(Text(f"{view.node} is drained", Tone.GOOD), said)]
    if view.kept_count:
        names = ", ".join(view.kept) + (" ..." if view.kept_count > len(view.kept) else "")
        said = f"{view.kept_count} stay, since no other node has them: {names}; --force takes them away, too"
        blocks.append(line(Text(said, Tone.WARN)))
    return blocks
