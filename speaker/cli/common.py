"""What do all commands share? Their options, their exit statuses, and how an answer or a mistake is shown."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer

from speaker.cli.render import Answer, Output, renderer

T = TypeVar("T")

SOCKET = Path("/run/onepeer/control.sock")

FAILED = 1
"""A mistake of the user's, or no answer."""
MISSING = 3
"""Answered, and something that should be up is not."""

SettingsOption = Annotated[
    Path, typer.Option("--config", "-c", metavar="FILE", help="The settings file, like /etc/onepeer/onepeer.yaml.")
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="For people, or for programs.")]
SocketOption = Annotated[
    Path,
    typer.Option("--socket", envvar="ONEPEER_SOCKET", metavar="PATH", help="The control.socket of the settings."),
]


def show(output: Output, answer: Answer) -> None:
    """Write an answer to stdout."""
    renderer(output, sys.stdout).show(answer)


def answered(ask: Callable[[], T]) -> T:
    """What `ask` returns; without an answer the command ends here."""
    from speaker.cli.ask import CannotAsk

    try:
        return ask()
    except CannotAsk as error:
        fail(str(error))


def fail(text: str) -> NoReturn:
    """End the command with a line, or more, on stderr."""
    typer.echo("\n".join(f"onepeer: {line}" for line in text.splitlines()), err=True)
    raise typer.Exit(FAILED)
