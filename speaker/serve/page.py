"""What does a person with a browser see? The status page: four files, and the one answer that they show.

    GET /, /page.css, /page.js, /icon.svg     static/, as they are
    GET /v1/overview[?find=TEXT][&rows=COUNT][&columns=COUNT]     OverviewView

It is live by asking again every two seconds with the ETag of the last answer, and not by a stream of events: the answer
is 304 and empty while nothing has changed, an Onepeer that hangs or is gone is seen by the same request, nothing is
held for viewers that are not there, and any proxy (`kubectl port-forward`) lets it through. However many look, an
answer is made once a second for all who ask for the same.

The page loads nothing from elsewhere, has no script or style in its text, sends nothing, and may not be framed:
`POLICY` has browsers hold it to that. All its addresses are relative, so it works below any path.
"""

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import ValidationError

from speaker.serve.source import Source
from speaker.serve.views import OverviewQuery

STATIC: Final = Path(__file__).parent / "static"

FILES: Final = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

FRESH: Final = 1.0
"""Seconds that an answer is good for: 1000 nodes with 1000 services take 40 ms."""

MOST: Final = 16
"""Answers kept. Each is bounded by OverviewQuery."""


def add_page(app: web.Application, source: Source) -> None:
    """Serve it."""
    answers = _Answers(source)

    async def overview(request: web.Request) -> web.Response:
        try:
            query = OverviewQuery.model_validate(dict(request.query))
        except ValidationError:
            return web.Response(status=400, text="find is text, rows and columns are 1 to 1000\n", headers=HEADERS)
        return _respond(request, await answers.get(query), "application/json")

    for path, (name, kind) in FILES.items():
        app.router.add_get(path, _file(_Answer((STATIC / name).read_bytes()), kind))
    app.router.add_get("/v1/overview", overview)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A body, and since when by the monotonic clock."""

    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def tag(self) -> str:
        return hashlib.blake2b(self.body, digest_size=12).hexdigest()


class _Answers:
    """The last answers, by what was asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._made: dict[OverviewQuery, _Answer] = {}
        self._making = asyncio.Lock()

    async def get(self, query: OverviewQuery) -> _Answer:
        """A fresh one, made once for all who wait for it."""
        async with self._making:
            found = self._made.pop(query, None)
            if found is None or time.monotonic() - found.at > FRESH:
                found = _Answer((await self._source.overview(query)).model_dump_json().encode())
            self._made[query] = found
            if len(self._made) > MOST:
                del self._made[next(iter(self._made))]
            return found


def _file(answer: _Answer, kind: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return _respond(request, answer, kind)

    return handler


def _respond(request: web.Request, answer: _Answer, kind: str) -> web.Response:
    tag = answer.tag
    if request.if_none_match and any(known.value == tag for known in request.if_none_match):
        response = web.Response(status=304, headers=HEADERS)
    else:
        response = web.Response(body=answer.body, content_type=kind, charset="utf-8", headers=HEADERS)
    response.etag = tag
    return response
