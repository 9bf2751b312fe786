"""Which nodes of the roster still answer on the link? Keeps the probes at work, whatever roster and settings come.

A node is silent when one of its addresses has fallen silent and none answers. Without the right to open packet sockets
there are no probes; that is said once. Of a node that ARP knows nothing of, BFD is asked (bfd.py): ARP asks the node's
kernel, BFD its speaker, and a node forwards without a speaker.
"""

import asyncio
import contextlib
from collections.abc import Callable
from ipaddress import IPv4Address

import structlog

from speaker.cluster import Roster
from speaker.host.probes import Probes
from speaker.log import LogEvent
from speaker.net.sockets import reason


class Reach:
    """The probes of one Onepeer.

    told        is called with a node's name and whether it answers, when that changes
    bfd         what BFD knows of a node, None where nothing
    """

    def __init__(self, told: Callable[[str, bool], None], bfd: Callable[[str], bool | None]) -> None:
        self._told, self._bfd = told, bfd
        self._interval = 0.0
        self._roster = Roster()
        self._silent: set[str] = set()
        self._probes: Probes | None = None
        self._task: asyncio.Task[None] | None = None
        self._log = structlog.get_logger()

    def watch(self, roster: Roster) -> None:
        """These nodes from now on."""
        self._roster = roster
        self._silent &= roster.by_name.keys()
        if self._probes is not None:
            self._probes.watch(_ipv4(roster))

    def set_interval(self, interval: float) -> None:
        """Seconds between two rounds from now on; 0 = none, and nothing is known of any node."""
        if interval == self._interval:
            return
        self._interval = interval
        self._stop()
        if interval:
            self._probes = Probes(interval, self._heard)
            self._probes.watch(_ipv4(self._roster))
            self._task = asyncio.get_running_loop().create_task(self._run(self._probes))

    def answers(self, name: str) -> bool | None:
        """Whether the node answers; None where nothing is known."""
        node = self._roster.by_name.get(name)
        if node is None:
            return None
        known: set[bool | None] = set()
        if self._probes is not None:
            known = {self._probes.pulse.alive(a) for a in node.addresses if isinstance(a, IPv4Address)}
        return True if True in known else False if False in known else self._bfd(name)

    def look(self, name: str) -> None:
        """Something is known anew of this node."""
        silent = self.answers(name) is False
        if silent is not (name in self._silent):
            (self._silent.add if silent else self._silent.discard)(name)
            self._told(name, not silent)

    async def close(self) -> None:
        """No more probes."""
        task = self._task
        self._stop()
        if task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    # --- inside ---

    def _heard(self, address: IPv4Address, _: bool) -> None:
        node = self._roster.by_address.get(address)
        if node is not None:
            self.look(node.name)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = self._probes = None
        for name in list(self._silent):
            self.look(name)

    async def _run(self, probes: Probes) -> None:
        try:
            await probes.run()
        except OSError as error:
            way_out = "give it CAP_NET_RAW, or set nodes.probe to 0s"
            self._log.warning(LogEvent.PROBES_OFF, why=reason(error), way_out=way_out)
            if self._probes is probes:
                self._probes = None


def _ipv4(roster: Roster) -> list[IPv4Address]:
    return [address for address in roster.by_address if isinstance(address, IPv4Address)]
