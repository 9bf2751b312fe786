"""Which nodes may peer, by the cluster's Node objects? What is kept of them, and the roster they make. Pure.

A Node may peer from the moment its object has an InternalIP until the object goes, Ready or not: a kubelet that is
away says nothing of the speaker beside it. What one object has wrong costs that object, never the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from speaker.cluster.base import Address, Node, Roster
from speaker.cluster.kube.client import Object, Resource
from speaker.config import Kubernetes, Settings

NODES: Final = Resource("", "v1", "nodes")

EXCLUDED: Final = "node.kubernetes.io/exclude-from-external-load-balancers"
"""Label of Nodes that MetalLB announces nothing from, whatever its value, unless it has --ignore-exclude-lb."""
BGP_ADDRESS: Final = "onepeer.io/bgp-address"
WEIGHT: Final = "onepeer.io/weight"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What is kept of a Node: nothing that a heartbeat changes."""

    name: str
    uid: str = ""
    created: str = ""
    """RFC 3339, so that text order is time order."""
    addresses: tuple[str, ...] = ()
    """Its InternalIPs."""
    labels: tuple[tuple[str, str], ...] = ()
    bgp_address: str | None = None
    weight: str | None = None
    ready: bool = False
    no_network: bool = False
    """Its network is said to be unavailable: MetalLB announces nothing from it."""
    unschedulable: bool = False


def facts(item: Object) -> NodeFacts:
    """What is kept of a Node object that has a name."""
    metadata, status = _dict(item.get("metadata")), _dict(item.get("status"))
    annotations, labels = _texts(metadata.get("annotations")), _texts(metadata.get("labels"))
    return NodeFacts(
        name=str(metadata.get("name")),
        uid=str(metadata.get("uid", "")),
        created=str(metadata.get("creationTimestamp", "")),
        addresses=tuple(_internal(status.get("addresses"))),
        labels=tuple(sorted(labels.items())),
        bgp_address=annotations.get(BGP_ADDRESS),
        weight=annotations.get(WEIGHT),
        no_network=any(
            _dict(c).get("type") == "NetworkUnavailable" and c["status"] == "True" for c in _conditions(status)
        ),
        unschedulable=_dict(item.get("spec")).get("unschedulable") is True,
        ready=any(_dict(c).get("type") == "Ready" and c["status"] == "True" for c in _conditions(status)),
    )


def make_roster(
    found: Iterable[NodeFacts], settings: Settings, before: Roster, kubernetes: Kubernetes | None = None
) -> Roster:
    """The roster of these Nodes beside these settings. `before` is the one in force: who has an address keeps it.
    `kubernetes`: the settings' own, filled with what MetalLB's speakers say."""
    notes: list[str] = []
    kubernetes = kubernetes or settings.nodes.kubernetes or Kubernetes()
    selected = [
        node
        for node in sorted(found, key=lambda node: node.name)
        if is_selected(node, kubernetes) and not is_excluded(node, kubernetes)
    ]
    addresses = {node.name: _usable(node, settings, notes) for node in selected}
    owners = _owners(selected, addresses, before, notes)
    made = []
    for node in selected:
        own = tuple(address for address in addresses[node.name] if owners[address] is node)
        if own:
            password, weight = settings.nodes.password, _weight(node, notes)
            cordoned = kubernetes.follow_cordon and node.unschedulable
            made.append(Node(node.name, own, settings.nodes.asn, password, weight, cordoned, node.ready))
        elif node.ready and not addresses[node.name]:
            notes.append(f"node {node.name} has no address that it could dial from")
    return Roster(tuple(made), tuple(notes))


def is_excluded(node: NodeFacts, kubernetes: Kubernetes) -> bool:
    """Whether Kubernetes' own label keeps load balancers from it."""
    return not kubernetes.ignore_exclude_lb and EXCLUDED in dict(node.labels)


def is_selected(node: NodeFacts, kubernetes: Kubernetes) -> bool:
    """Whether the settings' own selector takes it."""
    return kubernetes.selector is None or kubernetes.selector.selects(dict(node.labels))


def _usable(node: NodeFacts, settings: Settings, notes: list[str]) -> list[Address]:
    """Its addresses, without those that no node can have beside these settings."""
    routers = {router.address: router.name for router in settings.routers}
    ours = {address.version for address in settings.listen.addresses}
    found = _addresses(node, notes)
    usable = []
    for address in found:
        if address in routers:
            notes.append(f"node {node.name}: {address} is left out: it is the address of router {routers[address]}")
            continue
        if address == settings.router_id:
            notes.append(f"node {node.name}: {address} is our own router_id, and as a rule its own too: set another")
        usable.append(address)
    if usable and not {address.version for address in usable} & ours:
        notes.append(f"node {node.name} cannot dial us: no address in listen.addresses is IPv{usable[0].version}")
    return usable


def _addresses(node: NodeFacts, notes: list[str]) -> list[Address]:
    """Its InternalIPs, or what its annotation has in place of those of the same family."""
    found = [address for text in node.addresses if (address := _address(text)) is not None]
    if node.bgp_address is None:
        return list(dict.fromkeys(found))
    said = [_address(text.strip()) for text in node.bgp_address.split(",")]
    good = [address for address in said if address is not None]
    if len(good) < len(said) or not good:
        text = f"node {node.name}: {BGP_ADDRESS}: {node.bgp_address[:60]!r} is not an address, or several with commas"
        notes.append(f"{text}; its InternalIPs are used")
        return list(dict.fromkeys(found))
    families = {address.version for address in good}
    return list(dict.fromkeys([*good, *(address for address in found if address.version not in families)]))


def _address(text: str) -> Address | None:
    """None for what is no address of one host that can be dialled from."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    bad = found.is_unspecified or found.is_multicast or found.is_link_local
    return None if bad or getattr(found, "scope_id", None) else found


def _owners(
    nodes: list[NodeFacts], addresses: Mapping[str, list[Address]], before: Roster, notes: list[str]
) -> dict[Address, NodeFacts]:
    """Who has an address, where several Nodes say they do: who is Ready, then who had it, then the newest."""
    owners: dict[Address, NodeFacts] = {}

    def rank(node: NodeFacts, address: Address) -> tuple[bool, bool, str]:
        had = before.by_address.get(address)
        return node.ready, had is not None and had.name == node.name, node.created

    for node in nodes:
        for address in addresses[node.name]:
            other = owners.get(address)
            if other is None:
                owners[address] = node
                continue
            winner, loser = (node, other) if rank(node, address) > rank(other, address) else (other, node)
            owners[address] = winner
            notes.append(f"nodes {winner.name} and {loser.name} both have {address}: it counts as {winner.name}'s")
    return owners


def _weight(node: NodeFacts, notes: list[str]) -> int:
    if node.weight is None:
        return 1
    text = node.weight.strip()
    if text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 255:
        return int(text)
    notes.append(f"node {node.name}: {WEIGHT}: {node.weight[:20]!r} is no number of 1 to 255; 1 is used")
    return 1


def _internal(entries: object) -> Iterator[str]:
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("type") == "InternalIP" and isinstance(entry.get("address"), str):
            yield entry["address"]


def _conditions(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = status.get("conditions")
    return [c for c in found if isinstance(c, dict) and "status" in c] if isinstance(found, list) else []


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> dict[str, str]:
    return {key: text for key, text in _dict(value).items() if isinstance(text, str)}
