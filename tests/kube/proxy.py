"""A proxy before the API server that can be told to misbehave: real TLS, real HTTP, wrong content."""

import asyncio
import contextlib
import ssl
from enum import Enum, auto

import aiohttp
from aiohttp import web

from tests.kube.apiserver import ApiServer


class Fault(Enum):
    NONE = auto()
    GARBAGE = auto()  # watches answer 200 and a line that is no event
    HTML = auto()  # everything answers 200 and a page of a captive portal
    CUT = auto()  # watches break in the middle of a line
    CLOSE = auto()  # watches end at once
    ERROR = auto()  # everything answers 500
    BUSY = auto()  # everything answers 429
    GONE = auto()  # watches answer 200 and the line of a 410
    SILENT = auto()  # everything is accepted, nothing is answered
    SLOW = auto()  # listings come at 2 KB a second


class Proxy:
    """`async with Proxy(server) as proxy`: at `proxy.port`. What was asked is in `asked`, watches as `watch`."""

    def __init__(self, server: ApiServer) -> None:
        self.fault = Fault.NONE
        self.asked: list[str] = []
        self.port = 0
        self._server = server
        self._open: set[asyncio.Task[object]] = set()
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Proxy":
        trusted = ssl.create_default_context(cafile=str(self._server.certificate))
        connector = aiohttp.TCPConnector(ssl=trusted, limit=0)
        self._session = await self._stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        own.load_cert_chain(self._server.certificate, self._server.folder / "api.key")
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=own)
        await site.start()
        self.port = runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.drop()
        await self._stack.aclose()

    def set(self, fault: Fault) -> None:
        """From now on, and for what is open already."""
        self.fault = fault
        self.drop()

    def drop(self) -> None:
        """Break everything that is open."""
        for task in self._open:
            task.cancel()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        watch = "watch" in request.query
        self.asked.append("watch" if watch else request.method)
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            return await self._faulty(request, watch)
        finally:
            self._open.discard(task)

    async def _faulty(self, request: web.Request, watch: bool) -> web.StreamResponse:
        match self.fault:
            case Fault.SILENT:
                await asyncio.sleep(3600)
            case Fault.ERROR:
                return web.Response(status=500, text="etcdserver: no leader")
            case Fault.BUSY:
                return web.json_response({"message": "storage is (re)initializing", "code": 429}, status=429)
            case Fault.HTML:
                return web.Response(text="<html>Please log in</html>", content_type="text/html")
        if watch and self.fault is not Fault.NONE and self.fault is not Fault.SLOW:
            return await self._broken_watch(request)
        return await self._pass_on(request)

    async def _broken_watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        gone = b'{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old resource version"}}\n'
        lines = {Fault.GARBAGE: b"this is no event\n", Fault.CUT: b'{"type":"ADDED","obj', Fault.GONE: gone}
        if self.fault in lines:
            await response.write(lines[self.fault])
        if self.fault is Fault.CUT:
            assert request.transport is not None
            request.transport.close()
        return response

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        headers = {key: value for key, value in request.headers.items() if key in ("Authorization", "Content-Type")}
        url = f"https://127.0.0.1:{self._server.port}{request.path_qs}"
        async with self._session.request(request.method, url, headers=headers, data=await request.read()) as answer:
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            await response.prepare(request)
            async for part in answer.content.iter_any():
                if self.fault is Fault.SLOW:
                    for at in range(0, len(part), 200):
                        await response.write(part[at : at + 200])
                        await asyncio.sleep(0.1)
                else:
                    await response.write(part)
            return response
