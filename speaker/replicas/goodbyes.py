"""Which connections must not be ended by the death of our process? Those that another replica could go on with.

See speaker.net.quiet. Each change waits some milliseconds for the kernel, and is made beside the sessions.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from ipaddress import ip_address

from speaker.net.quiet import keep_quiet, speak_again
from speaker.net.sockets import Address
from speaker.peers.router import RouterPeer

Ends = tuple[tuple[Address, int], tuple[Address, int]]
"""Of a connection: ours and the router's."""


class Goodbyes:
    """Those of one router's lanes. `trouble` is told why they cannot be kept back."""

    def __init__(self, trouble: Callable[[str], None]) -> None:
        self._trouble = trouble
        self._kept: dict[int, Ends] = {}
        self._clean = False

    async def clean(self, addresses: Iterable[Address]) -> None:
        """Once: what a process before us kept back is ours to say."""
        if not self._clean:
            self._clean = True
            for address in addresses:
                with suppress(OSError):  # without nf_tables nothing was kept
                    await asyncio.to_thread(speak_again, address)

    async def keep(self, lanes: Sequence[RouterPeer]) -> None:
        """Back, of the sessions of these lanes and no others."""
        wanted = {lane.lane: ends for lane in lanes if (ends := _ends(lane)) is not None}
        try:
            for number in [n for n, ends in self._kept.items() if wanted.get(n) != ends]:
                await asyncio.to_thread(speak_again, self._kept.pop(number)[0][0])
            for number in wanted.keys() - self._kept.keys():
                await asyncio.to_thread(keep_quiet, *wanted[number])
                self._kept[number] = wanted[number]
        except OSError as error:
            self._trouble(f"a process that is killed would end its sessions: nf_tables: {error}")


def _ends(lane: RouterPeer) -> Ends | None:
    if lane.up is None or lane.up.local is None or lane.up.remote is None:
        return None
    local, remote = lane.up.local, lane.up.remote
    return (ip_address(local[0]), local[1]), (ip_address(remote[0]), remote[1])
