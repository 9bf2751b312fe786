"""What has happened, and since when is it as it is? The command `onepeer history`."""

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from speaker.cli.common import SOCKET, OutputOption, SocketOption, answered, fail, show
from speaker.cli.page import BLANK, Page, Text, Tone, grid, line, without_empty
from speaker.cli.render import Answer, Output
from speaker.cli.words import age
from speaker.serve.views import HistoryQuery, HistoryView, RecordView

LAST = 100
"""Records that are shown where neither --last nor --since says how many."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def history(
    node: Annotated[
        str | None, typer.Option("--node", "-n", metavar="NODE", help="Only what is about it: its name or address.")
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option("--prefix", "-p", metavar="PREFIX", help="An address (what holds it?) or a prefix (and inside)."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", "-s", metavar="TIME", help="2h, 3d, 2026-11-26 or 2026-11-26T19:30.")
    ] = None,
    last: Annotated[
        int | None, typer.Option("--last", min=1, metavar="COUNT", help=f"The newest so many; {LAST} without --since.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="Read the journal of these settings, also while down."),
    ] = None,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = SOCKET,
) -> None:
    """What has happened: sessions that came and went and why, paths of each node, decisions.

    With --node or --prefix it ends with how things stand, and since when. The journal survives restarts
    and is bounded (`journal_size` in the settings); what it still has begins at the time on its first line.
    Times are local.

    \b
    onepeer history --node leviathan3
    onepeer history --prefix 192.168.30.22 --since 2h
    onepeer history -c /etc/onepeer/onepeer.yaml --last 20

    Exit status: 0 = answered, 1 = Onepeer cannot be asked, its journal cannot be read, or PREFIX or TIME is none.
    """
    now = time.time()
    begin = None if since is None else _time(since, now)
    count = LAST if last is None and since is None else last
    query = HistoryQuery(node=node, prefix=prefix, since=begin, last=count)
    view = _of_files(config, query) if config is not None else _of_running(socket, query)
    show(output, Answer(view, history_page(view, query, now)))


def _of_running(socket: Path, query: HistoryQuery) -> HistoryView:
    from speaker.cli.ask import Asker

    return answered(lambda: Asker(socket).history(query))


def _of_files(config: Path, query: HistoryQuery) -> HistoryView:
    from speaker.config import SettingsError, load
    from speaker.journal.history import history as read
    from speaker.journal.journal import FOLDER

    try:
        folder = load(config).state_dir / FOLDER
        return read(folder, query)
    except (SettingsError, ValueError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{folder} cannot be read: {(error.strerror or str(error)).lower()}; ask as the user Onepeer runs as")


def _time(text: str, now: float) -> float:
    """`2h` ago, or a date with or without a time, local unless it says otherwise."""
    if text[:-1].isdecimal() and text[-1:] in _UNITS:
        return now - int(text[:-1]) * _UNITS[text[-1]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        fail(f"--since {text!r} is no time: write one like 90m, 2h, 3d, 2026-11-26 or 2026-11-26T19:30")


# ---- for people

_TONES = {"session_ended": Tone.BAD, "session_established": Tone.GOOD}


def history_page(view: HistoryView, query: HistoryQuery, now: float) -> Page:
    """A row for each record, the newest last, and below how things stand."""
    begins = "nothing yet" if view.begins is None else f"what happened since {_clock(view.begins)}"
    head = line(Text(f"The journal has {begins}.", Tone.DIM))
    if not view.records:
        return [head, line("Nothing of what was asked for is in it.")]
    rows = [
        (_clock(record.at), _who(record), record.lane, Text(record.text, _TONES.get(record.event, _tone(record))))
        for record in view.records
    ]
    older = [line(Text("Older ones are left out; --last shows more.", Tone.DIM))] if view.more else []
    asked = query.node is not None or query.prefix is not None
    stands = [line(text) for text in _stands(view.records, now)] if asked else []
    table = without_empty(grid(("TIME", "WHO", "LANE", "WHAT"), rows), "LANE")
    return [head, *older, table, *([BLANK, *stands] if stands else [])]


def _tone(record: RecordView) -> Tone:
    return Tone.WARN if record.kind == "refusal" or record.withdrawn else Tone.PLAIN


def _who(record: RecordView) -> str | None:
    return record.node or record.router or record.address


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S}"


def _stands(records: list[RecordView], now: float) -> Iterator[str]:
    """The last word on each session and on the paths of each node."""
    sessions = {(record.node, record.router, record.lane): record for record in records if record.kind == "session"}
    paths = {record.node: record for record in records if record.kind == "paths"}
    for record in [*sessions.values(), *paths.values()]:
        yield f"{_who(record)}: {record.text}, {age(now - record.at)} ago and nothing since"
