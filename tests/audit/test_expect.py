"""Who should announce what, as MetalLB decides it: a row for each of its rules."""

from dataclasses import replace

import pytest

from speaker.audit.expect import Expected, expect
from speaker.audit.reasons import Reason
from speaker.cluster.kube.bgppeers import PeerFacts
from speaker.cluster.kube.landscape import Landscape
from speaker.cluster.kube.nodes import EXCLUDED, NodeFacts
from speaker.cluster.kube.pools import AdvertisementFacts, PoolFacts
from speaker.cluster.kube.services import (
    Flags,
    ServiceFacts,
    SliceFacts,
    flags_of,
    service_facts,
    slice_facts,
    speaker_facts,
)
from speaker.config import Kubernetes
from speaker.settings_selector import parse_selector

NODES = tuple(NodeFacts(f"n{at}", labels=(("rack", f"r{at % 2}"),), ready=True) for at in (1, 2, 3))
OURS = PeerFacts("onepeer", True, "", "", {"peerAddress": "192.168.3.10", "peerPort": 1790})
WHOLE = Landscape(
    nodes=NODES,
    pools=(PoolFacts("services", ("192.168.30.0/24",)),),
    advertisements=(AdvertisementFacts("all"),),
    peers=(OURS,),
    services=(ServiceFacts("default/web", "u1", ("192.168.30.1",), local=False),),
    slices=(SliceFacts("default/web", (("n1", "10.0.0.1", True), ("n2", "10.0.0.2", True))),),
    speakers=(),
)
ALL = {"n1", "n2", "n3"}
PLAIN = Kubernetes()
RACK = AdvertisementFacts("rack", nodes=(parse_selector("rack=r1"),))


def alone(landscape: Landscape, kubernetes: Kubernetes = PLAIN) -> tuple[set[str], Reason | None]:
    """The nodes of the only address, and why there are none."""
    (wanted,) = expect(landscape, ["onepeer"], ALL, kubernetes).wanted
    return set(wanted.nodes), wanted.why_none


def with_node(**facts: object) -> Landscape:
    return replace(WHOLE, nodes=(*NODES[:2], replace(NODES[2], **facts)))  # type: ignore[arg-type]


def with_service(**facts: object) -> Landscape:
    return replace(WHOLE, services=(replace(WHOLE.services[0], **facts),))  # type: ignore[index, arg-type]


TO_OTHERS = replace(WHOLE, advertisements=(AdvertisementFacts("b", peers=("other",)),))
PODS_GONE = replace(WHOLE, slices=(SliceFacts("default/web", (("n1", "10.0.0.1", False),)),))


@pytest.mark.parametrize(
    ("landscape", "nodes", "why"),
    [
        (WHOLE, ALL, None),
        (with_node(no_network=True), {"n1", "n2"}, None),
        (with_node(labels=((EXCLUDED, ""),)), {"n1", "n2"}, None),
        (with_node(ready=False), ALL, None),
        (replace(WHOLE, advertisements=(RACK,)), {"n1", "n3"}, None),
        (replace(WHOLE, advertisements=(RACK, AdvertisementFacts("all"))), ALL, None),
        (TO_OTHERS, set(), Reason.NO_ADVERTISEMENT),
        (replace(WHOLE, advertisements=(AdvertisementFacts("b", peers=("onepeer",)),)), ALL, None),
        (replace(TO_OTHERS, peers=(OURS, replace(OURS, name="other"))), set(), Reason.ELSEWHERE),
        (replace(TO_OTHERS, slices=()), set(), Reason.NO_ENDPOINTS),
        (replace(WHOLE, advertisements=(AdvertisementFacts("b", ("x",), (), False),)), set(), Reason.NO_ADVERTISEMENT),
        (
            replace(WHOLE, advertisements=(replace(RACK, nodes=(parse_selector("rack=r9"),)),)),
            set(),
            Reason.NO_NODE,
        ),
        (with_service(local=True), {"n1", "n2"}, None),
        (with_service(addresses=("10.1.1.1",)), set(), Reason.NO_POOL),
        (with_service(addresses=()), set(), Reason.NO_ADDRESS),
        (PODS_GONE, set(), Reason.NO_ENDPOINTS),
        (replace(WHOLE, slices=()), set(), Reason.NO_ENDPOINTS),
        (replace(WHOLE, slices=None), ALL, None),
    ],
)
def test_the_nodes_that_should_announce_are_those_that_metallb_would_have(
    landscape: Landscape, nodes: set[str], why: Reason | None
) -> None:
    """One rule a row."""
    assert alone(landscape) == (nodes, why)


def test_local_without_a_pod_on_a_node_that_may_is_told_apart_from_no_pod_at_all() -> None:
    """The pod is on a node that the advertisement leaves out."""
    landscape = replace(
        with_service(local=True), advertisements=(RACK,), slices=(SliceFacts("default/web", (("n2", "a", True),)),)
    )
    assert alone(landscape) == (set(), Reason.NO_LOCAL_ENDPOINTS)


def test_one_port_that_is_not_ready_speaks_for_the_pod() -> None:
    """Two slices of one Service, of its two ports."""
    slices = tuple(SliceFacts("default/web", (("n1", "10.0.0.1", serves),)) for serves in (True, False))
    assert alone(replace(WHOLE, slices=slices)) == (set(), Reason.NO_ENDPOINTS)


def test_a_service_of_two_families_is_two_addresses() -> None:
    """Each in its own pool, one of which is aggregated."""
    pools = (PoolFacts("v4", ("192.168.30.0/24",)), PoolFacts("v6", ("fd00:30::-fd00:30::ff",)))
    landscape = replace(with_service(addresses=("192.168.30.1", "fd00:30::1")), pools=pools)
    landscape = replace(landscape, advertisements=(AdvertisementFacts("all", length4=24),))
    four, six = expect(landscape, [], ALL, PLAIN).wanted
    assert [len(four.prefixes[0]), four.prefixes[0][0], six.prefixes[0][0]] == [4, 24, 128]


def test_a_pool_that_is_announced_by_other_means_is_told_as_that() -> None:
    """MetalLB's layer 2: no BGPAdvertisement takes it, on purpose."""
    landscape = replace(WHOLE, advertisements=())
    assert alone(landscape) == (set(), Reason.NO_ADVERTISEMENT)
    assert alone(landscape, Kubernetes(other_pools=("services",))) == (set(), Reason.ELSEWHERE)


BY_LABEL = AdvertisementFacts("web", nodes=(parse_selector("rack=r1"),), services=(parse_selector("app=web"),))


@pytest.mark.parametrize(
    ("advertisements", "app", "nodes", "why"),
    [
        ((BY_LABEL,), "web", {"n1", "n3"}, None),
        ((BY_LABEL,), "db", set(), Reason.NOT_CHOSEN),
        ((BY_LABEL, AdvertisementFacts("all")), "db", ALL, None),
        ((replace(BY_LABEL, services=(*BY_LABEL.services, parse_selector("app=db"))),), "db", {"n1", "n3"}, None),
        ((BY_LABEL, AdvertisementFacts("b", peers=("other",))), "db", set(), Reason.ELSEWHERE),
    ],
)
def test_an_advertisement_may_be_for_some_services_alone(
    advertisements: tuple[AdvertisementFacts, ...], app: str, nodes: set[str], why: Reason | None
) -> None:
    """serviceSelectors, since MetalLB 0.16: whom they leave out is left out on purpose."""
    landscape = replace(with_service(labels=(("app", app),)), advertisements=advertisements)
    assert alone(replace(landscape, peers=(OURS, replace(OURS, name="other")))) == (nodes, why)


@pytest.mark.parametrize(
    ("of_service", "of_metallb", "is_metallbs"),
    [(None, None, True), ("x/lb", "x/lb", True), ("x/lb", None, False), (None, "x/lb", False), ("y", "x/lb", False)],
)
def test_only_services_of_metallbs_class_are_expected(
    of_service: str | None, of_metallb: str | None, is_metallbs: bool
) -> None:
    """As its --lb-class has it: with one, a Service without a class is not its either."""
    found = alone(with_service(lb_class=of_service), Kubernetes(load_balancer_class=of_metallb))
    assert found == ((ALL, None) if is_metallbs else (set(), Reason.OTHER_CLASS))


LABELLED = with_node(labels=((EXCLUDED, ""),))


@pytest.mark.parametrize(
    ("landscape", "kubernetes", "roster", "why"),
    [
        (WHOLE, PLAIN, ALL, {}),
        (LABELLED, PLAIN, ALL, {"n3": Reason.EXCLUDED}),
        (LABELLED, Kubernetes(ignore_exclude_lb=True), ALL, {}),
        (WHOLE, Kubernetes.model_validate({"selector": "rack=r1"}), ALL, {"n2": Reason.NOT_SELECTED}),
        (WHOLE, PLAIN, {"n1", "n2"}, {"n3": Reason.NO_OWN_ADDRESS}),
        (with_node(no_network=True), PLAIN, ALL, {"n3": Reason.NO_NETWORK}),
        (replace(WHOLE, advertisements=(RACK,)), PLAIN, ALL, {"n2": Reason.NOT_MEANT}),
        (replace(WHOLE, advertisements=()), PLAIN, ALL, {}),
    ],
)
def test_a_node_that_should_announce_nothing_is_told_with_the_reason(
    landscape: Landscape, kubernetes: Kubernetes, roster: set[str], why: dict[str, Reason]
) -> None:
    """Whatever the Services are; where nobody is meant at all that is no word about a node."""
    assert expect(landscape, ["onepeer"], roster, kubernetes).not_expected == why


def test_without_pools_or_services_nothing_is_concluded() -> None:
    """A right is missing, or MetalLB is not there."""
    for unknown in ({"services": None}, {"advertisements": None}, {"pools": None}):
        assert expect(replace(WHOLE, **unknown), [], ALL, PLAIN) == Expected()  # type: ignore[arg-type]


def test_what_is_kept_of_objects() -> None:
    """The words of the API."""
    service = {
        "metadata": {"name": "web", "namespace": "default", "uid": "u1"},
        "spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local"},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.168.30.1"}, {"hostname": "x"}]}},
    }
    assert service_facts(service) == ServiceFacts("default/web", "u1", ("192.168.30.1",), local=True)
    assert service_facts({**service, "spec": {"type": "ClusterIP"}}) is None
    endpoints = [
        {"nodeName": "n1", "addresses": ["a"], "conditions": {}},
        {"nodeName": "n2", "addresses": ["b"], "conditions": {"ready": False, "serving": True, "terminating": True}},
        {"addresses": ["c"], "conditions": {"ready": False}},
    ]
    metadata = {"namespace": "default", "labels": {"kubernetes.io/service-name": "web"}}
    kept = slice_facts({"metadata": metadata, "endpoints": endpoints})
    assert kept == SliceFacts("default/web", (("", "c", False), ("n1", "a", True), ("n2", "b", True)))
    pod = {"metadata": {"labels": {"component": "speaker"}}, "spec": {"nodeName": "n1"}}
    said = speaker_facts(pod)
    assert said is not None
    assert (said.node, said.ready, said.kind) == ("n1", True, "")


@pytest.mark.parametrize(
    ("args", "flags"),
    [
        ([], Flags()),
        (["--port=7472", "--log-level=info"], Flags()),
        (["--ignore-exclude-lb", "--lb-class=metallb.io/lb"], Flags(True, "metallb.io/lb")),
        (["-ignore-exclude-lb=true", "-lb-class", "x"], Flags(True, "x")),
        (["--ignore-exclude-lb=false", "--lb-class="], Flags()),
    ],
)
def test_metallbs_own_flags_are_read_off_its_pods(args: list[str], flags: Flags) -> None:
    """And stand in where the settings say nothing."""
    spec = {"nodeName": "n1", "containers": [{"name": "speaker", "args": args}]}
    speaker = speaker_facts({"metadata": {"labels": {"component": "speaker"}}, "spec": spec})
    assert speaker is not None
    assert flags_of([speaker]) == flags
    filled = flags.fill(Kubernetes(load_balancer_class="own"))
    assert (filled.load_balancer_class, filled.ignore_exclude_lb) == ("own", flags.ignore_exclude_lb)


@pytest.mark.parametrize("keep", [service_facts, slice_facts, speaker_facts])
@pytest.mark.parametrize("item", [{}, {"spec": 7, "status": [], "metadata": None}, {"endpoints": [7], "metadata": {}}])
def test_objects_that_make_no_sense_are_left_aside(keep: object, item: dict) -> None:
    """They never raise."""
    assert keep(item) is None  # type: ignore[operator]
