"""Who are our neighbors now? The peers that roster and settings ask for, and the way between them and the reflector.

What stays the same is not touched: a peer is made anew only where something that it has told the other side, or the
kernel, has changed.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from speaker.bgp.events import Ended
from speaker.bgp.iana import CeaseSubcode
from speaker.bgp.peer import Connect
from speaker.cluster import Node, Roster
from speaker.config import Router
from speaker.log import LogEvent
from speaker.net.connection import Connection
from speaker.net.sockets import Address
from speaker.paths.base import ModeName
from speaker.paths.identifiers import path_ids
from speaker.peers.drains import Drains
from speaker.peers.held import HeldNodes
from speaker.peers.holding import Looks
from speaker.peers.kept_lanes import Held
from speaker.peers.neighbor import Env, Local, Neighbor, Target
from speaker.peers.node import NodeLimits, NodePeer
from speaker.peers.router import RouterOffer, RouterPeer
from speaker.peers.seldom import Seldom
from speaker.reflector import Reflector, Told
from speaker.rib.guard import Guard
from speaker.rib.source import Source
from speaker.serve.counters import Counters

#: Seconds between two lines of the log on the same stranger.
STRANGER_AGAIN = 60.0


#: Seconds since the last node came back after which the others are not waited for. MetalLB's native speaker dials again
#: 1, 2, 4 s after a short absence of ours.
CALM = 4.0

#: Of more changed paths than this at once it is assumed that more follow in the next loop turn.
FEW = 64

#: How long changes wait for more, seconds at most. And routers with few paths of each prefix are chosen for again only
#: after this many times what the last choice took, so that it is a tenth of our work however the nodes come.
PATIENCE, REST = 0.1, 9


@dataclass(slots=True)
class RosterChange:
    """Names of nodes, in order."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


class Peering:
    """All neighbors of one identity (`local`).

    told        hears of every change of paths
    answers     says whether a node answers on its link, None where nothing is known
    rests       routers are not spoken to until somebody starts their lanes
    """

    def __init__(
        self,
        local: Local,
        guard: Guard,
        counters: Counters,
        told: Told,
        answers: Callable[[str], bool | None],
        *,
        rests: bool = False,
    ) -> None:
        self._rests = rests
        self.reflector = Reflector(guard, told)
        self.roster = Roster()
        self.nodes: dict[Address, NodePeer] = {}
        self.routers: dict[str, list[RouterPeer]] = {}
        self.calm = False
        self.whole = False
        self.moved: Callable[[], None] = lambda: None
        """Called when a session began, ended or was refused."""
        self._answers = answers
        self.held = HeldNodes(self.reflector, self._looks, self._changed)
        self.drains = Drains(self.reflector, self._drain)
        self._env = Env(local, self.reflector, counters, self._changed, lambda: self.moved())
        self._loop = asyncio.get_running_loop()
        self._log = structlog.get_logger()
        self._settings: dict[str, Router] = {}
        self._remembered: dict[str, Held] = {}
        self._strangers = Seldom(STRANGER_AGAIN)
        self._flush_due = False
        self._rested_at = 0.0
        self._waiting_since = 0.0
        self._choice: asyncio.TimerHandle | None = None
        self._stopped = False

    # --- who they are ---

    def set_roster(self, roster: Roster, limits: NodeLimits) -> RosterChange:
        """These nodes may peer now."""
        change = _compare(self.roster, roster)
        self.roster = roster
        identifiers = path_ids(roster.by_address)
        for address, peer in list(self.nodes.items()):
            node = roster.by_address.get(address)
            if node is None:
                self._remove_node(address, CeaseSubcode.PEER_DECONFIGURED)
            elif not self._fits(peer, node, identifiers[address]):
                self._remove_node(address, CeaseSubcode.OTHER_CONFIGURATION_CHANGE)
        for address, node in roster.by_address.items():
            if address in self.nodes:
                self.nodes[address].set_password(node.password)
            else:
                source = self._source(node, address, identifiers[address])
                self.nodes[address] = NodePeer(self._env, source, limits, node.password, self._lost)
        self.set_limits(limits)
        self.drains.apply(self.nodes.values(), roster)
        self.held.look()
        return change

    def set_limits(self, limits: NodeLimits) -> None:
        """For all nodes: max_prefixes and holding from now on, hold_time from their next sessions on."""
        self.held.set_limits(limits.holding)
        for peer in self.nodes.values():
            peer.limits = limits

    def set_routers(self, routers: Sequence[Router], offer: Callable[[Router], RouterOffer]) -> None:
        """These routers are to be fed now. What only the next OPEN says is changed without a new session."""
        wanted = {router.name: router for router in routers}
        for name, router in list(self._settings.items()):
            if name not in wanted:
                self._remove_router(name, CeaseSubcode.PEER_DECONFIGURED)
            elif wanted[name] != router:
                self._remove_router(name, CeaseSubcode.OTHER_CONFIGURATION_CHANGE)
        for name, router in wanted.items():
            if name not in self.routers:
                self._add_router(router, offer(router))
            for lane in self.routers[name]:
                lane.set_offer(offer(router))

    def drain(self, node: str, force: bool | None) -> None:
        """The node is taken out on purpose, with its last paths if `force`; None = it is let back in."""
        self.drains.give(node, force)
        self._drain()

    def learn_drains(self, said: Mapping[str, Any]) -> None:
        """What another process or replica knows of drained nodes: see peers.orders."""
        if self.drains.learn(said):
            self._drain()

    def adopt_lanes(self, held: Mapping[str, Held]) -> None:
        """What routers hold over their lanes from before, by their names; to be known before they are configured."""
        self._remembered = dict(held)

    def lanes_held(self) -> dict[str, Held]:
        """What the routers that take few paths hold now, in the form of `adopt_lanes`."""
        found = {name: lanes[0].paths.held() for name, lanes in self.routers.items()}
        return {name: held for name, held in found.items() if any(held)}

    def set_guard(self, guard: Guard) -> None:
        """What nodes may announce has changed: everything is judged again."""
        for refusal in self.reflector.set_guard(guard):
            self._log.warning(
                LogEvent.PATHS_REFUSED,
                node=refusal.source.node,
                address=str(refusal.source.address),
                reason=refusal.reason,
                count=refusal.paths,
                example=refusal.example,
            )
        self._changed()

    def set_answers(self, node: str, answers: bool) -> None:
        """A node answers on its link again, or no more. Its sessions stay: TCP knows nothing of it yet."""
        for peer in self.nodes.values():
            if peer.source.node == node and peer.up is not None:
                peer.set_silent(silent=not answers)
        self.held.look()

    def passwords(self) -> dict[Address, bytes]:
        """The keys of all callers that must sign (RFC 2385)."""
        peers: list[Neighbor] = [*self.nodes.values(), *self.lanes()]
        return {peer.target.remote: peer.target.password for peer in peers if peer.target.password is not None}

    def ttl_security(self) -> dict[Address, int]:
        """How many hops away callers may be at most, where that is set (RFC 5082)."""
        return {lane.target.remote: lane.target.hops for lane in self.lanes() if lane.target.hops is not None}

    def lanes(self) -> Iterator[RouterPeer]:
        """Every session to every router, up or not."""
        for lanes in self.routers.values():
            yield from lanes

    # --- what happens ---

    def take_call(self, caller: Address, local: Address) -> Connection | None:
        """Somebody calls one of our addresses: a connection to take it with, or None."""
        if self._stopped:
            return None
        peer: Neighbor | None = self.nodes.get(caller)
        if peer is None:
            lanes = [lane for lane in self.lanes() if lane.target.remote == caller]
            peer = next((lane for lane in lanes if lane.target.local == local), lanes[0] if lanes else None)
        if peer is None:
            self._env.counters.connections_refused["stranger"] += 1
            if count := self._strangers.due(caller, self._loop.time()):
                self._log.warning(LogEvent.STRANGER_REFUSED, address=str(caller), count=count)
            return None
        return peer.take_call()

    def has_calmed(self) -> bool:
        """Whether some nodes are back and no other has come for a while."""
        now = self._loop.time()
        up = [peer for peer in self.nodes.values() if peer.up is not None]
        return any(peer.has_settled(now) for peer in up) and all(now - peer.up_at >= CALM for peer in up)

    def missing(self) -> list[str]:
        """Nodes none of whose sessions has said all it has."""
        now = self._loop.time()
        there = {peer.source.node for peer in self.nodes.values() if peer.has_settled(now)}
        return [node.name for node in self.roster.nodes if node.name not in there]

    def down(self) -> list[str]:
        """The addresses of all neighbors without a session."""
        peers = [*self.nodes.values(), *self.lanes()]
        return [str(peer.target.remote) for peer in peers if peer.up is None]

    def tell_calm(self) -> None:
        """The nodes that come back after a start are back: what was held for them goes out."""
        self.calm = True
        self.reflector.release()
        for lane in self.lanes():
            lane.pump()

    def tell_whole(self) -> None:
        """The tables hold all that the nodes have: End-of-RIB to every router."""
        self.calm = self.whole = True
        self.reflector.end_of_rib()
        for lane in self.lanes():
            lane.tell_whole()

    def stop(self, subcode: CeaseSubcode, text: str, *, gracefully: bool) -> list[str]:
        """End all sessions; says which routers go on forwarding. Routers first: what happens to nodes after that
        must not reach them."""
        self._stopped = True
        keep = [
            lane.name
            for lane in self.lanes()
            if gracefully and lane.negotiated is not None and lane.negotiated.graceful is not None
        ]
        for lane in self.lanes():
            lane.stop(subcode, text, gracefully=gracefully)
        for peer in self.nodes.values():
            peer.stop(subcode, text)
        self.held.stop()
        self.drains.stop()
        return list(dict.fromkeys(keep))

    # --- inside ---

    def _drain(self) -> None:
        self.drains.apply(self.nodes.values(), self.roster)
        self._changed()

    def _changed(self) -> None:
        """Many changes of one loop turn make one flush: call_soon runs after the readers of this turn."""
        if not self._flush_due and not self._stopped:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """What changed in this turn goes out; the choice for routers that take few paths may wait for more."""
        self._flush_due = False
        if self._stopped:
            return
        now = self._loop.time()
        if self._choice is None and now >= self._rested_at and self.reflector.change_count() <= FEW:
            self._choose()
            return
        self._bring(more=True)
        if self.reflector.waits():
            if self._choice is None:
                self._waiting_since = now
            else:
                self._choice.cancel()
            # A timer that is due runs after the readers of the next turn; if they bring more, it is set again.
            due = min(max(now, self._rested_at), self._waiting_since + PATIENCE)
            self._choice = self._loop.call_at(due, self._choose)

    def _choose(self) -> None:
        self._choice = None
        if not self._stopped:
            begun = self._loop.time()
            self._bring(more=False)
            now = self._loop.time()
            self._rested_at = now + REST * (now - begun)

    def _bring(self, *, more: bool) -> None:
        for name, error in self.reflector.flush(more=more).items():
            self._log.error(LogEvent.INTERNAL_FAULT, router=name, exc_info=error)
            for lane in self.routers[name]:
                lane.begin_anew()
        for lane in self.lanes():
            lane.pump()

    def _source(self, node: Node, address: Address, path_id: bytes) -> Source:
        asn = self._env.local.asn
        hops = frozenset(a.packed for a in node.addresses)
        return Source(node.name, address, path_id, node.asn, node.asn == asn, hops, node.weight)

    def _fits(self, peer: NodePeer, node: Node, path_id: bytes) -> bool:
        source = self._source(node, peer.source.address, path_id)
        same = ("node", "path_id", "asn", "next_hops", "weight")
        return all(getattr(peer.source, name) == getattr(source, name) for name in same)

    def _remove_node(self, address: Address, subcode: CeaseSubcode) -> None:
        peer = self.nodes.pop(address)
        peer.stop(subcode)
        self.held.removed(peer.source)

    def _lost(self, source: Source, ended: Ended) -> None:
        self.held.lost(source, ended, sum(peer.up is not None for peer in self.nodes.values()))

    def _looks(self, source: Source) -> Looks:
        peer, node = self.nodes[source.address], self.roster.by_name[source.node]
        settled = peer.has_said_all_again(self._loop.time())
        return Looks(peer.up is not None, settled, node.ready, self._answers(source.node))

    def _add_router(self, router: Router, offer: RouterOffer) -> None:
        mode = None if router.mode == "auto" else ModeName(router.mode)
        lanes_count, hold = len(router.local_addresses), not self.calm
        paths = self.reflector.add_router(router.name, lanes_count, mode, router.max_paths, hold=hold)
        held = self._remembered.pop(router.name, ())
        for number, next_hops in enumerate(held) if len(held) == lanes_count else ():
            paths.adopt(number, next_hops)
        self._settings[router.name] = router
        lanes = self.routers[router.name] = [
            RouterPeer(self._env, router.name, lane, _target(router, local), offer, paths)
            for lane, local in enumerate(router.local_addresses)
        ]
        for lane in lanes:
            if self.whole:
                lane.tell_whole()
            lane.rests = self._rests
            if not self._rests:
                lane.start()

    def _remove_router(self, name: str, subcode: CeaseSubcode) -> None:
        del self._settings[name]
        for lane in self.routers.pop(name):
            lane.stop(subcode)
        self.reflector.remove_router(name)


def _target(router: Router, local: Address) -> Target:
    return Target(
        remote=router.address,
        asn=router.asn,
        connect=Connect(router.connect),
        local=local,
        port=router.port,
        password=router.password,
        hops=router.ttl_security,
    )


def _compare(old: Roster, new: Roster) -> RosterChange:
    return RosterChange(
        added=sorted(new.by_name.keys() - old.by_name.keys()),
        removed=sorted(old.by_name.keys() - new.by_name.keys()),
        changed=sorted(n for n in old.by_name.keys() & new.by_name.keys() if not _peers_alike(old, new, n)),
    )


def _peers_alike(old: Roster, new: Roster, name: str) -> bool:
    """Whether a node is the same neighbor as before, ready or not."""
    return replace(old.by_name[name], ready=True) == replace(new.by_name[name], ready=True)
