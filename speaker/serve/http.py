"""Is it alive, is it ready, and how is it doing? HTTP for supervisors, Prometheus and people; nothing can be changed.

    GET /           the status page: page.py
    GET /healthz    200 while the loop runs and a restart would not help, else 503
    GET /readyz     200 once routers get all they should, else 503
    GET /metrics    metrics.py

The bodies of the two with a z are one word: the reason.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from speaker.log import LogEvent
from speaker.serve.metrics import Scrape, exposition
from speaker.serve.page import add_page
from speaker.serve.site import answering_errors, running, tcp_socket
from speaker.serve.source import Source

log = structlog.get_logger()


@asynccontextmanager
async def serve_http(source: Source, address: str, port: int) -> AsyncIterator[str]:
    """Answer at `address` and `port` (0: any free one) while the body runs; gives the URL. Raises ServeError."""
    sock = tcp_socket(address, port)
    port = sock.getsockname()[1]
    url = f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
    async with running(_app(source), sock):
        log.info(LogEvent.HTTP_LISTENING, url=url)
        yield url


def _app(source: Source) -> web.Application:
    async def metrics(request: web.Request) -> web.Response:
        ready, _ = source.ready()
        scrape = Scrape(source.status(), source.nodes(), source.audit(), source.counters().copy(), ready)
        # A thousand nodes are a hundred milliseconds of text: made beside the loop, out of values that never change.
        body, kind = await asyncio.to_thread(exposition, scrape, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": kind})

    app = web.Application(middlewares=[answering_errors(_refuse)])
    app.router.add_get("/healthz", _probe(source.alive))
    app.router.add_get("/readyz", _probe(source.ready))
    app.router.add_get("/metrics", metrics)
    add_page(app, source)
    return app


def _probe(ask: Callable[[], tuple[bool, str]]) -> Handler:
    async def probe(_: web.Request) -> web.Response:
        good, word = ask()
        return web.Response(text=f"{word}\n", status=200 if good else 503)

    return probe


def _refuse(status: int, text: str) -> web.Response:
    return web.Response(text=f"{text}\n", status=status)
