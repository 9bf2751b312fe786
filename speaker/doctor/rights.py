"""What does the API server have to let us do? Each verb of deploy/'s roles with what it is for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from speaker.config import Settings
from speaker.doctor.facts import Right

METALLB: Final = "metallb.io"


def rights(settings: Settings, namespace: str) -> tuple[Right, ...]:
    """For these settings; `namespace` is ours."""
    return tuple(_rights(settings, namespace))


def _rights(settings: Settings, namespace: str) -> Iterator[Right]:
    kubernetes = settings.nodes.kubernetes
    if kubernetes is None:
        return
    theirs = kubernetes.metallb_namespace
    yield from _all(("list", "watch"), "", "nodes", None, "the roster")
    yield from _all(("list", "watch"), "", "services", None, "what should be announced")
    yield from _all(
        ("list", "watch"), "discovery.k8s.io", "endpointslices", None, "which Services have pods, and where"
    )
    for kind in ("ipaddresspools", "bgpadvertisements"):
        yield from _all(("list", "watch"), METALLB, kind, theirs, "what nodes may announce")
    yield from _all(("list", "watch"), "", "pods", theirs, "why a node never dials")
    yield from _all(("list", "watch"), METALLB, "bgppeers", theirs, "which node dials us")
    if kubernetes.bgp_peers.manage:
        yield from _all(("create", "patch", "delete"), METALLB, "bgppeers", theirs, "MetalLB's side of the sessions")
    yield from _all(("create",), "events.k8s.io", "events", "default", "Events on Nodes")
    if settings.replicas is not None:
        yield from _all(("create", "get", "update"), "coordination.k8s.io", "leases", namespace, "who leads")
        yield from _all(("create", "get"), "", "secrets/onepeer-replicas", namespace, "the replicas' key")


def _all(verbs: tuple[str, ...], group: str, resource: str, namespace: str | None, why: str) -> Iterator[Right]:
    for verb in verbs:
        yield Right(verb, group, resource, namespace, why)


def review(right: Right) -> dict[str, object]:
    """The SelfSubjectAccessReview for it."""
    resource, _, name = right.resource.partition("/")
    asked = {"verb": right.verb, "group": right.group, "resource": resource, "namespace": right.namespace or ""}
    if name and right.verb != "create":  # a name is not known to the API server when something is made
        asked["name"] = name
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    return {**body, "spec": {"resourceAttributes": asked}}
