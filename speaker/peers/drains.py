"""Which nodes are drained: by a person, or cordoned in the cluster where that is followed?"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from speaker.cluster import Roster
from speaker.log import LogEvent
from speaker.peers.node import NodePeer
from speaker.peers.orders import Orders
from speaker.reflector import Reflector
from speaker.rib.drain import Drain

#: Seconds that a node's paths are the least preferred before they are withdrawn. A router chooses anew within a second;
#: RFC 4271 10 lets it wait 5 s before it tells routers of its AS, and one of them may have a path of its own to show.
LEAVING = 5.0


class Drains:
    """The nodes that are drained, and how far each is.

    orders      what people have asked for, here or at another replica
    again       is called when `apply` has to be, since a node's paths may be withdrawn now
    """

    def __init__(self, reflector: Reflector, again: Callable[[], None]) -> None:
        self._reflector = reflector
        self._again = again
        self.orders = Orders()
        self.ordered: Callable[[], None] = lambda: None
        """Called when there is a new word in `orders`."""
        self._drained: frozenset[str] = frozenset()
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._loop = asyncio.get_running_loop()
        self._log = structlog.get_logger()

    def __contains__(self, node: str) -> bool:
        return node in self._drained

    def leaving(self, node: str) -> bool:
        """Whether the node's paths are the least preferred, and not withdrawn yet."""
        return node in self._leaving

    def give(self, node: str, force: bool | None) -> None:
        """A person has drained a node, or with None undrained it. `apply` has to follow."""
        if self.orders.give(node, force, time.time()):
            self.ordered()

    def learn(self, said: Mapping[str, Any]) -> bool:
        """Somebody else knows these; whether `apply` has to follow. Raises as Orders.learn does."""
        news = self.orders.learn(said, time.time())
        if news:
            self.ordered()
        return news

    def apply(self, peers: Iterable[NodePeer], roster: Roster) -> None:
        """These are the peers and the roster now."""
        cordoned = {node.name for node in roster.nodes if node.cordoned}
        asked = self.orders.drained()
        drained = frozenset(cordoned | (asked.keys() & roster.by_name.keys()))
        peers = list(peers)
        for name in drained - self._drained:
            # One without paths, as all are at our start, was told to no router: nothing has to be left.
            if any(self._reflector.path_count(peer.source) for peer in peers if peer.source.node == name):
                self._leaving[name] = self._loop.call_later(LEAVING, self._left, name)
        for name in self._drained - drained:
            if name in self._leaving:
                self._leaving.pop(name).cancel()
        for peer in peers:
            name = peer.source.node
            drain = Drain(asked.get(name, False), self.leaving(name)) if name in drained else None
            self._reflector.drained.set(peer.source, drain)
        if drained:
            self._reflector.drained.settle()
        self._tell(peers, drained)
        self._drained = drained

    def stop(self) -> None:
        """Nothing happens any more."""
        for timer in self._leaving.values():
            timer.cancel()

    def _left(self, node: str) -> None:
        del self._leaving[node]
        self._again()

    def _tell(self, peers: list[NodePeer], drained: frozenset[str]) -> None:
        for name in sorted(drained - self._drained):
            sources = [peer.source for peer in peers if peer.source.node == name]
            kept = sum(len(self._reflector.drained.kept(source)) for source in sources)
            paths = sum(self._reflector.path_count(source) for source in sources) - kept
            self._log.info(LogEvent.NODE_DRAINED, node=name, paths=paths, kept=kept)
        for name in sorted(self._drained - drained):
            self._log.info(LogEvent.NODE_UNDRAINED, node=name)
