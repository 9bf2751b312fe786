"""Why does a node not announce? What the sessions, the link and the cluster say of it, as one reason.

The first that is known stands: what was done on purpose, then whether the host is there at all, then its session, then
its speaker, then how far its calls came.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Mapping

from speaker.audit.calling import Calling, Keys, why_unanswered
from speaker.audit.compare import NodeState
from speaker.audit.reasons import Reason
from speaker.bgp.events import Cause
from speaker.cluster import Node
from speaker.cluster.kube.bgppeers import PeerFacts
from speaker.cluster.kube.landscape import Landscape
from speaker.cluster.kube.nodes import NodeFacts
from speaker.cluster.kube.services import FRR_K8S, SPEAKER, SpeakerFacts
from speaker.config import Settings
from speaker.net.calls import Calls
from speaker.peers.node import NodePeer
from speaker.peers.peering import Peering
from speaker.settings_selector import SelectorError, selector_of

#: Seconds for which a dropped signature explains why a node with a password does not come.
MD5_RECENT = 60.0

#: What whoever has forgotten our port dials.
BGP_PORT = 179


class Whereabouts:
    """Of the nodes of one Onepeer.

    answers     whether a node answers on its link; None where nothing is known
    """

    def __init__(self, answers: Callable[[str], bool | None]) -> None:
        self._answers = answers
        self._md5_at: float | None = None
        self._calling = Calling()
        self._calls: Calls | None = None
        self._port = 0

    def close(self) -> None:
        """Look no more."""
        if self._calls is not None:
            self._calls.close()
        self._calls = None

    def signature_dropped(self) -> None:
        """The kernel has dropped a call for its TCP MD5 signature."""
        self._md5_at = time.monotonic()

    def states(self, peering: Peering, land: Landscape | None, settings: Settings | None) -> Mapping[str, NodeState]:
        """Of each node of the roster."""
        ends = ends_of(settings) if settings is not None else set()
        if settings is not None:
            self._listen(settings.listen.port)
        self._hear(peering, ends)
        found = {}
        for node in peering.roster.nodes:
            peers = peers_of(peering, node.name)
            paths = sum(peering.reflector.path_count(peer.source) for peer in peers)
            found[node.name] = NodeState(*self._why(node, peers, peering, land, ends), paths)
        return self._with_signatures(found)

    def _listen(self, port: int) -> None:
        """See who calls, where packet sockets are to be had."""
        if port == self._port:
            return
        self.close()
        self._port = port
        with contextlib.suppress(OSError):  # without CAP_NET_RAW less is known; the probes have said so
            self._calls = Calls({port, BGP_PORT})

    def _hear(self, peering: Peering, ends: set[tuple[str, int]]) -> None:
        ours = {address for address, _ in ends}
        for call in self._calls.read() if self._calls is not None else ():
            if str(call.to) in ours and call.caller in peering.nodes:
                self._calling.hear(call)
        self._calling.keep(peering.nodes.keys())

    def _why(
        self,
        node: Node,
        peers: Collection[NodePeer],
        peering: Peering,
        land: Landscape | None,
        ends: set[tuple[str, int]],
    ) -> tuple[Reason | None, str]:
        if node.name in peering.drains:
            return Reason.DRAINED, ""
        if self._answers(node.name) is False:
            return Reason.SILENT, "no answer on the link"
        if any(peer.up is not None for peer in peers):
            return None, ""
        if node.ready is False:
            return Reason.NOT_READY, ""
        by_session = _by_session(peers)
        refused = by_session if by_session is not None and by_session[0] is Reason.REFUSED else None
        return (
            by_pods(node.name, land.speakers if land else None)
            or self._by_calls(peers)
            or refused
            or by_bgp_peers(node.name, land, ends)
            # That it ended says less than that nothing makes the node call us again.
            or by_session
            or self._by_other_port(peers, land)
            or (Reason.NEVER_DIALED, "")
        )

    def _by_calls(self, peers: Collection[NodePeer]) -> tuple[Reason, str] | None:
        """Why its calls come to nothing before we are told of them; None where they do not, or nobody can see."""
        for peer in peers:
            call = self._calling.unanswered(peer.target.remote, self._port, peer.called_at, time.time())
            if call is not None:
                return why_unanswered(call, Keys(peer.target.password is not None, self._drops()))
        return None

    def _by_other_port(self, peers: Collection[NodePeer], land: Landscape | None) -> tuple[Reason, str] | None:
        """Where BGPPeers say nothing: whether it calls us as if we were any router. Calico does that, too."""
        if land is not None and land.peers is not None:
            return None
        for peer in peers:
            port = self._calling.elsewhere(peer.target.remote, self._port, time.time())
            if port is not None:
                return Reason.WRONG_PORT, f"it calls port {port}, and we listen on {self._port}"
        return None

    def _drops(self) -> bool:
        return self._md5_at is not None and time.monotonic() - self._md5_at < MD5_RECENT

    def _with_signatures(self, states: dict[str, NodeState]) -> dict[str, NodeState]:
        """Where the kernel drops calls for their signature, whose are they? It does not tell: if one node alone never
        dialled it is that one, else it may be any of them. Where calls are seen there is nothing to guess."""
        suspects = [name for name, state in states.items() if state.why is Reason.NEVER_DIALED]
        if not suspects or not self._drops() or self._calls is not None:
            return states
        said = "the kernel drops calls for their TCP MD5 signature"
        why, detail = (Reason.WRONG_PASSWORD, said) if len(suspects) == 1 else (
            Reason.NEVER_DIALED, f"or its password is wrong: {said}, and does not tell whose"
        )  # fmt: skip
        return states | {name: NodeState(why, detail, states[name].paths) for name in suspects}


def _by_session(peers: Collection[NodePeer]) -> tuple[Reason, str] | None:
    """How its last session ended, or why it got none; None where it never called."""
    ends = [peer.last_end for peer in peers if peer.last_end is not None]
    if not ends:
        refused = next((peer.refused for peer in peers if peer.refused is not None), None)
        return None if refused is None else (Reason.REFUSED, str(refused))
    last = max(ends, key=lambda end: end.at)
    if last.ended.cause is Cause.NOTIFICATION_SENT and not last.ended.was_established:
        return Reason.REFUSED, last.ended.text
    return Reason.SESSION_LOST, last.ended.words


def by_pods(name: str, pods: Collection[SpeakerFacts] | None) -> tuple[Reason, str] | None:
    """Which pod of MetalLB's is missing on this node; None where none is, or nothing is known of them."""
    ready = [pod for pod in pods or () if pod.node == name and pod.ready]
    if pods and not any(pod.component == SPEAKER for pod in ready):
        return Reason.SPEAKER_NOT_RUNNING, ""
    needs = any(pod.component == SPEAKER and pod.kind == FRR_K8S for pod in ready)
    # Where there is none at all it runs in another namespace, of which we know nothing.
    known = any(pod.component == FRR_K8S for pod in pods or ())
    if needs and known and not any(pod.component == FRR_K8S for pod in ready):
        return Reason.FRR_NOT_RUNNING, ""
    return None


def by_bgp_peers(name: str, land: Landscape | None, ends: set[tuple[str, int]]) -> tuple[Reason, str] | None:
    """What is wrong with MetalLB's BGPPeers for this node; None where one leads to us, or nothing is known of them."""
    if land is None or land.peers is None or land.nodes is None:
        return None
    facts = next((node for node in land.nodes if node.name == name), None)
    if facts is None:
        return None
    leading = [peer for peer in land.peers if peer.end in ends]
    if any(_takes(peer, facts) for peer in leading):
        return None
    ports = {port for _, port in ends}
    for peer in land.peers:
        address, port = peer.end
        if any(address == ours for ours, _ in ends) and _takes(peer, facts):
            return Reason.WRONG_PORT, f"{peer.name} says {port}, and we listen on {', '.join(map(str, sorted(ports)))}"
    names = ", ".join(peer.name for peer in leading)
    return Reason.NO_BGP_PEER, f"the nodeSelectors of {names} leave it out" if leading else ""


def _takes(peer: PeerFacts, node: NodeFacts) -> bool:
    """Whether a BGPPeer's nodeSelectors take a node; none take all."""
    said = peer.spec.get("nodeSelectors")
    if not isinstance(said, list) or not said:
        return True
    labels = dict(node.labels)
    for body in said:
        try:
            if selector_of(body).selects(labels):
                return True
        except SelectorError:
            continue
    return False


def ends_of(settings: Settings) -> set[tuple[str, int]]:
    """Our addresses with the port, as BGPPeers name them."""
    return {(str(address), settings.listen.port) for address in settings.listen.addresses}


def peers_of(peering: Peering, node: str) -> list[NodePeer]:
    """The neighbors that a node is: one for each of its addresses."""
    found = peering.roster.by_name.get(node)
    return [peering.nodes[a] for a in found.addresses if a in peering.nodes] if found else []
