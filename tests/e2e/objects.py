"""What is written to the API server? Objects as plain trees, in the words of kubectl explain."""

from collections.abc import Mapping, Sequence
from typing import Any

Object = dict[str, Any]

METALLB = "metallb-system"
FRR_K8S = "frr-k8s-system"


def metallb(kind: str, name: str, spec: Object, version: str = "v1beta1") -> Object:
    """One of MetalLB's own objects."""
    metadata = {"name": name, "namespace": METALLB}
    return {"apiVersion": f"metallb.io/{version}", "kind": kind, "metadata": metadata, "spec": spec}


def pool(name: str, *ranges: str) -> Object:
    return metallb("IPAddressPool", name, {"addresses": list(ranges)})


def advertisement(name: str, pools: Sequence[str], **spec: Any) -> Object:
    return metallb("BGPAdvertisement", name, {"ipAddressPools": list(pools), **spec})


def bgp_peer(name: str, address: str, **spec: Any) -> Object:
    """A BGPPeer as a person writes it."""
    whole = {"myASN": 64512, "peerASN": 64512, "peerAddress": address, **spec}
    return metallb("BGPPeer", name, whole, "v1beta2")


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def node(name: str, *addresses: str, labels: Mapping[str, str] | None = None) -> Object:
    """A Node that is Ready, as its kubelet would register it."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        # frr-k8s is told its node by this label.
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address} for address in addresses],
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}],
        },
    }


def speaker_pod(node_name: str, mode: str) -> Object:
    """The Pod of MetalLB's speaker on a node: it looks itself up, and others see in it what kind it is."""
    container = {"name": "speaker", "image": "none", "env": [{"name": "METALLB_BGP_TYPE", "value": mode}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"speaker-{node_name}",
            "namespace": METALLB,
            "labels": {"app": "metallb", "component": "speaker"},
        },
        "spec": {"nodeName": node_name, "containers": [container]},
    }


def service(
    name: str, address: str | None = None, *, local: bool = False, port: int = 80, dual: bool = False
) -> Object:
    """A Service of type LoadBalancer; MetalLB chooses the address unless one is given.

    `local`: externalTrafficPolicy Local. `dual`: both families, and `address` is one of each, with a comma.
    """
    annotations = {"metallb.io/loadBalancerIPs": address} if address else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {
            "type": "LoadBalancer",
            "ports": [{"port": port, "protocol": "TCP"}],
            "externalTrafficPolicy": "Local" if local else "Cluster",
            **({"ipFamilyPolicy": "RequireDualStack"} if dual else {}),
        },
    }


def endpoints(name: str, *nodes: str, port: int = 80) -> Object:
    """The EndpointSlice of a service: one ready pod on each of these nodes."""
    pods = [
        {"addresses": [f"10.0.{number}.1"], "conditions": {"ready": True}, "nodeName": node_name}
        for number, node_name in enumerate(nodes)
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-e2e",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"port": port, "protocol": "TCP"}],
        "endpoints": pods,
    }


def password_secret(name: str, password: str) -> Object:
    """A Secret as MetalLB's BGPPeer names it (`passwordSecret`)."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": METALLB},
        "type": "kubernetes.io/basic-auth",
        "stringData": {"password": password},
    }
