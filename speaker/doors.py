"""What do others reach us by? Listening addresses, the control socket and the metrics server, as the settings want.

A move to changed settings is whole or not at all: where one door cannot be had, the old ones are served again.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Final

import structlog

from speaker.config import Settings
from speaker.log import LogEvent
from speaker.net.listener import Listener, Taker
from speaker.net.sockets import Address, SocketError
from speaker.peers.neighbor import endpoint
from speaker.serve.control import serve_control
from speaker.serve.http import serve_http
from speaker.serve.site import ServeError
from speaker.serve.source import Source

#: Seconds that callers wait for the first roster at most. MetalLB's native speaker waits 10 s for our OPEN.
FIRST_ROSTER: Final = 5.0

_Place = tuple[Address, int]


class Doors:
    """All of them. `take` judges callers, `source` answers questions."""

    def __init__(self, take: Taker, source: Source) -> None:
        self._take = take
        self._source = source
        self._log = structlog.get_logger()
        self._listeners: dict[_Place, Listener] = {}
        self._servers: dict[str, AsyncExitStack] = {}
        self._answering = False

    @property
    def listening(self) -> list[str]:
        """Addresses with ports."""
        return [endpoint((str(address), port)) or "" for address, port in self._listeners]

    async def open(self, settings: Settings) -> None:
        """Opens all. Raises SocketError or ServeError, and then none is open."""
        try:
            self._say_listening(self._listen(settings))
            await self._serve("control", settings)
            await self._serve("http", settings)
        except (SocketError, ServeError):
            await self.close()
            raise
        asyncio.get_running_loop().call_later(FIRST_ROSTER, self.answer)

    def answer(self) -> None:
        """The roster is there, or is not to be waited for any longer: callers can be told from strangers."""
        if not self._answering:
            self._answering = True
            for listener in self._listeners.values():
                listener.answer()

    def arm(self, passwords: Mapping[Address, bytes], hops: Mapping[Address, int]) -> None:
        """Tells the kernel which callers must sign, and which must be near."""
        for listener in self._listeners.values():
            try:
                listener.set_passwords(passwords)
                listener.set_ttl_security(hops)
            except SocketError as error:
                self._failed("password_file", str(listener.address), error)

    async def move(self, old: Settings, new: Settings) -> None:
        """From the old settings to the new. Raises SocketError or ServeError, and then the old ones are served."""
        opened = self._listen(new)
        moved = []
        try:
            for key in ("control", "http"):
                if getattr(old, key) != getattr(new, key):
                    moved.append(key)
                    await self._serve(key, new)
        except ServeError:
            self._listen_no_more(opened)
            for key in moved:
                with suppress(ServeError):  # somebody has taken it meanwhile, which the log tells
                    await self._serve(key, old)
            raise
        self._listen_no_more(self._listeners.keys() - _wanted(new))
        self._say_listening(opened)

    async def close(self) -> None:
        """Closes all. Sessions stay."""
        self._listen_no_more(self._listeners)
        for server in self._servers.values():
            await server.aclose()

    def _listen(self, settings: Settings) -> dict[_Place, Listener]:
        """Listens on these addresses too; those that were opened for it. Raises SocketError, and then none is."""
        opened: dict[_Place, Listener] = {}
        try:
            for address, port in sorted(_wanted(settings) - self._listeners.keys(), key=str):
                opened[address, port] = Listener(address, port, self._take, self._trouble)
                if self._answering:
                    opened[address, port].answer()
        except SocketError as error:
            for listener in opened.values():
                listener.close()
            self._failed("listen", f"{address} port {port}", error)
            raise
        self._listeners.update(opened)
        return opened

    def _listen_no_more(self, places: Iterable[_Place]) -> None:
        for place in list(places):
            self._listeners.pop(place).close()

    def _say_listening(self, places: Iterable[_Place]) -> None:
        for address, port in places:
            self._log.info(LogEvent.LISTENING, address=f"{address} port {port}")

    def _failed(self, key: str, address: str, error: SocketError) -> None:
        self._log.error(LogEvent.LISTEN_FAILED, key=key, address=address, why=error.why, way_out=error.way_out)

    def _trouble(self, what: str) -> None:
        way_out = "raise the limit of open files"
        self._log.error(LogEvent.LISTEN_FAILED, key="listen", address="", why=what, way_out=way_out)

    async def _serve(self, key: str, settings: Settings) -> None:
        """Opens one of the servers anew. Raises ServeError, and then there is none."""
        if key in self._servers:
            await self._servers.pop(key).aclose()
        stack = AsyncExitStack()
        if key == "control":
            await stack.enter_async_context(serve_control(self._source, settings.control.socket))
        elif settings.http is not None:
            await stack.enter_async_context(serve_http(self._source, str(settings.http.address), settings.http.port))
        self._servers[key] = stack


def _wanted(settings: Settings) -> set[_Place]:
    """Where these settings want us to listen."""
    return {(address, settings.listen.port) for address in settings.listen.addresses}
