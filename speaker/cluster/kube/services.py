"""Which Services want to be announced, where are their pods, and on which nodes does MetalLB's speaker run? Pure.

What is kept is what MetalLB's own decision is made of (v0.15.2, speaker/bgp_controller.go, ShouldAnnounce).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from speaker.cluster.kube.client import Object, Resource
from speaker.config import Kubernetes

SERVICES: Final = Resource("", "v1", "services")
SLICES: Final = Resource("discovery.k8s.io", "v1", "endpointslices")

SERVICE_NAME: Final = "kubernetes.io/service-name"
COMPONENTS: Final = ("component", "app.kubernetes.io/component")
"""Labels that say `speaker`: MetalLB's manifests have the first, its Helm chart the second."""
SPEAKER: Final = "speaker"
FRR_K8S: Final = "frr-k8s"
"""The components: with the kind `frr-k8s` a speaker only writes what the pods of frr-k8s do. MetalLB's manifests and
its chart have these in its own namespace."""
BGP_TYPE: Final = "METALLB_BGP_TYPE"


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What is kept of a Service of type LoadBalancer."""

    name: str
    """`namespace/name`."""
    uid: str
    addresses: tuple[str, ...]
    """What it was given; empty while it waits."""
    local: bool
    """externalTrafficPolicy Local: only nodes with a pod of it announce."""
    lb_class: str | None = None
    """spec.loadBalancerClass: whose it is, where there are several implementations."""
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SliceFacts:
    """What is kept of an EndpointSlice."""

    service: str
    """`namespace/name`."""
    endpoints: tuple[tuple[str, str, bool], ...]
    """Node (or empty), address, and whether it can serve."""


@dataclass(frozen=True, slots=True)
class Flags:
    """How a speaker was started, as far as it decides what it announces."""

    ignore_exclude_lb: bool = False
    lb_class: str | None = None

    def fill(self, kubernetes: Kubernetes) -> Kubernetes:
        """These settings, with the flags where they say nothing."""
        seen = {"ignore_exclude_lb": self.ignore_exclude_lb, "load_balancer_class": self.lb_class}
        return kubernetes.model_copy(update={key: seen[key] for key in seen if getattr(kubernetes, key) is None})


@dataclass(frozen=True, slots=True)
class SpeakerFacts:
    """What is kept of a pod of MetalLB's speaker, or of frr-k8s."""

    node: str
    ready: bool
    kind: str
    """`native`, `frr`, `frr-k8s`; empty where its container does not say."""
    component: str = SPEAKER
    flags: Flags = Flags()


def pods_in(namespace: str) -> Resource:
    """Pods."""
    return Resource("", "v1", "pods", namespace)


def service_facts(item: Object) -> ServiceFacts | None:
    """What is kept of an object that has a name; None for one of another type."""
    spec, metadata = _dict(item.get("spec")), _dict(item.get("metadata"))
    if spec.get("type") != "LoadBalancer":
        return None
    ingress = _dict(_dict(item.get("status")).get("loadBalancer")).get("ingress")
    given = [_dict(one).get("ip") for one in ingress] if isinstance(ingress, list) else []
    return ServiceFacts(
        name=_name(metadata),
        uid=str(metadata.get("uid", "")),
        addresses=tuple(address for address in given if isinstance(address, str)),
        local=spec.get("externalTrafficPolicy") == "Local",
        lb_class=None if spec.get("loadBalancerClass") is None else str(spec["loadBalancerClass"]),
        labels=tuple(sorted((key, str(value)) for key, value in _dict(metadata.get("labels")).items())),
    )


def slice_facts(item: Object) -> SliceFacts | None:
    """What is kept of an object that has a name; None for one of no Service."""
    metadata = _dict(item.get("metadata"))
    service = _dict(metadata.get("labels")).get(SERVICE_NAME)
    if not isinstance(service, str):
        return None
    found = item.get("endpoints")
    endpoints = []
    for one in map(_dict, found if isinstance(found, list) else ()):
        node, addresses = one.get("nodeName"), one.get("addresses")
        serves = _can_serve(_dict(one.get("conditions")))
        for address in addresses if isinstance(addresses, list) else ():
            endpoints.append((node if isinstance(node, str) else "", str(address), serves))
    return SliceFacts(f"{metadata.get('namespace')}/{service}", tuple(sorted(endpoints)))


def speaker_facts(item: Object) -> SpeakerFacts | None:
    """What is kept of a pod that has a name; None for one of neither component, or without a node."""
    labels, spec = _dict(_dict(item.get("metadata")).get("labels")), _dict(item.get("spec"))
    node, said = spec.get("nodeName"), [labels.get(label) for label in COMPONENTS]
    component = next((one for one in (SPEAKER, FRR_K8S) if one in said), None)
    if component is None or not isinstance(node, str):
        return None
    return SpeakerFacts(node, _is_ready(item), _kind(spec), component, _flags(spec))


def flags_of(speakers: Iterable[SpeakerFacts]) -> Flags:
    """Those of MetalLB as a whole: what one speaker has all will have, once a rollout is over."""
    found = [speaker.flags for speaker in speakers if speaker.component == SPEAKER]
    return Flags(
        any(flags.ignore_exclude_lb for flags in found),
        next((flags.lb_class for flags in found if flags.lb_class is not None), None),
    )


def _can_serve(conditions: dict[str, Any]) -> bool:
    """As MetalLB has it (internal/k8s/epslices): ready unless said otherwise, or serving while it ends."""
    return conditions.get("ready") is not False or conditions.get("serving") is True


def _is_ready(pod: Object) -> bool:
    """By its condition; a pod that says none, as one without a kubelet, by being there."""
    if _dict(pod.get("metadata")).get("deletionTimestamp"):
        return False
    conditions = _dict(pod.get("status")).get("conditions")
    said = [_dict(one) for one in conditions] if isinstance(conditions, list) else []
    return all(one.get("status") == "True" for one in said if one.get("type") == "Ready")


def _kind(spec: dict[str, Any]) -> str:
    for container in map(_dict, _list(spec.get("containers"))):
        for variable in map(_dict, _list(container.get("env"))):
            if variable.get("name") == BGP_TYPE:
                return str(variable.get("value", ""))
    return ""


def _flags(spec: dict[str, Any]) -> Flags:
    """Of the container's arguments, as Go's `flag` reads them: one hyphen or two, a value behind `=` or next to it."""
    said: dict[str, str] = {}
    for container in map(_dict, _list(spec.get("containers"))):
        words = [str(word) for word in (*_list(container.get("command")), *_list(container.get("args")))]
        for at, word in enumerate(words):
            name, equals, value = word.lstrip("-").partition("=")
            if word.startswith("-"):
                said[name] = value if equals else (words[at + 1] if at + 1 < len(words) else "")
    ignores = said.get("ignore-exclude-lb")
    return Flags(ignores is not None and ignores.lower() not in ("false", "f", "0"), said.get("lb-class") or None)


def _name(metadata: dict[str, Any]) -> str:
    return f"{metadata.get('namespace')}/{metadata.get('name')}"


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
