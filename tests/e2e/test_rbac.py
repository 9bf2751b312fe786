"""What Onepeer may do: everything that it needs, nothing that it does not, and a clear word when one is missing."""

import copy
from collections.abc import Iterator

import pytest
import yaml

from tests.e2e.apiserver import ROOT, path_of
from tests.e2e.kubelet import NAMESPACE, Pod
from tests.e2e.objects import METALLB, Object, bgp_peer
from tests.e2e.world import World
from tests.lab import wait_until

TOLD = 15.0
"""Seconds until Onepeer has said what it may not do."""
OVERLAY = "overlays/replicas"
"""Several replicas may all that one may, and more."""
TEXTS = [(ROOT / "deploy" / folder / "rbac.yaml").read_text() for folder in ("base", OVERLAY)]
ROLES = [one for text in TEXTS for one in yaml.safe_load_all(text) if "Role" in one["kind"][-5:]]
Verb = tuple[str, str | None, str, str]
"""Kind and namespace of the role, resource, verb."""


def _verbs() -> list[Verb]:
    return [
        (role["kind"], role["metadata"].get("namespace"), resource, verb)
        for role in ROLES
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


@pytest.fixture(scope="module")
def pod(world: World) -> Iterator[Pod]:
    """Onepeer's pod; each test starts its container anew, with the roles as they then are."""
    yield world.deploy(OVERLAY)
    for role in ROLES:
        _put(world, role)
    world.undeploy()


@pytest.mark.parametrize("verb", _verbs(), ids=lambda verb: f"{verb[2]}-{verb[3]}")
def test_a_missing_verb_is_named(world: World, pod: Pod, verb: Verb) -> None:
    """Log or status name the resource, say that it is forbidden, and where to look."""
    kind, namespace, resource, name = verb
    pod.stop()
    _give_it_work(world, name)
    for role in ROLES:
        _put(world, _without(role, resource, name) if _is(role, kind, namespace) else role)
    pod.launch()
    wait_until(lambda: _told(pod, resource), TOLD, f"{resource} {name} is told of", seen=pod.output, every=0.2)
    (line, *_) = _told(pod, resource)
    assert "deploy/" in line, line
    print(f"\n{resource} {name}: {line}")


def test_the_token_opens_nothing_else(world: World, pod: Pod) -> None:
    """No Secret but one, no change of a Node, no BGPPeer outside MetalLB's namespace, no pod."""
    for role in ROLES:
        _put(world, role)
    account = ("auth", "can-i", "--as=system:serviceaccount:onepeer-system:onepeer")
    for asked in (
        "get secrets -n metallb-system",
        "list secrets -n onepeer-system",
        "get secrets/onepeer-passwords -n onepeer-system",
        "get leases -n kube-system",
        "patch nodes",
        "delete nodes",
        "create bgppeers.metallb.io -n default",
        "list bgppeers.metallb.io --all-namespaces",
        "create pods -n onepeer-system",
        "patch ipaddresspools.metallb.io -n metallb-system",
    ):
        assert world.cluster.kubectl(*account, *asked.split(), check=False).strip() == "no", asked


def _give_it_work(world: World, verb: str) -> None:
    """What makes it want to write: its BGPPeer, Leases and key are missing, or there is a peer of its own too many."""
    for kind in ("leases", "secrets"):
        for one in world.cluster.get(kind, namespace=NAMESPACE)["items"] if verb == "create" else ():
            world.cluster.delete(kind, one["metadata"]["name"], NAMESPACE)
    for peer in world.cluster.get("bgppeers", namespace=METALLB)["items"]:
        world.cluster.delete("bgppeers", peer["metadata"]["name"], METALLB)
    if verb == "delete":
        old = bgp_peer("onepeer-192-168-3-9", "192.168.3.9", peerPort=1790)
        labels = {"app.kubernetes.io/managed-by": "onepeer", "onepeer.io/replica": "leviathan1"}
        world.cluster.apply({**old, "metadata": {**old["metadata"], "labels": labels}})


def _put(world: World, role: Object) -> None:
    """Exactly this role, as `kubectl replace` has it."""
    meta = role["metadata"]
    world.cluster.request("PUT", path_of(role["kind"].lower() + "s", meta["name"], meta.get("namespace")), role)


def _is(role: Object, kind: str, namespace: str | None) -> bool:
    return role["kind"] == kind and role["metadata"].get("namespace") == namespace


def _without(role: Object, resource: str, verb: str) -> Object:
    """The role with one verb less on one resource."""
    changed = copy.deepcopy(role)
    rules = []
    for rule in changed["rules"]:
        for one in rule["resources"]:
            verbs = [name for name in rule["verbs"] if (one, name) != (resource, verb)]
            rules.append({**rule, "resources": [one], "verbs": verbs or ["none"]})
    return {**changed, "rules": rules}


def _told(pod: Pod, resource: str) -> list[str]:
    """Lines of the log that say that something about this resource is forbidden."""
    return [line for line in pod.output().splitlines() if resource in line and "forbidden" in line.lower()]
