"""One whole Onepeer in the test's own event loop, on loopback addresses that hardly any other test has.

    router .1 ──┐
    router .2 ──┼── onepeer .10 ── leviathan1 .31, leviathan2 .32, ...        127.A.B.0/24
    stranger .99

Everything but its process is real: settings and roster files, TCP, the control socket, signals, the log.
"""

import asyncio
import contextlib
import io
import json
import os
import random
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from speaker.app import Speaker
from speaker.config import load
from speaker.report import Report
from speaker.serve.views import NodeView, RouterView, RouteView, StatusView
from tests.app.wire import ASN, FULL, Identity, RawRouter, Wire, call

T = TypeVar("T")

PORT = 1790
ROUTER_PORT = 1179
SOON = 5.0
"""Seconds to wait at most for what follows from a message; milliseconds are usual."""
LOOK = 0.004
"""Seconds between two looks at a condition."""

#: What the log may not have unless the test is about it: a fault of our own, or of a library's use.
FAULTS = ("library_said", "request_failed")


async def until(condition: Callable[[], T], why: str, deadline: float = SOON) -> T:
    """Wait until `condition` is true; its value. AssertionError after `deadline` seconds."""
    end = time.monotonic() + deadline
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {deadline:g} s: {why}"
        await asyncio.sleep(LOOK)
    return value


async def stays(condition: Callable[[], object], why: str, seconds: float) -> None:
    """Assert that `condition` is true at every look for so long: the opposite of `until`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), f"did not stay so for {seconds:g} s: {why}"
        await asyncio.sleep(LOOK)


class Stage:
    """The addresses, the files and the players of one test."""

    def __init__(self, stream: io.StringIO) -> None:
        self.net = f"127.{random.randrange(128, 192)}.{random.randrange(256)}"
        self.folder = Path(tempfile.mkdtemp(prefix="onepeer"))
        self.file = self.folder / "onepeer.yaml"
        self.settings: dict[str, Any] = {}
        self.roster: list[dict[str, Any]] = []
        self.stream = stream
        self.faults_expected = False
        self.speaker: Speaker | None = None
        self._task: asyncio.Task[int] | None = None
        self._wires: list[Wire] = []
        self._routers: list[RawRouter] = []

    def host(self, number: int) -> str:
        """An address of this stage."""
        return f"{self.net}.{number}"

    # --- Onepeer ---

    def prepare(self, *, count: int = 2, router: Mapping[str, Any] | None = None, **settings: Any) -> None:
        """Write files for one router and `count` nodes. `router` and `settings`: further keys."""
        self.settings = {
            "asn": ASN,
            "listen": {"addresses": [self.host(10)], "port": PORT},
            "routers": [{"address": self.host(1), "port": ROUTER_PORT, **(router or {})}],
            "guard": {"prefixes": ["192.168.30.0/24"]},
            "graceful_restart": {"wait": "0s"},
            "control": {"socket": "control.sock"},
            "http": None,
            "log": {"format": "json"},
            "state_dir": "state",
            **settings,
        }
        self.settings["nodes"] = {"file": "nodes.yaml", "hold_paths": "0s", **settings.get("nodes", {})}
        self.roster = [{"name": f"leviathan{i}", "addresses": [self.host(30 + i)]} for i in range(1, count + 1)]
        self.write()

    def write(self) -> None:
        """Write both files as they now are, each in one move. They are taken up by and by."""
        self.write_text("onepeer.yaml", yaml.safe_dump(self.settings, sort_keys=False))
        self.write_text("nodes.yaml", yaml.safe_dump({"nodes": self.roster}, sort_keys=False))

    def write_text(self, name: str, text: str) -> None:
        """One file of the folder, in one move; the same text leaves it alone."""
        path = self.folder / name
        if path.exists() and path.read_text() == text:
            return
        (self.folder / f"{name}.new").write_text(text)
        (self.folder / f"{name}.new").rename(path)

    async def start(self, **more: Any) -> None:
        """Write the files, run Onepeer, and return once it listens. `more` as for `prepare`."""
        if more or not self.settings:
            self.prepare(**more)
        self.write()
        self.speaker = Speaker(self.file, load(self.file))
        self._task = asyncio.get_running_loop().create_task(self.speaker.run())
        running, before = self._task, self.log().count("waiting_for_nodes")
        await until(lambda: running.done() or self.log().count("waiting_for_nodes") > before, "onepeer runs")

    async def ended(self) -> int:
        """Its exit status, once it has ended."""
        assert self._task is not None
        status = await asyncio.wait_for(self._task, SOON)
        self._task = None
        return status

    async def stop(self, signal_number: int = 15) -> int:
        """A signal to the process, and the exit status."""
        os.kill(os.getpid(), signal_number)
        return await self.ended()

    async def reload(self) -> None:
        """Write the files, and wait until they are taken up: by the watch of the files."""
        before = len(self.said("settings_reloaded"))
        self.write()
        await until(lambda: len(self.said("settings_reloaded")) > before, f"the settings are taken up\n{self.log()}")

    async def change_roster(self) -> dict[str, Any]:
        """Write the files, and wait until another roster is in force; what was said of it."""
        before = len(self.said("roster_changed"))
        self.write()
        await until(lambda: len(self.said("roster_changed")) > before, f"the roster is taken up\n{self.log()}")
        return self.said("roster_changed")[-1]

    # --- its neighbors ---

    async def router(
        self, number: int = 1, identity: Identity | None = None, *, receive_buffer: int | None = None
    ) -> RawRouter:
        """A router that waits for calls at `.number`; by itself it has every capability."""
        identity = identity or Identity(self.host(number), capabilities=FULL)
        router = RawRouter(self.host(number), ROUTER_PORT, identity)
        self._routers.append(router)
        return await router.listen(receive_buffer)

    async def silent_router(self) -> RawRouter:
        """A router that takes calls at `.1` and says nothing by itself."""
        router = RawRouter(self.host(1), ROUTER_PORT, None)
        self._routers.append(router)
        return await router.listen()

    async def call(
        self,
        number: int,
        identity: Identity | None = None,
        *,
        to: int = 10,
        id_size: int = 0,
        sock: socket.socket | None = None,
    ) -> Wire:
        """A call to Onepeer at `.to` from `.number`, which opens if it has an identity."""
        return self.keep(await call(self.host(number), self.host(to), PORT, identity, id_size=id_size, sock=sock))

    def keep(self, wire: Wire) -> Wire:
        """Drop it with the test."""
        self._wires.append(wire)
        return wire

    async def node(self, number: int, *prefixes: str, to: int = 10, **identity: Any) -> Wire:
        """leviathan`number` up, with these prefixes announced."""
        wire = await self.call(30 + number, Identity(self.host(30 + number), **identity), to=to)
        await until(lambda: wire.up, f"leviathan{number} is up\n{self.log()}")
        if prefixes:
            wire.announce(*prefixes, hop=self.host(30 + number))
        return wire

    # --- what can be seen ---

    def log(self) -> str:
        """Its whole log."""
        return self.stream.getvalue()

    def events(self) -> list[dict[str, Any]]:
        """Its log as objects."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def said(self, *names: str, **keys: Any) -> list[dict[str, Any]]:
        """Its log lines of these events, with these values."""
        wanted = keys.items()
        return [one for one in self.events() if one["event"] in names and wanted <= _plain(one).items()]

    def names(self) -> list[str]:
        """The names of the events so far, in order."""
        return [one["event"] for one in self.events()]

    def report(self) -> Report:
        """What the CLI is told."""
        assert self.speaker is not None
        return Report(self.speaker)

    def status(self) -> StatusView:
        return self.report().status()

    def node_view(self, number: int) -> NodeView:
        """leviathan`number` as `onepeer nodes` has it."""
        return next(one for one in self.report().nodes().nodes if one.name == f"leviathan{number}")

    def router_view(self) -> RouterView:
        """The first router as `onepeer status` has it."""
        return self.status().routers[0]

    def routes(self, prefix: str | None = None) -> dict[str, RouteView]:
        return {one.prefix: one for one in self.report().routes(prefix)}

    # --- the end ---

    async def close(self) -> None:
        """End everything, whatever the test has left."""
        for wire in self._wires:
            wire.drop()
        for router in self._routers:
            router.go()
        if self._task is not None and not self._task.done():
            assert self.speaker is not None
            self.speaker._asked_to_stop(15)  # a signal would end pytest if the loop did not take it
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._task, SOON)
        await asyncio.sleep(0)  # transports close in the next turn

    def clean(self) -> None:
        """Remove the files."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _plain(event: Mapping[str, Any]) -> dict[str, Any]:
    """What can be compared as a set of items."""
    return {key: value for key, value in event.items() if not isinstance(value, list | dict)}
