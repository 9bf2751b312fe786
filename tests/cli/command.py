"""The real command `onepeer`, as its users run it, against a real control socket."""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from aiohttp import web

from speaker.serve.control import serve_control
from speaker.serve.source import Source

T = TypeVar("T")

COMMAND = str(Path(sys.executable).parent / "onepeer")
DEADLINE = 30.0


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    status: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """Ours, without what would change the output."""
    ours = {name: value for name, value in os.environ.items() if name not in ("ONEPEER_SOCKET", "NO_COLOR")}
    return {**ours, "COLUMNS": "80", "TERM": "xterm-256color", **more}


async def onepeer(*words: str, env: Mapping[str, str] | None = None) -> Done:
    """Run `onepeer WORDS` to its end, with pipes."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        COMMAND, *words, stdout=pipe, stderr=pipe, env=environment(**(env or {}))
    )
    out, err = await asyncio.wait_for(process.communicate(), DEADLINE)
    return Done(process.returncode or 0, out.decode(), err.decode())


def run(*words: str, **more: str) -> Done:
    """The same where nothing has to answer."""
    return asyncio.run(onepeer(*words, env=more))


def ask(source: Source, *words: str) -> Done:
    """Run it while `source` answers."""

    async def once(path: Path) -> Done:
        async with serve_control(source, path):
            return await onepeer(*words, env={"ONEPEER_SOCKET": str(path)})

    return in_folder(once)


def in_folder(body: Callable[[Path], Awaitable[T]]) -> T:
    """Run `body` with the path of a socket in a folder of its own: pytest's can be too long for one."""

    async def inside() -> T:
        with tempfile.TemporaryDirectory() as folder:
            return await body(Path(folder) / "control.sock")

    return asyncio.run(inside())


@contextlib.asynccontextmanager
async def stranger(path: Path, status: int, body: str, server: str = "other") -> AsyncIterator[None]:
    """A program of somebody else's, or of another time, that answers everything alike."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, headers={"Server": server})

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    try:
        yield
    finally:
        await runner.cleanup()
