"""The command `onepeer`: what can be asked and done, and with which exit status.

Thin: a command asks, has the answer laid out (pages.py) and shown (render.py). What costs time to import is imported
by the command that needs it.
"""

import sys
import time
from typing import Annotated

import typer

from speaker.cli.common import (
    FAILED,
    MISSING,
    SOCKET,
    OutputOption,
    SettingsOption,
    SocketOption,
    answered,
    fail,
    show,
)
from speaker.cli.doctor import doctor
from speaker.cli.drain import drain, undrain
from speaker.cli.explain import explain
from speaker.cli.history import history
from speaker.cli.render import Answer, Output
from speaker.cli.router import router_app
from speaker.cli.verify import verify

app = typer.Typer(
    name="onepeer",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def onepeer() -> None:
    """One neighbor line on the router, whatever the number of Kubernetes nodes.

    Onepeer takes the BGP sessions of all nodes and keeps one session to the router, over which it
    reflects every node's paths.

    \b
    onepeer check -c onepeer.yaml      Are the settings right? What do I type into the router?
    onepeer run -c onepeer.yaml        Run it.
    onepeer status                     Is the router up, which nodes are missing, and why?
    onepeer doctor                     It does not work: what stands in its way?

    \b
    Exit status: 0 = fine, 1 = a mistake in the settings, or Onepeer cannot be asked,
    2 = wrong usage, 3 = answered, but a router or node is missing (status, nodes).
    """


@app.command(short_help="Run Onepeer in the foreground.")
def run(config: SettingsOption) -> None:
    """Run Onepeer in the foreground until SIGTERM or Ctrl-C.

    It logs to stderr: JSON, one object a line, or text where that is a terminal. SIGHUP, or a change
    of the files, makes it take up changed settings; sessions that they do not concern are not touched,
    and settings with a mistake are refused. SIGTERM ends it so that a router with graceful restart
    goes on forwarding.

    \b
    onepeer run -c /etc/onepeer/onepeer.yaml

    Exit status: 0 = stopped as asked, 1 = it cannot start; stderr says why.
    """
    import asyncio

    from speaker import log
    from speaker.app import run as run_onepeer
    from speaker.settings_file import SettingsError

    log.configure("info", None)
    try:
        status = asyncio.run(run_onepeer(config))
    except SettingsError as error:
        fail(str(error))
    raise typer.Exit(status)


@app.command(short_help="Are the settings right? What is typed into the router?")
def check(config: SettingsOption, output: OutputOption = Output.TABLE) -> None:
    """Check the settings and the roster, without running anything.

    Prints every mistake with its file, line and way out. Without one: what would run, and the lines to
    type into each router, in the words of FRR and of EdgeOS.

    \b
    onepeer check -c onepeer.yaml && systemctl reload onepeer

    Exit status: 0 = good, 1 = there are mistakes.
    """
    from speaker.cli.check import check as look
    from speaker.cli.check import check_page

    view = look(config)
    show(output, Answer(view, check_page(view)))
    raise typer.Exit(0 if view.good else FAILED)


@app.command(short_help="Is the router up, which nodes are missing, and why?")
def status(
    output: OutputOption = Output.TABLE,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again and again until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", min=0.1, metavar="SECONDS", help="How often, with --watch.")
    ] = 2.0,
    socket: SocketOption = SOCKET,
) -> None:
    """Is the router up, which nodes are up or missing and why, and what does the router get?

    The first word is the verdict: OK; DEGRADED = a node or a router session is missing, and routers still
    get paths; DOWN = no router gets anything, or no node is up.

    \b
    onepeer status
    onepeer status --watch --interval 1
    onepeer status -o json | jq -r '.nodes_down[].name'

    Exit status: 0 = OK, 1 = Onepeer cannot be asked, 3 = DEGRADED or DOWN.
    """
    from speaker.cli.ask import Asker
    from speaker.cli.pages import status_page
    from speaker.cli.watch import keep_showing
    from speaker.serve.views import Health

    asker = Asker(socket)

    def ask() -> Answer:
        view = asker.status()
        return Answer(view, status_page(view))

    if watch:
        keep_showing(ask, interval, output, sys.stdout)
        return
    view = answered(asker.status)
    show(output, Answer(view, status_page(view)))
    raise typer.Exit(0 if view.health is Health.OK else MISSING)


@app.command(short_help="Every node: sessions, paths, what is refused.")
def nodes(output: OutputOption = Output.TABLE, socket: SocketOption = SOCKET) -> None:
    """Every node of the roster: its sessions, its paths, what the guard refuses, and why it is missing.

    \b
    onepeer nodes
    onepeer nodes | grep -v Established

    Exit status: 0 = all are up, 1 = Onepeer cannot be asked, 3 = some node is missing.
    """
    from speaker.cli.ask import Asker
    from speaker.cli.pages import nodes_page

    view = answered(Asker(socket).nodes)
    show(output, Answer(view, nodes_page(view, time.time())))
    raise typer.Exit(0 if all(node.up for node in view.nodes) else MISSING)


@app.command(short_help="Every prefix: who announces it, and what each router gets.")
def routes(
    prefix: Annotated[
        str | None,
        typer.Argument(metavar="[PREFIX]", help="An address (what holds it?) or a prefix (it and what lies inside)."),
    ] = None,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = SOCKET,
) -> None:
    """Who announces which prefix, which path is the best, what does each router get, and what is refused?

    With PREFIX also the attributes, and why each path stands behind the one before it. The star is at the
    best path.

    \b
    onepeer routes
    onepeer routes 192.168.30.22
    onepeer routes 192.168.30.0/24 -o json

    Exit status: 0 = answered, also where there is no such route, 1 = Onepeer cannot be asked, or PREFIX is none.
    """
    from speaker.cli.ask import Asker
    from speaker.cli.pages import routes_page

    view = answered(lambda: Asker(socket).routes(prefix))
    show(output, Answer(view, routes_page(view, prefix)))


app.command(short_help="What has happened, and since when?")(history)
router_app.command(short_help="Does the router hold what it was sent?")(verify)
app.add_typer(
    router_app, help="The router's side.", short_help="The lines to type, the way to one line, what the router holds."
)


app.command(short_help="Why is an address, a Service or a node missing?")(explain)
app.command(short_help="What stands in Onepeer's way, and what to do?")(doctor)


app.command(short_help="Take a node out before it is worked on.")(drain)
app.command(short_help="Let a node back in that was drained.")(undrain)


@app.command(short_help="The versions of this command and its parts.")
def version(output: OutputOption = Output.TABLE) -> None:
    """The versions of this command, of its BGP library and of Python.

    The running Onepeer's own is in `onepeer status`.

    \b
    onepeer version -o json
    """
    from speaker.cli.about import about, about_page

    view = about()
    show(output, Answer(view, about_page(view)))


def main() -> None:
    """The console script."""
    app()
