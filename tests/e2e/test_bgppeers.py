"""MetalLB's side of the sessions: Onepeer writes its own BGPPeers, and leaves everybody else's alone."""

import time
from collections.abc import Iterator

import pytest

from tests.e2e import objects
from tests.e2e.apiserver import ROOT
from tests.e2e.kubelet import NAMESPACE, Pod
from tests.e2e.objects import METALLB, Object
from tests.e2e.world import FRR_SOON, NATIVE, ONEPEER, SOON, TRAEFIK, Ping, World
from tests.lab import holds_for, wait_until

OURS = "onepeer-192-168-3-31"
USERS = "to-the-old-router"


@pytest.fixture
def clean(native: World) -> Iterator[World]:
    """A cluster without Onepeer and without BGPPeers, before and after."""
    yield native
    native.withdraw("traefik")
    native.undeploy()


def test_nobody_has_to_write_a_bgppeer(clean: World) -> None:
    """Nodes dial by the BGPPeer that Onepeer makes, once it listens."""
    pod = clean.deploy()
    clean.serve("traefik", TRAEFIK)
    clean.routed(TRAEFIK, *NATIVE)
    clean.reached(TRAEFIK, *NATIVE)
    (peer,) = _peers(clean)
    assert peer["spec"]["peerAddress"] == ONEPEER
    assert peer["spec"]["peerPort"] == 1790
    listened = next(one["timestamp"] for one in pod.events("listening"))
    assert listened[:19] <= peer["metadata"]["creationTimestamp"][:19]


def test_what_people_wrote_is_left_alone(clean: World) -> None:
    """A BGPPeer of somebody's own is the same, to the resourceVersion, after all that Onepeer does."""
    clean.cluster.apply(objects.bgp_peer(USERS, "192.168.3.2", holdTime="30s"))
    before = clean.cluster.get("bgppeers", USERS, METALLB)
    pod = clean.deploy()
    wait_until(lambda: clean.cluster.find("bgppeers", OURS, METALLB), SOON, "ours is there", seen=pod.output)
    clean.all_up(*NATIVE)
    pod.stop()
    pod.start()
    clean.all_up(*NATIVE)
    clean.cluster.delete("bgppeers", OURS, METALLB)
    wait_until(lambda: clean.cluster.find("bgppeers", OURS, METALLB), SOON, "ours is put back", seen=pod.output)
    assert clean.cluster.get("bgppeers", USERS, METALLB) == before


def test_a_persons_peer_to_our_address_is_enough(clean: World) -> None:
    """None is made beside it: two sessions from one node to one address are one too many."""
    clean.cluster.apply(objects.bgp_peer("by-hand", ONEPEER, peerPort=1790))
    pod = clean.deploy()
    clean.all_up(*NATIVE)
    holds_for(lambda: clean.cluster.find("bgppeers", OURS, METALLB) is None, 3, "none is made", every=0.5)
    assert pod.events("bgp_peer_left")


def test_nodes_are_made_to_dial_after_onepeer_was_away(clean: World) -> None:
    """MetalLB's native speaker waits up to two minutes after two without a listener; a touch of the BGPPeer ends it."""
    pod = clean.deploy()
    clean.serve("traefik", TRAEFIK)
    clean.routed(TRAEFIK, *NATIVE)
    pod.crash()
    time.sleep(20)
    pod.launch()
    begun = time.monotonic()
    wait_until(lambda: _came_up(pod, 1) >= set(NATIVE), FRR_SOON, "native nodes are back", seen=pod.output)
    print(f"\nafter 20 s without Onepeer: native nodes were back {time.monotonic() - begun:.1f} s after its start")
    clean.routed(TRAEFIK, *NATIVE)


def test_a_password_is_rotated(clean: World) -> None:
    """Two Secrets change, no pod restarts, and not a packet is lost. With the old password nobody gets in."""
    _set_password(clean, "blue-lantern")
    settings = (ROOT / "deploy" / "onepeer.yaml").read_text()
    settings = settings.replace("kubernetes: {}\n", "kubernetes: {bgp_peers: {password_secret: onepeer-nodes}}\n")
    settings += "  password_file: /etc/onepeer-passwords/nodes\n"
    pod = clean.deploy(settings=settings)
    clean.serve("traefik", TRAEFIK)
    clean.routed(TRAEFIK, *NATIVE)
    _set_password(clean, "red-lantern")
    ping = Ping(clean, TRAEFIK)
    pod.sync()
    begun = time.monotonic()
    wait_until(lambda: pod.events("settings_reloaded"), SOON, "the new password is taken up", seen=pod.output)
    wait_until(lambda: _came_up(pod, 2) == set(NATIVE), FRR_SOON, "all are back", seen=clean.story)
    clean.routed(TRAEFIK, *NATIVE)
    lost, sent = ping.lost()
    print(f"\na password was rotated in {time.monotonic() - begun:.1f} s; {lost} of {sent} packets lost meanwhile")
    assert lost == 0


def test_kubectl_describe_node_tells_of_its_session(clean: World) -> None:
    """Up, and down with the reason, as Events of the Node."""
    clean.cluster.kubectl("delete", "events", "--all")  # those of the tests before
    pod = clean.deploy()
    clean.all_up(*NATIVE)
    said = wait_until(lambda: _described(clean, "SessionUp"), SOON, "the Event is there", seen=pod.output, every=0.5)
    assert "onepeer" in said
    clean.speakers["leviathan2"].stop()
    try:
        wait_until(lambda: _described(clean, "SessionDown"), SOON, "the Event is there", seen=pod.output, every=0.5)
    finally:
        clean.speakers["leviathan2"].start()


def _peers(world: World) -> list[Object]:
    found: list[Object] = world.cluster.get("bgppeers", namespace=METALLB)["items"]
    return found


def _set_password(world: World, password: str) -> None:
    """As `kubectl create secret` on both sides."""
    ours: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "onepeer-passwords", "namespace": NAMESPACE},
        "stringData": {"nodes": password},
    }
    world.cluster.apply(objects.namespace(NAMESPACE))
    world.cluster.apply(ours, objects.password_secret("onepeer-nodes", password))


def _came_up(pod: Pod, times: int) -> set[str]:
    """The nodes whose session came up so often, at least, since the container's start."""
    names = [str(one["node"]) for one in pod.events("session_established") if "node" in one]
    return {name for name in names if names.count(name) >= times}


def _described(world: World, word: str) -> str:
    text = world.cluster.kubectl("describe", "node", "leviathan2")
    return text if word in text else ""


def test_a_node_whose_bgppeer_has_the_wrong_port_is_named_within_a_minute(clean: World) -> None:
    """People wrote the BGPPeers: leviathan2's names a port that nobody listens on. Mended, it is well."""

    def to(node: str) -> dict[str, object]:
        return {"nodeSelectors": [{"matchLabels": {"kubernetes.io/hostname": node}}]}

    pod = clean.deploy("overlays/own-bgppeers")
    clean.cluster.delete("bgppeers", "to-onepeer", METALLB)
    clean.cluster.apply(
        objects.bgp_peer("right", ONEPEER, peerPort=1790, **to("leviathan1")),
        objects.bgp_peer("wrong", ONEPEER, peerPort=179, **to("leviathan2")),
    )
    clean.serve("traefik", TRAEFIK)

    def named() -> dict[str, str]:
        return {one["node"]: one["reason"] for one in pod.ask("audit")["findings"] if one["alarm"]}

    wait_until(
        lambda: named() == {"leviathan2": "wrong-port"},
        60,
        "it is named",
        seen=lambda: pod.ask("audit"),
        every=0.5,
    )
    done = pod.cli("explain", "node", "leviathan2")
    assert done.returncode == 3
    assert "wrong says 179, and we listen on 1790" in done.stdout, done.stdout
    clean.cluster.patch("bgppeers", "wrong", {"spec": {"peerPort": 1790}}, METALLB)
    wait_until(lambda: named() == {}, 20, "it is well", seen=named, every=0.5)
    clean.routed(TRAEFIK, *NATIVE)
