"""Which nodes are drained: by a person, or cordoned in the cluster where that is followed?"""

from collections.abc import Iterable, Mapping

import structlog

from speaker.cluster import Roster
from speaker.log import LogEvent
from speaker.peers.node import NodePeer
from speaker.reflector import Reflector


class Drains:
    """What a person asked for, by the name of the node: whether its last paths go, too."""

    def __init__(self, reflector: Reflector) -> None:
        self._reflector = reflector
        self._asked: dict[str, bool] = {}
        self._drained: frozenset[str] = frozenset()
        self._log = structlog.get_logger()

    @property
    def asked(self) -> Mapping[str, bool]:
        """By a person; to be kept over a restart."""
        return self._asked

    def __contains__(self, node: str) -> bool:
        return node in self._drained

    def set(self, node: str, force: bool | None) -> None:
        """A person has drained a node, or with None undrained it."""
        if force is None:
            self._asked.pop(node, None)
        else:
            self._asked[node] = force

    def apply(self, peers: Iterable[NodePeer], roster: Roster) -> None:
        """These are the peers and the roster now."""
        cordoned = {node.name for node in roster.nodes if node.cordoned}
        drained = frozenset(cordoned | (self._asked.keys() & roster.by_name.keys()))
        peers = list(peers)
        for peer in peers:
            name = peer.source.node
            self._reflector.drained.set(peer.source, self._asked.get(name, False) if name in drained else None)
        if drained:
            self._reflector.drained.settle()
        for name in sorted(drained - self._drained):
            sources = [peer.source for peer in peers if peer.source.node == name]
            kept = sum(len(self._reflector.drained.kept(source)) for source in sources)
            paths = sum(self._reflector.path_count(source) for source in sources) - kept
            self._log.info(LogEvent.NODE_DRAINED, node=name, paths=paths, kept=kept)
        for name in sorted(self._drained - drained):
            self._log.info(LogEvent.NODE_UNDRAINED, node=name)
        self._drained = drained
