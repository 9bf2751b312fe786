"""deploy/ as people apply it: the API server takes all of it, and each overlay does what its first lines say."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e import objects, onefile
from tests.e2e.apiserver import ROOT, Refused
from tests.e2e.kubelet import NAMESPACE, Pod
from tests.e2e.objects import METALLB
from tests.e2e.world import ASN, FRR_SOON, GITEA, NATIVE, ONEPEER, SOON, TRAEFIK, Ping, World
from tests.lab import Peer, wait_until

REPLICAS = ("leviathan1", "leviathan2")
OVERLAYS = ["", "overlays/daemonset", "overlays/own-bgppeers"]
WITH_RIGHTS = "overlays/replicas"
"""It has rights on its host, and so more objections."""


@pytest.fixture
def clean(native: World) -> Iterator[World]:
    """A cluster without Onepeer, before and after."""
    yield native
    native.withdraw("traefik", "gitea")
    native.undeploy()


def test_the_one_file_is_what_the_folder_makes() -> None:
    """Else: python -m tests.e2e.onefile"""
    assert onefile.FILE.read_text() == onefile.whole()


@pytest.mark.parametrize("overlay", [*OVERLAYS, WITH_RIGHTS])
def test_the_api_server_takes_every_object(world: World, overlay: str) -> None:
    """Every field is known to it, and every object valid. Its namespace has to be there for that."""
    world.cluster.apply(objects.namespace(NAMESPACE))
    folder = str(ROOT / "deploy" / overlay)
    said = world.cluster.kubectl("apply", "-k", folder, "--dry-run=server", "--validate=strict")
    kind = "daemonset" if "daemonset" in overlay else "deployment"
    assert f"{kind}.apps/onepeer created (server dry run)" in said, said
    assert "Warning" not in said, said


@pytest.mark.parametrize("overlay", [*OVERLAYS, WITH_RIGHTS])
def test_what_onepeer_keeps_may_lie_on_the_host(world: World, overlay: str) -> None:
    """With one line in any of the folders; what gives the folder to its user has no capability for that."""
    folder = world.manifests(overlay, component="state-on-host")
    pod = _pod(folder)
    (state,) = [one for one in pod["volumes"] if one["name"] == "state"]
    assert state == {"name": "state", "hostPath": {"path": "/var/lib/onepeer", "type": "DirectoryOrCreate"}}
    (giver,) = pod["initContainers"]
    assert giver["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert giver["image"] == pod["containers"][0]["image"]
    world.cluster.apply(objects.namespace(NAMESPACE))
    world.cluster.kubectl("apply", "-k", str(folder), "--dry-run=server", "--validate=strict")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_packet_sockets_are_one_line_more(world: World, overlay: str) -> None:
    """And one capability; tests/e2e/test_missing_nodes.py runs with it."""
    folder = world.manifests(overlay, component="net-raw")
    pod = _pod(folder)
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsNonRoot"]) == (0, False)
    context = pod["containers"][0]["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["NET_RAW"]}
    assert not context["allowPrivilegeEscalation"]
    world.cluster.apply(objects.namespace(NAMESPACE))
    world.cluster.kubectl("apply", "-k", str(folder), "--dry-run=server", "--validate=strict")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pod_security_has_one_objection_and_that_is_the_hosts_network(world: World, overlay: str) -> None:
    """All else that the level `restricted` asks for is kept: user, capabilities, seccomp, volumes."""
    label = "pod-security.kubernetes.io/enforce=restricted"
    world.cluster.apply(objects.namespace("strict"))
    world.cluster.kubectl("label", "namespace", "strict", label, "--overwrite")
    metadata = {"name": "onepeer", "namespace": "strict"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": _pod(ROOT / "deploy" / overlay)}
    said = _refusal(world, pod)
    assert "host namespaces (hostNetwork=true)" in said, said
    assert "hostPort" in said, said
    for other in ("capabilities", "runAsNonRoot", "seccompProfile", "allowPrivilegeEscalation", "volume types"):
        assert other not in said, said


def test_the_container_needs_no_right_that_it_has_not(clean: World) -> None:
    """Not root, no capability, nothing writable but its volumes: and it listens, dials, and answers its probes."""
    pod = clean.deploy()
    clean.serve("traefik", TRAEFIK)
    clean.routed(TRAEFIK, *NATIVE)
    assert pod.process is not None
    status = Path(f"/proc/{pod.process.pid}/status").read_text()
    lines = dict(line.split(":\t", 1) for line in status.splitlines())
    assert lines["Uid"].split() == ["65532"] * 4
    assert {lines[key] for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert lines["NoNewPrivs"] == "1"
    wait_until(lambda: pod.probe("readinessProbe") == 200, SOON, "it is ready", seen=pod.output)
    assert {pod.probe(name) for name in ("startupProbe", "livenessProbe")} == {200}
    assert not pod.events("request_failed")


def test_an_edited_settings_file_is_taken_up_without_a_restart(clean: World) -> None:
    """`kubectl apply -k deploy/` again: kubelet moves a link, and no session is touched."""
    pod = clean.deploy()
    clean.serve("traefik", TRAEFIK)
    clean.routed(TRAEFIK, *NATIVE)
    folder = clean.manifests()
    text = (folder / "onepeer.yaml").read_text()
    (folder / "onepeer.yaml").write_text(text + "log: {level: debug}\n")
    clean.cluster.kubectl("apply", "-k", str(folder))
    pod.sync()
    wait_until(lambda: pod.events("settings_reloaded"), 5, "the settings are taken up", seen=pod.output)
    assert not pod.events("session_ended")
    assert clean.up() == set(NATIVE)


def test_the_overlay_for_own_bgppeers(clean: World) -> None:
    """People wrote the BGPPeer, in its own words; Onepeer neither makes one nor may."""
    pod = clean.deploy("overlays/own-bgppeers")
    clean.serve("traefik", TRAEFIK)
    clean.routed(TRAEFIK, *NATIVE)
    clean.reached(TRAEFIK, *NATIVE)
    found = clean.cluster.get("bgppeers", namespace=METALLB)["items"]
    assert [one["metadata"]["name"] for one in found] == ["to-onepeer"]
    status = pod.status()
    assert status["roster"]["problem"] is None
    assert status["health"] == "ok"
    may = ("auth", "can-i", "--as=system:serviceaccount:onepeer-system:onepeer", "-n", METALLB)
    assert clean.cluster.kubectl(*may, "create", "bgppeers", check=False).strip() == "no"
    assert clean.cluster.kubectl(*may, "list", "ipaddresspools", check=False).strip() == "yes"


def test_the_overlay_with_several_replicas(clean: World) -> None:
    """Each has a line on the router; one that dies takes nothing with it, not a packet."""
    clean.router.replace_peers([Peer(clean.hosts[name].v4, ASN) for name in REPLICAS])
    clean.label("leviathan2")
    pod = clean.deploy("overlays/daemonset")
    other = Pod(clean.cluster, clean.hosts["leviathan2"])
    other.schedule()
    other.start()
    try:
        clean.serve("traefik", TRAEFIK)
        clean.all_up(*NATIVE)
        wait_until(lambda: set(other.status()["nodes_up"]) == set(NATIVE), FRR_SOON, "both have all nodes")
        clean.routed(TRAEFIK, *NATIVE)
        paths = len(clean.router.paths(f"{TRAEFIK}/32"))
        assert paths == len(NATIVE) * len(REPLICAS), paths
        ping = Ping(clean, TRAEFIK)
        pod.crash()
        wait_until(lambda: not clean.router.established(pod.host.v4), SOON, "the router has noticed")
        clean.serve("gitea", GITEA)
        clean.routed(GITEA, *NATIVE)
        lost, sent = ping.lost()
        assert lost == 0, f"{lost} of {sent} packets lost"
        clean.reached(TRAEFIK, *NATIVE)
    finally:
        other.stop()
        clean.router.replace_peers([Peer(ONEPEER, ASN)])


def _pod(folder: Path) -> objects.Object:
    """What the controllers make pods by."""
    made = yaml.safe_load_all(onefile.rendered(folder))
    (pod,) = [one["spec"]["template"]["spec"] for one in made if one["kind"] in ("Deployment", "DaemonSet")]
    return dict(pod)


def _refusal(world: World, pod: objects.Object) -> str:
    """Why the API server does not take this pod."""
    with pytest.raises(Refused) as refused:
        world.cluster.request("POST", "/api/v1/namespaces/strict/pods", pod)
    return str(refused.value)
