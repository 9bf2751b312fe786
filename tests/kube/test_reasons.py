"""Every reason of the audit in one cluster: each Node and each Service is named after what is wrong with it.

First all faults stand side by side; then the objects are mended, and whoever has not called yet is all that is missing;
then those call, and nothing is.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from speaker import auditing
from speaker.audit import watch
from speaker.audit.reasons import Reason
from speaker.cluster.kube.nodes import EXCLUDED
from tests.app.loop import stage
from tests.app.stage import Stage, until
from tests.app.wire import ASN, Identity, Wire
from tests.bgp.bgp_wire import attribute
from tests.conftest import ROOT
from tests.kube.apiserver import ApiServer, Refused
from tests.kube.test_onepeer import ADVERTISEMENTS, PEERS, POOLS, in_thread, metallb
from tests.lab.wait import wait_until

__all__ = ["stage"]

LONG = 30.0
"""Seconds; one or two are usual."""

NODES = {
    "session-lost": True,
    "refused": True,
    "announces-nothing": True,
    "not-announced": True,
    "next-hop-not-own": True,
    "refused-by-guard": True,
    "prefix-not-allowed": True,
    "drained": False,
    "never-dialed": True,
    "speaker-not-running": True,
    "frr-k8s-not-running": True,
    "no-bgp-peer": True,
    "wrong-port": True,
    "node-not-ready": False,
    "excluded": False,
    "not-selected": False,
    "no-own-address": False,
    "network-unavailable": False,
    "left-out-by-metallb": False,
}
"""Whether what is wrong with a node is an alarm. One more has nothing wrong: `well`."""
NEVER_CALLED = list(NODES)[list(NODES).index("never-dialed") :]
LEFT_OUT = {"drained", "excluded", "not-selected", "no-own-address", "network-unavailable", "left-out-by-metallb"}
"""Of these nothing is missing, whatever they announce: nothing is expected."""
ROUTER = "router-session-down"
"""What is wrong with the only router."""

SERVICES = {
    "no-address": ("192.168.30.3", False),
    "no-endpoints": ("192.168.30.4", False),
    "no-local-endpoints": ("192.168.30.5", True),
    "other-class": ("192.168.30.6", False),
    "no-advertisement": ("192.168.30.17", True),
    "announced-elsewhere": ("192.168.30.33", False),
    "service-not-selected": ("192.168.30.49", False),
    "no-node": ("192.168.30.65", True),
    "not-in-a-pool": ("192.168.30.81", False),
}
"""The address of a Service, and whether what is wrong with it is an alarm."""
SHOP, FORGE, FAR = "192.168.30.1", "192.168.30.2", "192.168.30.129"
WELL = {"shop": SHOP, "forge": FORGE, "far": FAR}
"""Services with nothing wrong. `far` is outside of guard.prefixes at first."""
PODS_ON = {"no-local-endpoints": "left-out-by-metallb", "far": "prefix-not-allowed"}
"""Where externalTrafficPolicy is Local: the node of the only pod."""

LABELS = {
    "no-bgp-peer": {"rack": "r8"},
    "wrong-port": {"rack": "r9"},
    "excluded": {EXCLUDED: ""},
    "not-selected": {"onepeer": "no"},
    "left-out-by-metallb": {"role": "edge"},
}
NOT_RUNNING = {"speaker-not-running": "speaker", "frr-k8s-not-running": "frr-k8s"}
"""Which pod of a node is not ready."""

OURS = attribute(0x80, 10, ASN.to_bytes(4, "big"))
"""CLUSTER_LIST of a path that has been at a Onepeer of this cluster before."""

APPS = "/api/v1/namespaces/apps/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/apps/endpointslices"
PODS = "/api/v1/namespaces/metallb-system/pods"
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/bgpadvertisements.metallb.io"
FIELDS = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties"


def without(key: str, *values: str) -> dict[str, Any]:
    """The label selector that leaves these out."""
    return {"matchExpressions": [{"key": key, "operator": "NotIn", "values": list(values)}]}


def only(**labels: str) -> dict[str, Any]:
    """The label selector that takes these alone."""
    return {"matchLabels": labels}


@dataclass(frozen=True)
class Cluster:
    """The objects, as their users, MetalLB and the kubelets write them: each with its fault, or mended."""

    server: ApiServer
    stage: Stage

    def write(self) -> None:
        """All of them, with their faults."""
        for name in ("well", *NODES):
            self._node(name)
            self._pods(name)
        for name in (*WELL, *SERVICES):
            self._service(name)
        self._peers()
        self._pools()

    def mend(self) -> None:
        """What is wrong with an object is put right on that object."""
        for name in (*LABELS, "no-own-address", "network-unavailable", "node-not-ready"):
            self._node(name, mended=True)
        for name, component in NOT_RUNNING.items():
            self._set_ready(component, name, ready=True)
        self.server.delete(f"{APPS}/other-class")  # its class cannot be changed
        for name in ("no-address", "no-endpoints", "other-class", "service-not-selected"):
            self._service(name, mended=True)
        self._peers(mended=True)
        self._pools(mended=True)

    def _node(self, name: str, *, mended: bool = False) -> None:
        addresses = [] if name == "no-own-address" and not mended else [self.stage.host(30 + number(name))]
        labels = {} if mended else LABELS.get(name, {})
        self.server.put_node(name, *addresses, ready=mended or name != "node-not-ready", labels=labels)
        if name == "network-unavailable" and not mended:
            self._patch(f"/api/v1/nodes/{name}", {"conditions": conditions(Ready=True, NetworkUnavailable=True)})

    def _pods(self, node: str) -> None:
        """MetalLB's speaker, and frr-k8s, which dials for it."""
        for component in ("speaker", "frr-k8s"):
            kind = {"name": "METALLB_BGP_TYPE", "value": "frr-k8s"}
            spec = {"nodeName": node, "containers": [{"name": component, "image": "none", "env": [kind]}]}
            metadata = {"name": f"{component}-{node}", "labels": {"component": component}}
            self.server.put(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        if node in NOT_RUNNING:
            self._set_ready(NOT_RUNNING[node], node, ready=False)

    def _set_ready(self, component: str, node: str, *, ready: bool) -> None:
        self._patch(f"{PODS}/{component}-{node}", {"conditions": conditions(Ready=ready)})

    def _service(self, name: str, *, mended: bool = False) -> None:
        address = WELL[name] if name in WELL else SERVICES[name][0]
        policy = "Local" if name in PODS_ON else "Cluster"
        spec: dict[str, Any] = {"type": "LoadBalancer", "ports": [{"port": 80}], "externalTrafficPolicy": policy}
        if name == "other-class" and not mended:
            spec["loadBalancerClass"] = "example.com/other"
        labels = {"tier": "front"} if mended else {}
        self.server.put(APPS, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels},
                               "spec": spec})  # fmt: skip
        if mended or name != "no-address":
            self._patch(f"{APPS}/{name}", {"loadBalancer": {"ingress": [{"ip": address}]}})
        if mended or name != "no-endpoints":
            self._slice(name, PODS_ON.get(name, "well"))

    def _slice(self, service: str, node: str) -> None:
        metadata = {"name": service, "labels": {"kubernetes.io/service-name": service}}
        pods = [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "nodeName": node}]
        body = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": pods}
        self.server.put(SLICES, {**body, "metadata": metadata})

    def _peers(self, *, mended: bool = False) -> None:
        """One rack is left out by the BGPPeer to us, and another has one with a mistake."""
        to_us = {"myASN": ASN, "peerASN": ASN, "peerAddress": self.stage.host(10)}
        racks = without("rack", "r9") if mended else without("rack", "r8", "r9")
        self._metallb(PEERS, "BGPPeer", "main", "v1beta2", **to_us, peerPort=1790, nodeSelectors=[racks])
        port = 1790 if mended else 179
        self._metallb(PEERS, "BGPPeer", "typo", "v1beta2", **to_us, peerPort=port, nodeSelectors=[only(rack="r9")])
        self._metallb(PEERS, "BGPPeer", "other", "v1beta2", myASN=ASN, peerASN=64999, peerAddress="10.9.9.9")

    def _pools(self, *, mended: bool = False) -> None:
        """Of a Service whose pool is what is wrong the pool has its name."""
        nodes = {"nodeSelectors": [without("role", "edge")]}
        own: dict[str, dict[str, Any] | None] = {
            "no-advertisement": None,
            "announced-elsewhere": {"peers": ["other"]},
            "service-not-selected": {**nodes, "serviceSelectors": [only(tier="front")]},
            "no-node": {"nodeSelectors": [only(role="nowhere")]},
        }
        if mended:
            own |= dict.fromkeys(("no-advertisement", "announced-elsewhere", "no-node", "not-in-a-pool"), nodes)
        self._metallb(POOLS, "IPAddressPool", "main", addresses=["192.168.30.0/28", f"{FAR}/32"])
        self._metallb(ADVERTISEMENTS, "BGPAdvertisement", "main", ipAddressPools=["main"], **nodes)
        for name, spec in own.items():
            self._metallb(POOLS, "IPAddressPool", name, addresses=[f"{SERVICES[name][0]}/32"])
            if spec is not None:
                self._metallb(ADVERTISEMENTS, "BGPAdvertisement", name, ipAddressPools=[name], **spec)

    def _metallb(self, path: str, kind: str, name: str, version: str = "v1beta1", **spec: Any) -> None:
        self.server.put(path, metallb(kind, name, version, **spec))

    def _patch(self, path: str, status: dict[str, Any]) -> None:
        self.server.request("PATCH", f"{path}/status", {"status": status}, "application/merge-patch+json")


def number(name: str) -> int:
    """Of a node, as the stage counts them."""
    return ("well", *NODES).index(name)


def conditions(**said: bool) -> list[dict[str, str]]:
    """Of a status."""
    return [{"type": kind, "status": str(value)} for kind, value in said.items()]


@pytest.fixture
def cluster(server: ApiServer, stage: Stage) -> Iterator[Cluster]:
    """Nothing is in it. Its BGPAdvertisements may select Services, as those of MetalLB 0.16."""
    copied = {"op": "copy", "from": f"{FIELDS}/nodeSelectors", "path": f"{FIELDS}/serviceSelectors"}
    server.request("PATCH", DEFINITION, [copied], "application/json-patch+json")
    server.put("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "apps"}})
    wait_until(lambda: selects_services(server), LONG, "the definition is served")
    yield Cluster(server, stage)
    for path in (APPS, SLICES, PODS):
        server.delete(f"{path}?gracePeriodSeconds=0")
    removed = {"op": "remove", "path": f"{FIELDS}/serviceSelectors"}
    server.request("PATCH", DEFINITION, [removed], "application/json-patch+json")


def selects_services(server: ApiServer) -> bool:
    """Whether the API server has taken the field up."""
    body = metallb("BGPAdvertisement", "trial", serviceSelectors=[only(tier="front")])
    try:
        server.put(ADVERTISEMENTS, body)
    except Refused:
        return False
    server.delete(f"{ADVERTISEMENTS}/trial")
    return True


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault is an alarm at once, not after half a minute."""
    monkeypatch.setattr(watch, "GRACE", 0.0)
    monkeypatch.setattr(auditing, "START", 0.0)
    monkeypatch.setattr(auditing, "LOOK", 0.2)


@dataclass(frozen=True)
class Audit:
    """What the audit tells.

    missing     of the nodes: name, reason, and whether it is an alarm
    unannounced of the Services that nobody should announce: the same
    left_out    of the nodes of which nothing is expected: the reason
    routers     of those that get nothing: the reason, and whether it is an alarm
    """

    missing: set[tuple[str, str, bool]] = field(default_factory=set)
    unannounced: set[tuple[str, str, bool]] = field(default_factory=set)
    left_out: dict[str, str] = field(default_factory=dict)
    routers: list[tuple[str, bool]] = field(default_factory=list)

    @classmethod
    def of(cls, stage: Stage) -> "Audit":
        """As it is now."""
        view = stage.report().audit()
        return cls(
            {(one.node, one.reason, one.alarm) for one in view.findings},
            {(one.service.removeprefix("apps/"), one.why_none, one.alarm) for one in view.services if one.why_none},
            {one.node: one.reason for one in view.not_expected},
            [(one.reason, one.alarm) for one in view.routers],
        )


async def tells(stage: Stage, wanted: Audit) -> None:
    """Wait until the audit tells this and nothing else."""
    with contextlib.suppress(AssertionError):
        await until(lambda: Audit.of(stage) == wanted, "the audit is as wanted", LONG)
    assert Audit.of(stage) == wanted, stage.log()


async def speak(stage: Stage, name: str, *addresses: str, hop: str = "", **more: bytes) -> Wire:
    """The speaker of a node calls until it is taken, and announces these."""
    wire = await call(stage, name)
    while wire.lost:  # who was refused a moment ago is kept out for a second
        await asyncio.sleep(0.1)
        wire = await call(stage, name)
    announce(wire, stage, name, *addresses, hop=hop, **more)
    return wire


async def call(stage: Stage, name: str, asn: int = ASN) -> Wire:
    """A call of a node's speaker, once it is taken or refused."""
    at = 30 + number(name)
    wire = await stage.call(at, Identity(stage.host(at), asn=asn))
    await until(lambda: wire.up or wire.lost, f"{name} is answered\n{stage.log()}", LONG)
    return wire


def announce(wire: Wire, stage: Stage, name: str, *addresses: str, hop: str = "", **more: bytes) -> None:
    """A host route for each address."""
    if addresses:
        wire.announce(*(f"{one}/32" for one in addresses), hop=hop or stage.host(30 + number(name)), **more)


async def fail(stage: Stage) -> dict[str, Wire]:
    """What the speakers of the nodes do wrong, by what they say; those whose sessions stay."""
    up = {
        "well": await speak(stage, "well", SHOP, FORGE),
        "announces-nothing": await speak(stage, "announces-nothing"),
        "not-announced": await speak(stage, "not-announced", SHOP),
        "next-hop-not-own": await speak(stage, "next-hop-not-own", SHOP, FORGE, hop=stage.host(30 + number("well"))),
        "refused-by-guard": await speak(stage, "refused-by-guard", SHOP, FORGE, cluster=OURS),
        "prefix-not-allowed": await speak(stage, "prefix-not-allowed", SHOP, FORGE, FAR),
        "drained": await speak(stage, "drained", SHOP, FORGE),
    }
    (await speak(stage, "session-lost", SHOP, FORGE)).drop()
    assert (await call(stage, "refused", asn=65001)).lost
    assert stage.speaker is not None
    stage.speaker.drain("drained", False)
    return up


@pytest.mark.usefixtures("_at_once")
async def test_each_reason_is_told_of_whom_it_is_about_and_is_over_when_that_is_mended(
    cluster: Cluster, stage: Stage
) -> None:
    """All at once; what is a fault is an alarm."""
    cluster.write()
    kubeconfig, by_hand = str(cluster.server.kubeconfig()), {"manage": False}
    kubernetes = {"kubeconfig": kubeconfig, "selector": "onepeer!=no", "bgp_peers": by_hand}
    guard = {"prefixes": ["192.168.30.0/25"]}
    await stage.start(nodes={"file": None, "kubernetes": kubernetes}, guard=guard, router_id="192.0.2.10")
    await until(lambda: stage.said("guard_changed") and stage.said("roster_changed"), "the cluster is read", LONG)
    up = await fail(stage)
    faults = Audit(
        missing={(name, name, alarm) for name, alarm in NODES.items() if name not in LEFT_OUT},
        unannounced={(name, name, alarm) for name, (_, alarm) in SERVICES.items()},
        left_out={name: name for name in (*LEFT_OUT, "node-not-ready")},
        routers=[(ROUTER, True)],
    )
    await tells(stage, faults)

    await in_thread(cluster.mend)
    stage.settings["guard"] = {"prefixes": ["192.168.30.0/24"]}
    await stage.reload()
    assert stage.speaker is not None
    stage.speaker.drain("drained", None)
    addresses = [*WELL.values(), *(address for address, _ in SERVICES.values())]
    for name, wire in up.items():
        announce(wire, stage, name, *addresses)
    away = {name: name for name in ("session-lost", "refused")} | dict.fromkeys(NEVER_CALLED, "never-dialed")
    silent = {(name, reason, True) for name, reason in away.items()}
    await tells(stage, Audit(missing=silent, routers=[(ROUTER, True)]))

    await stage.router()
    for name in away:
        await speak(stage, name, *addresses)
    await tells(stage, Audit())


ELSEWHERE = {
    "wrong-password": "tests/interop/test_missing.py",
    "blocked-here": "tests/interop/test_missing.py",
    "node-silent": "tests/interop/test_vanished.py",
}
"""Reasons that need a network of their own, and where they are seen."""


def test_every_reason_is_seen_somewhere() -> None:
    """A new one needs a row above."""
    here = {*NODES, *SERVICES, ROUTER}
    assert here.isdisjoint(ELSEWHERE)
    assert here | ELSEWHERE.keys() == set(Reason)
    for word, file in ELSEWHERE.items():
        assert f'"{word}"' in (ROOT / file).read_text(), f"{word} is not seen in {file}"
