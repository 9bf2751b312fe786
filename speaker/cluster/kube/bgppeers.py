"""MetalLB's side of the sessions: which BGPPeers should be there, and what is to be done about it? Pure.

- One for each family that we listen on, and only while we listen: a speaker that dials nobody backs off, MetalLB's
  native one up to 2 minutes.
- Ours is what has our label. Anything else is a person's, and stays as it is; where a person's peer has our address
  already, none of ours is made: two sessions from one node to one address are one too many.
- Touched when no node at all has a session although some are Ready: native speakers that have backed off dial at once
  (0.15 s) when the spec changes. Never while a session is up, because every native speaker then closes its session
  and opens a new one (speaker/bgp_controller.go, v0.15). What is changed is `holdTime`, by a second: FRR takes no
  notice of it, and on the wire the lower of both offers counts, which is ours.
- `connectTime` where every speaker is of an FRR kind, which dials again after 120 s without it. With it in any BGPPeer,
  whichever nodes that selects, a native speaker takes up no configuration any more (internal/config/validation.go,
  v0.15.2: "has connect time set on native bgp mode"), so where both kinds are, none has it. The settings override.
- `bfdProfile` as the settings name it, by the same rule of the same file, and nothing overrides that.
- Removed when this replica listens there no more, or when the Node that the replica ran on is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from speaker.cluster.base import Address
from speaker.cluster.kube.client import Object, Resource
from speaker.cluster.kube.nodes import EXCLUDED
from speaker.config import Settings
from speaker.settings_selector import Operator, Requirement

GROUP: Final = "metallb.io"
VERSION: Final = "v1beta2"
MANAGER: Final = "onepeer"

OURS: Final = ("app.kubernetes.io/managed-by", "onepeer")
REPLICA: Final = "onepeer.io/replica"
NODE: Final = "onepeer.io/node"
"""Annotation: the Node that the replica runs on, where it is one."""

AWAY: Final = 1.0
"""Seconds without any session before the first touch. Native dials after 1 and 2 s at first, then up to 2 minutes."""
MADE: Final = 10.0
"""The same after a peer was made: MetalLB's FRR modes take some seconds until they dial."""
AGAIN: Final = 60.0
AGAIN_MOST: Final = 600.0
"""Seconds between two touches: the first pause, twice as long each time, up to this."""
FRR_KINDS: Final = {"frr", "frr-k8s"}
"""METALLB_BGP_TYPE of a speaker that bears a connectTime; without it a speaker is native (speaker/main.go, v0.15.2)."""
FRR_CONNECT_TIME: Final = 1.0
"""Seconds between two dials of FRR, where we say it by ourselves."""
GONE: Final = 60.0
"""Seconds for which a Node must be missing before the peer of its replica goes."""


@dataclass(frozen=True, slots=True)
class PeerFacts:
    """What is kept of a BGPPeer."""

    name: str
    ours: bool
    replica: str
    node: str
    spec: Mapping[str, Any]
    says_connect_time: bool = False
    """Whether its connectTime is of our writing."""
    says_bfd_profile: bool = False
    """The same of its bfdProfile."""

    @property
    def end(self) -> tuple[str, int]:
        """Whom it dials."""
        return str(self.spec.get("peerAddress", "")), int(self.spec.get("peerPort") or 179)


@dataclass(frozen=True, slots=True)
class Apply:
    """Make it so."""

    body: Object
    why: str

    @property
    def name(self) -> str:
        """Of the BGPPeer."""
        return str(self.body["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Remove:
    """Take it away."""

    name: str
    why: str


def peers_in(namespace: str) -> Resource:
    """BGPPeers."""
    return Resource(GROUP, VERSION, "bgppeers", namespace)


def peer_facts(item: Object) -> PeerFacts:
    """What is kept of an object that has a name."""
    metadata, spec = _dict(item.get("metadata")), _dict(item.get("spec"))
    labels, annotations = _dict(metadata.get("labels")), _dict(metadata.get("annotations"))
    port = spec.get("peerPort")
    ours = _our_fields(metadata.get("managedFields"))
    return PeerFacts(
        name=str(metadata.get("name")),
        ours=labels.get(OURS[0]) == OURS[1],
        replica=str(labels.get(REPLICA, "")),
        node=str(annotations.get(NODE, "")),
        spec={**spec, "peerPort": port if isinstance(port, int) else 179},
        says_connect_time="f:connectTime" in ours,
        says_bfd_profile="f:bfdProfile" in ours,
    )


def wanted_peers(
    settings: Settings, replica: str = "", node: str = "", *, frr: bool = False, everywhere: bool = False
) -> list[Object]:
    """The BGPPeers that these settings ask for, as they would be written by hand. `frr`: no speaker is native.
    `everywhere`: MetalLB announces from nodes with Kubernetes' exclusion label, too."""
    assert settings.nodes.kubernetes is not None
    firsts: dict[int, Address] = {}
    for address in settings.listen.addresses:
        firsts.setdefault(address.version, address)
    labels = {OURS[0]: OURS[1], **({REPLICA: replica} if replica else {})}
    annotations = {"annotations": {NODE: node}} if node else {}
    return [
        {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "BGPPeer",
            "metadata": {
                "name": peer_name(address),
                "namespace": settings.nodes.kubernetes.metallb_namespace,
                "labels": labels,
                **annotations,
            },
            "spec": _spec(address, settings, frr=frr, everywhere=everywhere),
        }
        for address in firsts.values()
    ]


def peer_name(address: Address) -> str:
    """Another for each address, and the same after a restart."""
    return "onepeer-" + address.exploded.replace(".", "-").replace(":", "-")


def _spec(address: Address, settings: Settings, *, frr: bool, everywhere: bool) -> dict[str, Any]:
    kubernetes = settings.nodes.kubernetes
    assert kubernetes is not None
    said = kubernetes.ignore_exclude_lb
    everywhere = everywhere if said is None else said
    requirements = [] if everywhere else [Requirement(EXCLUDED, Operator.MISSING)]
    if kubernetes.selector is not None:
        requirements += kubernetes.selector.requirements
    expressions = [requirement.expression() for requirement in requirements]
    secret = kubernetes.bgp_peers.password_secret
    connect_time = kubernetes.bgp_peers.connect_time or (FRR_CONNECT_TIME if frr else None)
    bfd_profile = kubernetes.bgp_peers.bfd_profile if frr else None
    return {
        "myASN": settings.nodes.asn,
        "peerASN": settings.asn,
        "peerAddress": str(address),
        "peerPort": settings.listen.port,
        "holdTime": f"{settings.nodes.hold_time:g}s",
        **({"nodeSelectors": [{"matchExpressions": expressions}]} if expressions else {}),
        **({"passwordSecret": {"name": secret}} if secret else {}),
        **({"connectTime": f"{connect_time:g}s"} if connect_time else {}),
        **({"bfdProfile": bfd_profile} if bfd_profile else {}),
    }


_FIELDS: Final = ("myASN", "peerASN", "peerAddress", "peerPort", "nodeSelectors", "passwordSecret")
"""What we say always; others of our peers are MetalLB's defaults, or a person's."""


class PeerKeeper:
    """What is to be done about the BGPPeers. `now` is one clock's seconds."""

    def __init__(self, settings: Settings, replica: str, now: float) -> None:
        self._settings, self._replica = settings, replica
        self._since_none_up = now
        self._touch_gap = AGAIN
        self._next_touch = now + AWAY
        self._missing_since: dict[str, float] = {}
        self._was_up = False
        self.due: float | None = None
        """When the next decision may be another by the time alone."""

    def decide(
        self,
        present: Mapping[str, PeerFacts],
        nodes: Mapping[str, bool] | None,
        up: Collection[str],
        now: float,
        *,
        frr: bool | None = None,
        everywhere: bool | None = None,
    ) -> Iterator[Apply | Remove]:
        """`present` by name; `nodes`: each Node of the cluster and whether it is Ready, None while not known for sure;
        `up`: nodes with a session; `frr`: whether every speaker of MetalLB is of an FRR kind, None as `nodes`;
        `everywhere` as for `wanted_peers`, None while not known: then it is left as it is."""
        own_node = self._replica if nodes and self._replica in nodes else ""
        if frr is None:
            frr = any(peer.ours and peer.says_connect_time for peer in present.values())
        if everywhere is None:
            names = {str(body["metadata"]["name"]) for body in wanted_peers(self._settings)}
            mine = [peer for name, peer in present.items() if name in names and peer.ours]
            everywhere = any(not _leaves_out_excluded(peer) for peer in mine)
        bodies = wanted_peers(self._settings, self._replica, own_node, frr=frr, everywhere=everywhere)
        wanted = {str(body["metadata"]["name"]): body for body in bodies}
        touch = self._touches(nodes, up, now)
        for name, body in wanted.items():
            facts = present.get(name)
            if (facts is not None and not facts.ours) or self._taken(name, body, present):
                continue
            if facts is None:
                self._next_touch = now + MADE
                yield Apply(body, "it was missing")
            elif _differs(body, facts):
                yield Apply(body, "it was not as it should be")
            elif touch and len(_hold_times(body)) > 1:
                yield Apply(_touched(body, facts.spec), "no node has dialled, so that they dial at once")
        yield from self._gone(present, wanted, nodes, now)
        waits = [since + GONE for since in self._missing_since.values()]
        if not up and nodes and any(nodes.values()):
            waits.append(self._next_touch)
        self.due = min(waits, default=None)

    def foreign(self, present: Mapping[str, PeerFacts]) -> list[str]:
        """The names of peers that people wrote and that stand where ours would."""
        found = []
        for body in wanted_peers(self._settings):
            name = str(body["metadata"]["name"])
            ends = {peer.name for peer in present.values() if not peer.ours and peer.end == _end(body)}
            ends |= {peer.name for peer in present.values() if not peer.ours and peer.name == name}
            found += sorted(ends)
        return found

    def _taken(self, name: str, body: Object, present: Mapping[str, PeerFacts]) -> bool:
        """Whether a person's peer dials the same address."""
        return any(peer.end == _end(body) and not peer.ours for peer in present.values() if peer.name != name)

    def _touches(self, nodes: Mapping[str, bool] | None, up: Collection[str], now: float) -> bool:
        if up or self._was_up:
            self._touch_gap, self._next_touch, self._was_up = AGAIN, now + AWAY, bool(up)
            return False
        if not nodes or not any(nodes.values()) or now < self._next_touch:
            return False
        self._next_touch = now + self._touch_gap
        self._touch_gap = min(2 * self._touch_gap, AGAIN_MOST)
        return True

    def _gone(
        self,
        present: Mapping[str, PeerFacts],
        wanted: Mapping[str, Object],
        nodes: Mapping[str, bool] | None,
        now: float,
    ) -> Iterator[Remove]:
        missing, self._missing_since = self._missing_since, {}
        for name, facts in present.items():
            if not facts.ours or name in wanted:
                continue
            if facts.replica == self._replica:
                yield Remove(name, "this replica listens there no more")
                continue
            if nodes is None or not facts.node or facts.node in nodes:
                continue
            since = self._missing_since[name] = missing.get(name, now)
            if now - since >= GONE:
                yield Remove(name, f"its node {facts.node} is gone")


def _leaves_out_excluded(peer: PeerFacts) -> bool:
    selectors = peer.spec.get("nodeSelectors")
    found = [_dict(one).get("matchExpressions") for one in selectors] if isinstance(selectors, list) else []
    return any(_dict(one).get("key") == EXCLUDED for said in found if isinstance(said, list) for one in said)


def _end(body: Object) -> tuple[str, int]:
    return body["spec"]["peerAddress"], body["spec"]["peerPort"]


def _differs(body: Object, facts: PeerFacts) -> bool:
    wanted, spec = body["spec"], facts.spec
    return (
        any(spec.get(key) != wanted.get(key) for key in _FIELDS)
        or spec.get("holdTime") not in _hold_times(body)
        or _at_times_differs("connectTime", wanted, spec, ours=facts.says_connect_time)
        or _at_times_differs("bfdProfile", wanted, spec, ours=facts.says_bfd_profile)
    )


def _at_times_differs(key: str, wanted: Mapping[str, Any], spec: Mapping[str, Any], *, ours: bool) -> bool:
    """A field that we say at times only: what a person has said instead stays."""
    return spec.get(key) != wanted[key] if key in wanted else ours


def _hold_times(body: Object) -> tuple[str, ...]:
    """That of the settings, and another that means the same to us. 0s and the longest have none."""
    said = str(body["spec"]["holdTime"])
    seconds = int(said.removesuffix("s"))
    return (said, f"{seconds + 1}s") if 0 < seconds < 65535 else (said,)


def _touched(body: Object, spec: Mapping[str, Any]) -> Object:
    first, second = _hold_times(body)
    return {**body, "spec": {**body["spec"], "holdTime": second if spec.get("holdTime") == first else first}}


def _our_fields(managed: object) -> frozenset[str]:
    """The fields of the spec that we have applied, as the API server keeps the book of them."""
    entries = [_dict(entry) for entry in managed] if isinstance(managed, list) else []
    mine = (entry for entry in entries if entry.get("manager") == MANAGER)
    return frozenset(key for entry in mine for key in _dict(_dict(entry.get("fieldsV1")).get("f:spec")))


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
