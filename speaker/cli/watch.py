"""How is an answer shown again and again? On a terminal in place, else one after the other.

An Onepeer that cannot be asked for a while ends nothing: that is just when people watch.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import TextIO

from speaker.cli.ask import CannotAsk
from speaker.cli.page import BLANK, Page, Text, Tone, line
from speaker.cli.render import Answer, Output, renderer, rich_page


def keep_showing(ask: Callable[[], Answer], interval: float, output: Output, stream: TextIO) -> None:
    """Until Ctrl-C, every `interval` seconds."""
    try:
        if output is Output.TABLE and stream.isatty():
            _in_place(ask, interval, stream)
        else:
            _one_after_another(ask, interval, output, stream)
    except KeyboardInterrupt:
        return


def _in_place(ask: Callable[[], Answer], interval: float, stream: TextIO) -> None:
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(file=stream, highlight=False), auto_refresh=False) as live:
        while True:
            live.update(rich_page(_page(ask, interval)), refresh=True)
            time.sleep(interval)


def _page(ask: Callable[[], Answer], interval: float) -> Page:
    head = line(Text(f"{datetime.now():%H:%M:%S}, every {interval:g}s; Ctrl-C ends", Tone.DIM))
    try:
        return [head, BLANK, *ask().page]
    except CannotAsk as error:
        return [head, BLANK, line(Text(str(error), Tone.BAD))]


def _one_after_another(ask: Callable[[], Answer], interval: float, output: Output, stream: TextIO) -> None:
    import typer

    way = renderer(output, stream)
    while True:
        try:
            way.show(ask())
        except CannotAsk as error:
            typer.echo(f"onepeer: {error}", err=True)
        time.sleep(interval)
