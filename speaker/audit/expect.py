"""Which nodes should announce which addresses? By the cluster's own objects, as MetalLB decides it. Pure.

MetalLB (speaker/bgp_controller.go, 0.15.2 and 0.16.1): a node announces a Service's address where the Service is of
MetalLB's class, an advertisement of its pool takes the Service, the node and the peer, the node's network is available
and it is not excluded from load balancers, and a pod of the Service can serve: anywhere, or with externalTrafficPolicy
Local on the node itself.
What is not known is not concluded from: without pools or advertisements nothing is expected, without EndpointSlices
every Service counts as having pods.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from speaker.audit.reasons import Reason
from speaker.bgp import nlri
from speaker.bgp.iana import Family
from speaker.cluster import Network
from speaker.cluster.kube.landscape import Landscape
from speaker.cluster.kube.nodes import NodeFacts, is_excluded, is_selected
from speaker.cluster.kube.pools import AdvertisementFacts, PoolFacts, is_meant, networks_of
from speaker.cluster.kube.services import ServiceFacts
from speaker.config import Kubernetes

NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Wanted:
    """One address of one Service.

    service     `namespace/name`; empty where nobody knows of Services (a roster by file)
    prefixes    what it is announced as, in wire form: one, or more where advertisements aggregate differently
    nodes       who should announce it; of Services alike it is the same object
    why_none    why nobody should
    """

    service: str
    address: str
    family: Family
    prefixes: tuple[bytes, ...]
    nodes: frozenset[str]
    why_none: Reason | None = None


@dataclass(frozen=True, slots=True)
class _Way:
    """How the addresses of a pool are announced to us: as prefixes of which lengths, by whom, and why by nobody."""

    lengths: tuple[tuple[int, int], ...]
    nodes: frozenset[str]
    why_none: Reason | None


@dataclass(frozen=True, slots=True)
class _Advertised:
    """A BGPAdvertisement of a pool: whether it leads to us, or to other BGPPeers, and the nodes that it takes."""

    by: AdvertisementFacts
    ours: bool
    others: bool
    nodes: frozenset[str]

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Whether it is about a Service with these labels."""
        return not self.by.services or any(selector.selects(labels) for selector in self.by.services)


class _Pool:
    """An IPAddressPool, and what its BGPAdvertisements make of it."""

    def __init__(self, pool: PoolFacts, about: Iterable[_Advertised], kubernetes: Kubernetes) -> None:
        self.networks = tuple(_networks(pool))
        self.about = tuple(about)
        self._elsewhere = pool.name in kubernetes.other_pools
        self._by_service = any(each.by.services for each in self.about)
        self._ways: dict[tuple[bool, ...], _Way] = {}

    def way(self, labels: Iterable[tuple[str, str]]) -> _Way:
        """For a Service with these labels; of Services alike it is the same object."""
        key = tuple(each.takes(dict(labels)) for each in self.about) if self._by_service else ()
        found = self._ways.get(key)
        if found is None:
            taking = [each for each, taken in zip(self.about, key, strict=True) if taken] if key else list(self.about)
            found = self._ways[key] = self._way(taking)
        return found

    def _way(self, taking: list[_Advertised]) -> _Way:
        meant = [each for each in taking if each.ours]
        nodes = frozenset[str]().union(*(each.nodes for each in meant))
        lengths = tuple(dict.fromkeys((each.by.length4, each.by.length6) for each in meant)) or ((32, 128),)
        if meant:
            return _Way(lengths, nodes, None if nodes else Reason.NO_NODE)
        # To others on purpose, or to nobody by mistake: a peer that does not exist is no purpose.
        if self._elsewhere or any(each.others for each in taking):
            return _Way(lengths, nodes, Reason.ELSEWHERE)
        chosen = any(each.ours for each in self.about)
        return _Way(lengths, nodes, Reason.NOT_CHOSEN if chosen else Reason.NO_ADVERTISEMENT)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the cluster wants of us.

    wanted          all addresses of all Services
    not_expected    the Nodes that should announce nothing, and why
    """

    wanted: tuple[Wanted, ...] = ()
    not_expected: Mapping[str, Reason] = field(default_factory=dict)


def expect(landscape: Landscape, ours: Iterable[str], roster: Iterable[str], kubernetes: Kubernetes) -> Expected:
    """Of all Services and Nodes. `ours`: the names of BGPPeers that lead to us; `roster`: who may peer."""
    if landscape.services is None or landscape.nodes is None:
        return Expected()
    if landscape.pools is None or landscape.advertisements is None:
        return Expected()
    peering = frozenset(roster)
    out = {node.name: why for node in landscape.nodes if (why := _not_able(node, peering, kubernetes))}
    able = {node.name: dict(node.labels) for node in landscape.nodes if node.name not in out}
    names = frozenset(ours) if landscape.peers is not None else None
    others = frozenset(peer.name for peer in landscape.peers or ()) - (names or NOBODY)
    made = [_advertised(by, able, names, others) for by in landscape.advertisements]
    pools = [_Pool(pool, (each for each in made if is_meant(pool, each.by)), kubernetes) for pool in landscape.pools]
    serving = _serving(landscape)
    wanted = (each for service in landscape.services for each in _of_service(service, pools, serving, kubernetes))
    meant = frozenset[str]().union(*(each.nodes for pool in pools for each in pool.about if each.ours))
    if meant:
        out |= {name: Reason.NOT_MEANT for name in able if name not in meant}
    return Expected(tuple(wanted), out)


def _not_able(node: NodeFacts, roster: frozenset[str], kubernetes: Kubernetes) -> Reason | None:
    """Why MetalLB announces nothing to us from a node, whatever the Services are."""
    if is_excluded(node, kubernetes):
        return Reason.EXCLUDED
    if not is_selected(node, kubernetes):
        return Reason.NOT_SELECTED
    if node.name not in roster:
        return Reason.NO_OWN_ADDRESS
    return Reason.NO_NETWORK if node.no_network else None


def _advertised(
    by: AdvertisementFacts, able: Mapping[str, Mapping[str, str]], ours: frozenset[str] | None, others: frozenset[str]
) -> _Advertised:
    nodes = frozenset(
        name for name, labels in able.items() if not by.nodes or any(selector.selects(labels) for selector in by.nodes)
    )
    leads = not by.peers or ours is None or bool(ours.intersection(by.peers))
    return _Advertised(by, leads, bool(others.intersection(by.peers)), nodes)


def _networks(pool: PoolFacts) -> Iterable[Network]:
    for text in pool.addresses:
        try:
            yield from networks_of(text)
        except (ValueError, TypeError):
            continue  # pools.py has told the user


def _serving(landscape: Landscape) -> dict[str, frozenset[str]] | None:
    """The nodes with a pod that can serve, by Service; None where that is not known."""
    if landscape.slices is None:
        return None
    verdicts: dict[str, dict[tuple[str, str], bool]] = {}
    for found in landscape.slices:
        of = verdicts.setdefault(found.service, {})
        for node, address, serves in found.endpoints:
            # One port that is not ready speaks for the whole pod.
            of[node, address] = of.get((node, address), True) and serves
    return {name: frozenset(node for (node, _), serves in of.items() if serves) for name, of in verdicts.items()}


def _of_service(
    service: ServiceFacts, pools: list[_Pool], serving: dict[str, frozenset[str]] | None, kubernetes: Kubernetes
) -> Iterable[Wanted]:
    if service.lb_class != kubernetes.load_balancer_class:
        for text in service.addresses or ("",):
            yield Wanted(service.name, text, Family.IPV4, (), NOBODY, Reason.OTHER_CLASS)
        return
    if not service.addresses:
        yield Wanted(service.name, "", Family.IPV4, (), NOBODY, Reason.NO_ADDRESS)
    for text in service.addresses:
        try:
            address = ip_address(text)
        except ValueError:
            continue
        family = Family.IPV4 if address.version == 4 else Family.IPV6
        pool = next((p for p in pools if any(address in network for network in p.networks)), None)
        way = pool.way(service.labels) if pool else None
        lengths = [pair[address.version == 6] for pair in way.lengths] if way else []
        prefixes = [nlri.from_network(ip_network((address, length), strict=False)) for length in lengths]
        nodes, why = _nodes(service, way, serving)
        yield Wanted(service.name, text, family, tuple(dict.fromkeys(prefixes)), nodes, why)


def _nodes(
    service: ServiceFacts, way: _Way | None, serving: dict[str, frozenset[str]] | None
) -> tuple[frozenset[str], Reason | None]:
    if way is None:
        return NOBODY, Reason.NO_POOL
    if way.why_none is not None and not way.why_none.fault:
        return NOBODY, way.why_none
    pods = None if serving is None else serving.get(service.name, NOBODY)
    # Before what is wrong with its pool: while nothing runs behind it, that is nobody's trouble.
    if pods is not None and not pods:
        return NOBODY, Reason.NO_ENDPOINTS
    if way.why_none is not None:
        return NOBODY, way.why_none
    if pods is None or not service.local:
        return way.nodes, None
    here = way.nodes & pods
    return (here, None) if here else (NOBODY, Reason.NO_LOCAL_ENDPOINTS)
