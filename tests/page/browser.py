"""A real Chromium on a host of the lab, driven by the DevTools protocol: what a person with a browser would see."""

import asyncio
import base64
import itertools
import json
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp

from tests.lab import Host, wait_until

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # the tests are root in a namespace of their own
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-port=0",
)
URL = "http://127.0.0.1:9790/"
WIDE, HIGH = 1100, 760
SOON = 30.0
"""Seconds that a browser may take on a busy machine."""


class Browser:
    """One page of one browser."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._folder = host.folder / "chromium"
        self._folder.mkdir(exist_ok=True)
        self.errors: list[str] = []
        """What the page's console and its policy complained about."""
        self._numbers = itertools.count(1)
        self._socket: aiohttp.ClientWebSocketResponse

    def start(self) -> None:
        """Launch it."""
        command = ("chromium", *FLAGS, f"--user-data-dir={self._folder}", "about:blank")
        self._host.start(*command, log="chromium.log", env={"HOME": str(self._folder)})
        wait_until((self._folder / "DevToolsActivePort").exists, SOON, "chromium runs")

    @property
    def port(self) -> int:
        """Where it is driven from."""
        return int((self._folder / "DevToolsActivePort").read_text().split()[0])

    async def open(self, session: aiohttp.ClientSession, url: str, width: int, height: int) -> None:
        """Show this page in a window of this size."""
        async with session.get(f"http://127.0.0.1:{self.port}/json") as answer:
            pages = [one for one in await answer.json() if one["type"] == "page"]
        self._socket = await session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=64 << 20)
        await self.call("Log.clear")  # it would tell again what an earlier page was told
        self.errors.clear()
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.resize(width, height)
        await self.call("Page.navigate", url=url)

    def look(self, story: Callable[["Browser"], Coroutine[None, None, None]]) -> None:
        """Run a story with Onepeer's page open; what the console complained about by its end fails."""

        async def body() -> None:
            async with aiohttp.ClientSession() as session:
                await self.open(session, URL, WIDE, HIGH)
                await self.until("document.getElementById('health').textContent !== 'asking'", "the page has an answer")
                await story(self)
                assert self.errors == []

        self._host.inside(asyncio.run, body())

    async def resize(self, width: int, height: int) -> None:
        """As a phone or a screen would have it."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    async def call(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol; what is said in between is kept where it is an error."""
        number = next(self._numbers)
        await self._socket.send_str(json.dumps({"id": number, "method": method, "params": parameters}))
        async with asyncio.timeout(SOON):
            while True:
                said = json.loads((await self._socket.receive()).data)
                if said.get("id") == number:
                    assert "error" not in said, said
                    return said["result"]
                self._note(said)

    def _note(self, said: dict[str, Any]) -> None:
        if said["method"] == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
            self.errors.append(said["params"]["entry"]["text"])
        if said["method"] == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(said["params"]["exceptionDetails"]))

    async def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        done = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return done["result"].get("value")

    async def until(self, expression: str, why: str) -> None:
        """Waits until it is true."""
        end = time.monotonic() + SOON
        while not await self.ask(expression):
            assert time.monotonic() < end, f"{why}: {await self.ask('document.body.innerText')}"
            await asyncio.sleep(0.05)

    async def picture(self) -> bytes:
        """A PNG of what is seen."""
        shot = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])
