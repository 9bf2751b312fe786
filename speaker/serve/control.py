"""What does a running Onepeer answer to its own command line? JSON over a Unix socket that only its user may open.

    GET /v1/status                  StatusView
    GET /v1/nodes                   NodesView
    GET /v1/audit                   AuditView
    POST /v1/drain                  DrainOrder -> DrainView
    GET /v1/routes[?prefix=TEXT]    RoutesView, in slices
    GET /v1/history[?node=TEXT][&prefix=TEXT][&since=TIME][&last=COUNT]     HistoryView

Everything is in views.py. An error is `{"error": "..."}` with a status of 400 or more. `v1` changes when an older
command could not read the answers any more.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web
from pydantic import BaseModel

from speaker.log import LogEvent
from speaker.serve.site import ServeError, answering_errors, reason, running
from speaker.serve.source import Source
from speaker.serve.views import DrainOrder, HistoryQuery, RouteView

log = structlog.get_logger()

SLICE: Final = 64
"""Paths made and sent before the sessions get their turn: about 1.5 ms. A prefix is never cut in two."""

KEY: Final = "control.socket"


@asynccontextmanager
async def serve_control(source: Source, path: Path) -> AsyncIterator[None]:
    """Answer on the socket `path` while the body runs.

    A socket that a crash left behind is replaced. Raises ServeError, also where another Onepeer answers there.
    """
    sock, inode = _listen(path)
    try:
        async with running(_app(source), sock):
            log.info(LogEvent.CONTROL_LISTENING, socket=str(path))
            yield
    finally:
        _remove(path, inode)


def _app(source: Source) -> web.Application:
    async def status(_: web.Request) -> web.Response:
        return _json(source.status())

    async def nodes(_: web.Request) -> web.Response:
        return _json(source.nodes())

    async def audit(_: web.Request) -> web.Response:
        return _json(source.audit())

    async def routes(request: web.Request) -> web.StreamResponse:
        try:
            found = _begun(source.routes(request.query.get("prefix")))
        except ValueError as error:
            return _refuse(400, str(error))
        return await _stream(request, found)

    async def drain(request: web.Request) -> web.Response:
        try:
            return _json(source.drain(DrainOrder.model_validate_json(await request.read())))
        except ValueError as error:
            return _refuse(400, str(error))

    async def history(request: web.Request) -> web.Response:
        try:
            return _json(await source.history(HistoryQuery.model_validate(dict(request.query))))
        except ValueError as error:
            return _refuse(400, str(error))

    app = web.Application(middlewares=[answering_errors(_refuse)])
    app.router.add_get("/v1/status", status)
    app.router.add_get("/v1/nodes", nodes)
    app.router.add_get("/v1/audit", audit)
    app.router.add_get("/v1/routes", routes)
    app.router.add_post("/v1/drain", drain)
    app.router.add_get("/v1/history", history)
    return app


def _json(view: BaseModel) -> web.Response:
    return web.Response(body=view.model_dump_json().encode(), content_type="application/json")


def _refuse(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)


def _begun(routes: Iterable[RouteView]) -> Iterator[RouteView]:
    """The same, with the first step done: a generator says only then what it thinks of its arguments."""
    steps = iter(routes)
    return chain(list(islice(steps, 1)), steps)


async def _stream(request: web.Request, routes: Iterator[RouteView]) -> web.StreamResponse:
    """A RoutesView, a slice at a time: as much memory and time as a slice takes, whatever the table."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"routes":[')
    comma = b""
    while piece := _slice(routes):
        await response.write(comma + b",".join(route.model_dump_json().encode() for route in piece))
        comma = b","
        await asyncio.sleep(0)  # write() only waits once its buffer is full
    await response.write(b"]}")
    return response


def _slice(routes: Iterator[RouteView]) -> list[RouteView]:
    """The next routes, up to the one that fills a slice; none at the end."""
    piece, paths = [], 0
    for route in routes:
        piece.append(route)
        paths += max(1, len(route.paths))
        if paths >= SLICE:
            break
    return piece


# ---- the socket


def _listen(path: Path) -> tuple[socket.socket, int]:
    """A listening socket at `path`, and the inode that tells its file from a successor's."""
    where = str(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone_in(path.parent):
            _make_room(path)
            return _bound(path), path.stat().st_ino
    except OSError as error:
        way_out = _WAYS_OUT.get(error.errno or 0, f"name another path with {KEY}")
        raise ServeError(KEY, where, reason(error), way_out) from error


_WAYS_OUT: Final = {
    errno.EACCES: "name a path in a folder that this user may write",
    errno.EROFS: "name a path in a folder that can be written",
}


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Two that start at once must not both find the path free: they look and bind one after the other."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _make_room(path: Path) -> None:
    """Remove a socket that nobody answers on any more."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ServeError(KEY, str(path), "a file that is no socket is there", "remove it, or name another path")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:  # bound once, by a process that is gone
            path.unlink()
            return
        except BlockingIOError:  # its queue is full: somebody is there
            pass
    way_out = f"stop that one, or name another path with {KEY}"
    raise ServeError(KEY, str(path), "another Onepeer answers there", way_out)


def _bound(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        # Before bind: Linux makes the file with the socket's own mode, so it is never open to others.
        os.fchmod(sock.fileno(), 0o600)
        sock.bind(str(path))
        sock.listen()
    except OSError:
        sock.close()
        raise
    return sock


def _remove(path: Path, inode: int) -> None:
    """Remove our socket file. One that a successor has put there meanwhile is not ours."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_ino == inode:
            path.unlink()
