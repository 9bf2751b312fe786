"""What did the routers hold over their lanes when we ended? Kept in `state_dir`, so that a restart moves no next hop.

Only routers that take few paths need it (lanes, spread): with ADD-PATH a path is named by its identifier. It is used
where the router has as many lanes as then, and as long as it may have kept our routes (RFC 4724); later they would only
make the nodes' shares uneven. A next hop that nobody announces any more seats nobody.
"""

import asyncio
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from speaker import state
from speaker.bgp import nlri
from speaker.bgp.iana import Family
from speaker.log import LogEvent
from speaker.net.sockets import reason

FILE = "lanes.json"
VERSION = 1

#: Seconds between two looks at whether anything has changed.
EVERY = 5.0

Held = Sequence[Mapping[Family, Mapping[bytes, bytes]]]
"""For each lane of a router the next hops by prefix of each family, as RouterPaths.held gives it."""

_FAMILIES = {str(family): family for family in Family}


class KeptLanes:
    """The file.

    restart_time    for so many seconds routers keep our routes (RFC 4724)
    held            gives what each router holds now, by its name
    """

    def __init__(self, state_dir: Path, restart_time: float, held: Callable[[], dict[str, Held]]) -> None:
        self._path = state_dir / FILE
        self._restart_time = restart_time
        self._held = held
        self._saved: dict[str, Held] = {}
        self._failed = False

    def load(self) -> dict[str, Held]:
        """What was kept, by the name of the router."""
        age = state.age(self._path)
        fresh = age is not None and age < self._restart_time + EVERY
        return _read(state.read(self._path)) if fresh else {}

    async def run(self) -> None:
        """Keeps it, for ever."""
        while True:
            await asyncio.sleep(EVERY)
            if held := self._changed():
                await asyncio.to_thread(self._write, held)
            elif self._saved and not self._failed:
                state.refresh(self._path)

    def save(self) -> None:
        """Now: we end."""
        if held := self._changed():
            self._write(held)

    def _changed(self) -> dict[str, Held]:
        """What is held, where that is not what was kept last; nothing while the routers are away, whose return may
        need what was."""
        held = self._held()
        if held == self._saved:
            return {}
        self._saved = held
        return held

    def _write(self, held: dict[str, Held]) -> None:
        try:
            state.write(self._path, {"version": VERSION, "routers": {name: _text(of) for name, of in held.items()}})
            self._failed = False
        except OSError as error:
            if not self._failed:
                structlog.get_logger().warning(LogEvent.STATE_UNSAVED, folder=str(self._path.parent), why=reason(error))
            self._failed = True


def _text(held: Held) -> list[dict[str, dict[str, str]]]:
    return [
        {
            str(family): {nlri.text(p, family): str(ipaddress.ip_address(hop)) for p, hop in next_hops.items()}
            for family, next_hops in lane.items()
        }
        for lane in held
    ]


def _read(body: Any) -> dict[str, Held]:
    try:
        if body["version"] != VERSION:
            return {}
        return {
            str(name): [{_FAMILIES[family]: _next_hops(hops) for family, hops in lane.items()} for lane in lanes]
            for name, lanes in body["routers"].items()
        }
    except (TypeError, KeyError, ValueError, AttributeError):
        return {}


def _next_hops(hops: Mapping[str, str]) -> dict[bytes, bytes]:
    return {
        nlri.from_network(ipaddress.ip_network(prefix)): ipaddress.ip_address(hop).packed
        for prefix, hop in hops.items()
    }
