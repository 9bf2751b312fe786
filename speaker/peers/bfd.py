"""What do the nodes' speakers say by BFD? Keeps it at work, whatever roster and settings come.

A node is gone when its session was Up and falls silent while its BGP session is up: a speaker that ends, and its BFD
with it, closes TCP before. What the node's end says (Down, AdminDown) is no word on the node, which is there to say it
(RFC 5882 3.2, 4.2). It is back with the next BFD packet, or with its next BGP session.
"""

import asyncio
from collections.abc import Callable

import structlog

from speaker.bfd.packet import Discard, State
from speaker.bfd.sessions import Change
from speaker.cluster import Roster
from speaker.config import Settings
from speaker.host.bfd import PORT, Bfd
from speaker.log import LogEvent
from speaker.net.sockets import Address, reason
from speaker.serve.counters import Counters

_WAY_OUT = "run Onepeer on a host without FRR's bfdd, which takes the port on all addresses, or remove nodes.bfd"


class BfdWatch:
    """BFD of one Onepeer.

    up_at       when the BGP session from this address of a node came up, by any clock; None while there is none
    told        is called with a node's name when something is known anew of it
    """

    def __init__(
        self, up_at: Callable[[Address], float | None], told: Callable[[str], None], counters: Counters
    ) -> None:
        self._up_at, self._told, self._counters = up_at, told, counters
        self._roster: Roster | None = None
        self._local: tuple[Address, ...] = ()
        self._receive: float | None = None
        self._gone: dict[Address, float] = {}  # and the BGP session that was up then
        self._bfd: Bfd | None = None
        self._task: asyncio.Task[None] | None = None
        self.problem: str | None = None
        """Why there is none, where it is wanted."""
        self._log = structlog.get_logger()

    def set(self, settings: Settings) -> None:
        """As these settings have it, from now on."""
        wanted, before = settings.nodes.bfd, (self._local, self._receive is None)
        self._local = settings.listen.addresses
        self._receive = None if wanted is None else wanted.receive_interval
        if self._bfd is not None and self._receive is not None:
            self._bfd.set_receive(self._receive)
        if before != (self._local, self._receive is None):
            self.close()
            self.problem = None
            self._arrange()

    def watch(self, roster: Roster) -> None:
        """These nodes from now on."""
        self._roster = roster
        self._gone = {address: up_at for address, up_at in self._gone.items() if address in roster.by_address}
        self._arrange()

    def answers(self, name: str) -> bool | None:
        """Whether the node is there, as far as BFD knows."""
        node = None if self._roster is None else self._roster.by_name.get(name)
        addresses = () if node is None else node.addresses
        if any(self.state(address) is State.UP for address in addresses):
            return True
        return False if any(address in self._gone for address in addresses) else None

    def state(self, address: Address) -> State | None:
        """Of the session with this address of a node; None where it has said nothing."""
        return None if self._bfd is None else self._bfd.state(address)

    def moved(self) -> None:
        """A BGP session of somebody's came or went."""
        for address, up_at in list(self._gone.items()):
            if self._up_at(address) not in (None, up_at):
                self._back(address)

    def close(self) -> None:
        """No more BFD."""
        if self._task is not None:
            self._task.cancel()
        if self._bfd is not None:
            self._bfd.close()
        self._task = self._bfd = None
        for address in list(self._gone):
            self._back(address)

    # --- inside ---

    def _arrange(self) -> None:
        """BFD where it is wanted and possible. A host that is a node itself leaves the port to its own speaker: bfdd
        takes it on all addresses, and aborts where it cannot (FRR 8.4.4, measured)."""
        roster, receive = self._roster, self._receive
        if roster is None or receive is None:
            return
        own = next((roster.by_address[address].name for address in self._local if address in roster.by_address), None)
        if own is not None:
            self.close()
            self._off(f"this host is the node {own} itself, whose speaker needs UDP port {PORT}")
        elif self._bfd is None:
            self._begin(receive)
        if self._bfd is not None:
            self._bfd.watch(roster.by_address)

    def _begin(self, receive: float) -> None:
        try:
            self._bfd = Bfd(self._local, receive, self._changed, self._discarded)
        except OSError as error:
            self._off(f"UDP port {PORT}: {reason(error)}")
            return
        self.problem = None
        self._task = asyncio.get_running_loop().create_task(self._bfd.run())

    def _off(self, why: str) -> None:
        if why != self.problem:
            self.problem = why
            self._log.warning(LogEvent.BFD_OFF, why=why, way_out=_WAY_OUT)

    def _changed(self, change: Change) -> None:
        address, diagnostic = change.ends[1], str(change.diagnostic)
        node = self._node(address)
        log = self._log.bind(node=node, address=str(address))
        if change.state is State.UP:
            log.info(LogEvent.BFD_UP)
        elif change.before is State.UP:
            log.warning(LogEvent.BFD_DOWN, diag=diagnostic)
            self._counters.bfd_downs[diagnostic] += 1
        if not change.gone:
            self._back(address)
        elif (up_at := self._up_at(address)) is not None:
            self._gone[address] = up_at
            self._told(node)

    def _back(self, address: Address) -> None:
        if self._gone.pop(address, None) is not None:
            self._told(self._node(address))

    def _node(self, address: Address) -> str:
        assert self._roster is not None
        return self._roster.by_address[address].name

    def _discarded(self, why: Discard) -> None:
        self._counters.bfd_discarded[str(why)] += 1
