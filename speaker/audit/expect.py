"""Which nodes should announce which addresses? By the cluster's own objects, as MetalLB decides it. Pure.

MetalLB v0.15.2 (speaker/bgp_controller.go): a node announces a Service's address where the Service is of MetalLB's
class, an advertisement of its pool takes the node and goes to the peer, the node's network is available and it is not
excluded from load balancers, and a pod of the Service can serve: anywhere, or with externalTrafficPolicy Local on the
node itself.
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
class _Pool:
    networks: tuple[Network, ...]
    lengths: tuple[tuple[int, int], ...]
    nodes: frozenset[str]
    why_none: Reason | None


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
    pools = [_pool(pool, landscape.advertisements, able, names, others, kubernetes) for pool in landscape.pools]
    serving = _serving(landscape)
    wanted = (each for service in landscape.services for each in _of_service(service, pools, serving, kubernetes))
    if any(pool.nodes for pool in pools):
        meant = frozenset[str]().union(*(pool.nodes for pool in pools))
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


def _pool(
    pool: PoolFacts,
    advertisements: Iterable[AdvertisementFacts],
    able: Mapping[str, Mapping[str, str]],
    ours: frozenset[str] | None,
    others: frozenset[str],
    kubernetes: Kubernetes,
) -> _Pool:
    about = [each for each in advertisements if is_meant(pool, each)]
    meant = [each for each in about if not each.peers or ours is None or ours.intersection(each.peers)]
    nodes = frozenset(
        name
        for name, labels in able.items()
        if any(not each.nodes or any(selector.selects(labels) for selector in each.nodes) for each in meant)
    )
    why = None if nodes else Reason.NO_NODE
    if not meant:
        # To others on purpose, or to nobody by mistake: a peer that does not exist is no purpose.
        elsewhere = pool.name in kubernetes.other_pools or any(others.intersection(each.peers) for each in about)
        why = Reason.ELSEWHERE if elsewhere else Reason.NO_ADVERTISEMENT
    networks: list[Network] = []
    for text in pool.addresses:
        try:
            networks += networks_of(text)
        except (ValueError, TypeError):
            continue  # pools.py has told the user
    lengths = tuple(dict.fromkeys((each.length4, each.length6) for each in meant))
    return _Pool(tuple(networks), lengths or ((32, 128),), nodes, why)


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
        lengths = [pair[address.version == 6] for pair in pool.lengths] if pool else []
        prefixes = [nlri.from_network(ip_network((address, length), strict=False)) for length in lengths]
        nodes, why = _nodes(service, pool, serving)
        yield Wanted(service.name, text, family, tuple(dict.fromkeys(prefixes)), nodes, why)


def _nodes(
    service: ServiceFacts, pool: _Pool | None, serving: dict[str, frozenset[str]] | None
) -> tuple[frozenset[str], Reason | None]:
    if pool is None:
        return NOBODY, Reason.NO_POOL
    if pool.why_none is Reason.ELSEWHERE:
        return NOBODY, pool.why_none
    pods = None if serving is None else serving.get(service.name, NOBODY)
    # Before what is wrong with its pool: while nothing runs behind it, that is nobody's trouble.
    if pods is not None and not pods:
        return NOBODY, Reason.NO_ENDPOINTS
    if pool.why_none is not None:
        return NOBODY, pool.why_none
    if pods is None or not service.local:
        return pool.nodes, None
    here = pool.nodes & pods
    return (here, None) if here else (NOBODY, Reason.NO_LOCAL_ENDPOINTS)
