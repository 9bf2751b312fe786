"""On a terminal: tables that fit it, in colours, and --watch; and --watch without one."""

import asyncio
import contextlib
import errno
import fcntl
import os
import re
import signal
import struct
import termios
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from speaker.serve.control import serve_control
from speaker.serve.views import Health, StatusView
from tests.cli.command import COMMAND, DEADLINE, environment, in_folder
from tests.serve.example import EDGE, Example, status

COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def own_terminal() -> None:
    """In the child: make its stdin the terminal whose Ctrl-C it gets."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A pseudo terminal of so many columns, for one command."""

    def __init__(self, columns: int) -> None:
        self.ours, self.theirs = os.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.seen = b""

    def _read(self) -> bytes:
        try:
            return os.read(self.ours, 65536)
        except OSError as error:
            if error.errno == errno.EIO:  # the command has closed its side
                return b""
            raise

    async def until(self, done: Callable[[str], object]) -> str:
        """What is on it once `done` says so, or all of it where the command has ended."""
        deadline = asyncio.get_running_loop().time() + DEADLINE
        while not done(self.seen.decode()):
            assert asyncio.get_running_loop().time() < deadline, self.seen
            more = await asyncio.to_thread(self._read)
            if not more:
                break
            self.seen += more
        return self.seen.decode()


@contextlib.asynccontextmanager
async def started(path: Path, *words: str, **streams: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """`onepeer WORDS`, which does not outlive the test."""
    env = {name: value for name, value in environment(ONEPEER_SOCKET=str(path)).items() if name != "COLUMNS"}
    process = await asyncio.create_subprocess_exec(COMMAND, *words, env=env, **streams)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@contextlib.asynccontextmanager
async def on_terminal(
    columns: int, path: Path, *words: str
) -> AsyncIterator[tuple[Terminal, asyncio.subprocess.Process]]:
    """The same on a terminal of so many columns."""
    terminal = Terminal(columns)
    theirs = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.theirs)
    async with started(path, *words, **theirs, start_new_session=True, preexec_fn=own_terminal) as process:
        os.close(terminal.theirs)
        yield terminal, process
    os.close(terminal.ours)


def shown(columns: int, *words: str) -> tuple[int, str]:
    """Exit status and all that a terminal of so many columns was sent."""

    async def once(path: Path) -> tuple[int, str]:
        async with serve_control(Example(), path), on_terminal(columns, path, *words) as (terminal, process):
            text = await terminal.until(lambda _: False)
            return await process.wait(), text

    return in_folder(once)


def test_a_terminal_gets_colours() -> None:
    """The verdict can be seen from afar."""
    code, text = shown(120, "status")
    assert code == 3
    assert "\x1b[33mDEGRADED" in text
    assert re.search(r"\x1b\[1;31mleviathan3", text)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_narrow_terminal_wraps_and_never_cuts(columns: int) -> None:
    """No ellipsis, and nothing wider than the terminal."""
    _, text = shown(columns, "nodes")
    plain = COLOUR.sub("", text).replace("\r\n", "\n")
    assert "…" not in plain
    assert max(map(len, plain.splitlines())) <= columns


def test_json_has_no_colours_on_a_terminal() -> None:
    """It may be copied from there."""
    _, text = shown(80, "status", "-o", "json")
    assert StatusView.model_validate_json(text) == status()


WATCH = ("status", "--watch", "--interval", "0.1")


def test_watch_shows_changes_until_ctrl_c() -> None:
    """In place; Ctrl-C is how it ends, so it is no failure."""
    source = Example()

    async def watched(path: Path) -> tuple[int, str]:
        async with serve_control(source, path), on_terminal(120, path, *WATCH) as (terminal, process):
            await terminal.until(lambda text: "DEGRADED" in text)
            source.status_view = status(health=Health.OK, nodes_down=[], routers=[EDGE])
            text = await terminal.until(lambda text: "OK" in text.partition("DEGRADED")[2])
            os.write(terminal.ours, b"\x03")
            return await asyncio.wait_for(process.wait(), DEADLINE), text

    code, text = in_folder(watched)
    assert code == 0
    assert "every 0.1s; Ctrl-C ends" in text
    assert "Traceback" not in text


def test_watch_outlives_a_restart_of_onepeer() -> None:
    """That is when it is looked at most."""

    async def watched(path: Path) -> str:
        async with on_terminal(120, path, *WATCH) as (terminal, _):
            await terminal.until(lambda text: "no Onepeer runs here" in text)
            async with serve_control(Example(), path):
                await terminal.until(lambda text: "DEGRADED" in text)
            return await terminal.until(lambda text: "no Onepeer runs here" in text.rpartition("DEGRADED")[2])

    assert "Traceback" not in in_folder(watched)


@pytest.mark.parametrize("words", [[], ["-o", "json"]])
def test_watch_through_a_pipe_is_one_answer_after_another(words: list[str]) -> None:
    """For a log, or for jq."""
    first = b"DEGRADED" if not words else b'  "health": "degraded"'
    pipe = asyncio.subprocess.PIPE

    async def watched(path: Path) -> tuple[int, bytes]:
        async with serve_control(Example(), path), started(path, *WATCH, *words, stdout=pipe, stderr=pipe) as process:
            assert process.stdout is not None
            for _ in range(3):
                await asyncio.wait_for(process.stdout.readuntil(first), DEADLINE)
            process.send_signal(signal.SIGINT)
            _, err = await asyncio.wait_for(process.communicate(), DEADLINE)
            return process.returncode or 0, err

    assert in_folder(watched) == (0, b"")
