"""How is a small HTTP server run beside the sessions? What control.py and http.py share.

A server is one `async with`: it listens before its body runs, and is gone, with its open requests, after it.

    ServeError      it cannot listen: the setting to change, why, and the way out. Logged already.
"""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from speaker.log import LogEvent
from speaker.serve.version import VERSION

log = structlog.get_logger()

CLOSING: Final = 0.5
"""Seconds that open requests have left when Onepeer stops, and again after they are cancelled."""

Refuse = Callable[[int, str], web.StreamResponse]
"""Makes the answer of an error: its HTTP status and a text for people."""


class ServeError(Exception):
    """An address or a socket cannot be had."""

    def __init__(self, key: str, address: str, why: str, way_out: str) -> None:
        super().__init__(f"{key}: cannot listen on {address}: {why}; {way_out}")
        log.error(LogEvent.LISTEN_FAILED, key=key, address=address, why=why, way_out=way_out)


def reason(error: OSError) -> str:
    """Why the system would not, in its own words and as part of a sentence."""
    return (error.strerror or str(error)).lower()


def tcp_socket(address: str, port: int) -> socket.socket:
    """A listening socket for HTTP. Raises ServeError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    where = f"[{address}]:{port}" if family == socket.AF_INET6 else f"{address}:{port}"
    try:
        return socket.create_server((address, port), family=family)
    except OSError as error:
        key, way_out = _WAYS_OUT.get(error.errno or 0, ("http", "choose another, or write `http: null`"))
        raise ServeError(key, where, _WHY.get(error.errno or 0) or reason(error), way_out) from error


_WHY: Final = {
    errno.EADDRINUSE: "another program has it",
    errno.EADDRNOTAVAIL: "this host has no such address",
    errno.EACCES: "ports below 1024 are for root",
}
_WAYS_OUT: Final = {
    errno.EADDRINUSE: ("http.port", "choose another port, or stop that program"),
    errno.EADDRNOTAVAIL: ("http.address", "use one that `ip address` shows, like 127.0.0.1"),
    errno.EACCES: ("http.port", "choose one from 1024 on"),
}


@asynccontextmanager
async def running(app: web.Application, sock: socket.socket) -> AsyncIterator[None]:
    """Serve `app` on a bound socket, which is closed in any case."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=CLOSING)
    try:
        await runner.setup()
        await web.SockSite(runner, sock).start()
        yield
    finally:
        # Shielded: app.py may be cancelled while it stops, and half a clean-up leaves tasks and sockets.
        await asyncio.shield(_close(runner, sock))


async def _close(runner: web.AppRunner, sock: socket.socket) -> None:
    await runner.cleanup()
    sock.close()


def answering_errors(refuse: Refuse) -> Middleware:
    """A middleware: errors look as `refuse` makes them, and a fault of ours is logged and is a 500."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = refuse(error.status, f"{error.reason}: {request.method} {request.path}")
        except Exception:  # a fault in an answer must not look like a silent server
            log.exception(LogEvent.REQUEST_FAILED, path=request.path)
            response = refuse(500, "Onepeer could not answer; its log says why (request_failed)")
        if not response.prepared:
            response.headers["Server"] = f"onepeer/{VERSION}"
        return response

    return middleware
