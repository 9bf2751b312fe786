"""`onepeer doctor`: what stands in Onepeer's way, each with the way out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from speaker.cli.common import FAILED, MISSING, SOCKET, OutputOption, SocketOption, fail, show
from speaker.cli.page import Block, Page, Text, Tone, line
from speaker.cli.render import Answer, Output
from speaker.cli.words import count
from speaker.doctor.findings import Level
from speaker.serve.views import CheckedView, DoctorView, StatusView

_TONES = {Level.OK: Tone.GOOD, Level.HINT: Tone.HEAD, Level.WARNING: Tone.WARN, Level.PROBLEM: Tone.BAD}
_WORST = (Level.PROBLEM, Level.WARNING, Level.HINT, Level.OK)


def doctor(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="The settings file. The running Onepeer's unless said."),
    ] = None,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = SOCKET,
) -> None:
    """What stands in Onepeer's way? Rights, kernel, addresses, ports, links, clock, routers, cluster.

    Looks before Onepeer runs, and beside a running one, whose own rights then count; it changes nothing.
    A router is called only where no running Onepeer has a session with it. Run it on Onepeer's host as
    the user that Onepeer runs as, or in its pod.

    \b
    onepeer doctor -c /etc/onepeer/onepeer.yaml
    kubectl -n onepeer-system exec deploy/onepeer -- onepeer doctor

    Exit status: 0 = nothing is in its way (a hint is no more than that), 1 = cannot look: there are no
    settings, or they have mistakes, 3 = a warning or a problem, each with the way out.
    """
    import asyncio

    from speaker.config import SettingsError, load
    from speaker.doctor.examine import examine
    from speaker.doctor.look import look

    try:
        settings = load(config) if config is not None else None
        if settings is not None and socket == SOCKET:
            socket = settings.control.socket
        status, silent, mute = _running(socket)
        if settings is None:
            if status is None:
                fail(f"there are no settings to look at: name them with -c FILE, for {silent}")
            config = Path(status.settings_file)
            settings = load(config)
    except SettingsError as error:
        wrong = [
            _checked("settings", Level.PROBLEM, str(one), "", "onepeer check has it all") for one in error.problems
        ]
        view = DoctorView(settings_file=str(config), level=Level.PROBLEM, findings=wrong)
        show(output, Answer(view, doctor_page(view)))
        raise typer.Exit(FAILED) from None
    facts = asyncio.run(look(settings, status, socket, silent=silent, mute=mute))
    found = [
        _checked("settings", Level.OK, f"{config} has no mistake", "", ""),
        *(_checked(name, one.level, one.what, one.why, one.way_out) for name, one in examine(facts)),
    ]
    worst = next(level for level in _WORST if any(one.level == level for one in found))
    view = DoctorView(settings_file=str(config), level=worst, findings=found)
    show(output, Answer(view, doctor_page(view)))
    raise typer.Exit(0 if worst in (Level.OK, Level.HINT) else MISSING)


def _running(socket: Path) -> tuple[StatusView | None, str, bool]:
    """What the running Onepeer says, or why none does, and whether there is a socket all the same."""
    from speaker.cli.ask import Asker, CannotAsk

    try:
        return Asker(socket).status(), "", False
    except CannotAsk as error:
        return None, str(error), not error.nobody


def _checked(check: str, level: Level, what: str, why: str, way_out: str) -> CheckedView:
    return CheckedView(check=check, level=level.value, what=what, why=why, way_out=way_out)


def doctor_page(view: DoctorView) -> Page:
    """A line for each, with why and the way out below; the count last."""
    blocks: list[Block] = []
    for one in view.findings:
        blocks.append(line(Text(f"{one.level:<8}", _TONES[Level(one.level)]), f" {one.check:<10} {one.what}"))
        blocks += [line(Text(f"{'':<20}{text}", Tone.DIM)) for text in (one.why, one.way_out) if text]
    counted = Counter(one.level for one in view.findings)
    said = [count(counted[level], level) for level in (Level.PROBLEM, Level.WARNING)]
    said += [count(counted[Level.HINT], "hint")] if counted[Level.HINT] else []
    return [*blocks, line(f"{', '.join(said)}, {counted['ok']} ok")]
