"""The 59 days: nodes that are Ready and carry no traffic are named, each with its cause, and are well when mended.

leviathan5  .35   a firewall keeps its speaker's calls from leaving
leviathan6  .36   no pod of MetalLB's speaker
leviathan7  .37   its BGPPeer names a Secret with another password
leviathan8  .38   its BGPPeer names another port
leviathan9  .39   no BGPPeer takes it

People write the BGPPeers here, and Onepeer may open packet sockets (components/net-raw): without that a firewall and a
password look alike as long as several nodes never dial.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from tests.e2e import objects
from tests.e2e.kubelet import NAMESPACE
from tests.e2e.metallb import NodeSpeaker
from tests.e2e.signs import Fault, Signs, of_nodes
from tests.e2e.world import NATIVE, ONEPEER, TRAEFIK, World
from tests.lab import wait_until

FIREWALLED, BARE, SIGNING, PORTED, FORGOTTEN = (f"leviathan{number}" for number in range(5, 10))
CAUSES: Mapping[str, str] = {
    FIREWALLED: "never-dialed",
    BARE: "speaker-not-running",
    SIGNING: "wrong-password",
    PORTED: "wrong-port",
    FORGOTTEN: "no-bgp-peer",
}
FAULTS = of_nodes(CAUSES.items())
PASSWORD, WRONG = "blue-lantern", "red-lantern"
SETTINGS = """
asn: 64512
routers: [{address: 192.168.3.1}]
nodes:
  kubernetes: {bgp_peers: {manage: false}}
  password_file: /etc/onepeer-passwords/nodes
"""
DROP = "table inet fault { chain out { type filter hook output priority 0; policy accept;\ntcp dport 1790 drop\n}\n}\n"
BACKED_OFF = 130.0
"""Seconds until MetalLB's native speaker tries again, at most: it doubles its wait up to two minutes."""


@dataclass
class Broken:
    """Five nodes more, each with another fault."""

    world: World
    signs: Signs
    since: float
    speakers: dict[str, NodeSpeaker] = field(default_factory=dict)

    def peer(self, name: str, *nodes: str, secret: str = "right", port: int = 1790) -> None:
        """The BGPPeer of these nodes, as a person applies it."""
        spec = {
            "peerPort": port,
            "passwordSecret": {"name": secret, "namespace": objects.METALLB},
            "nodeSelectors": [
                {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [*nodes]}]}
            ],
        }
        self.world.cluster.apply(objects.bgp_peer(name, ONEPEER, **spec))


@pytest.fixture(scope="module")
def seen(native: World) -> Iterator[World]:
    """Two nodes that are well, with a password; nothing is broken yet."""
    world = native
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "onepeer-passwords", "namespace": NAMESPACE}}
    world.cluster.apply(objects.namespace(NAMESPACE), {**secret, "stringData": {"nodes": PASSWORD}})
    world.cluster.apply(objects.password_secret("right", PASSWORD), objects.password_secret("other", WRONG))
    folder = world.manifests("overlays/own-bgppeers", SETTINGS, "net-raw")
    (folder / "bgppeer.yaml").write_text("")
    world.run_pod(folder)
    yield world
    world.withdraw("traefik")
    world.undeploy()
    for name in ("right", "other"):
        world.cluster.delete("secrets", name, objects.METALLB)
    world.cluster.delete("secrets", "onepeer-passwords", NAMESPACE)


@pytest.fixture(scope="module")
def broken(seen: World, signs: Signs) -> Iterator[Broken]:
    """Everything is broken at once."""
    world = seen
    made = Broken(world, signs, 0.0)
    made.peer("well", *NATIVE, FIREWALLED, BARE)
    world.serve("traefik", TRAEFIK)
    world.routed(TRAEFIK, *NATIVE)
    # After a start nothing is missing until the nodes had their time; this is not about that.
    wait_until(lambda: not signs.pod.status()["waiting_for_nodes"], 70, "it waits for nobody", seen=world.story)
    for at, name in enumerate(CAUSES):
        host = world.lab.host(name, f"192.168.3.{35 + at}/24", gateways=["192.168.3.1"])
        host.add_service_address(TRAEFIK)
        made.speakers[name] = NodeSpeaker(world.metallb, host, "native")
    world.lab[FIREWALLED].run("sh", "-c", f"printf '{DROP}' | nft -f -")
    made.peer("signing", SIGNING, secret="other")
    made.peer("ported", PORTED, port=1791)
    made.since = time.monotonic()
    for name, speaker in made.speakers.items():
        speaker.register()
        if name == BARE:
            world.cluster.delete("pods", f"speaker-{BARE}", objects.METALLB)
        else:
            speaker.start()
    yield made
    for name, speaker in made.speakers.items():
        speaker.stop()
        world.cluster.delete("pods", f"speaker-{name}", objects.METALLB)
        world.cluster.delete("nodes", name)


def test_each_cause_is_told_apart_within_a_minute(broken: Broken) -> None:
    """By every sign; and those that are well by none."""
    broken.signs.named(FAULTS, broken.since)
    assert broken.signs.pod.cli("explain", "node", NATIVE[1]).returncode == 0
    done = broken.signs.pod.cli("explain", TRAEFIK)
    assert all(name in done.stdout for name in CAUSES)


def test_each_is_green_again_when_it_is_mended(broken: Broken) -> None:
    """And carries traffic. The firewall's node is the last: its speaker has backed off meanwhile."""
    world, signs = broken.world, broken.signs
    world.lab[FIREWALLED].run("nft", "delete", "table", "inet", "fault")
    broken.speakers[BARE].register()
    broken.speakers[BARE].start()
    broken.peer("signing", SIGNING)
    broken.peer("ported", PORTED)
    broken.peer("forgotten", FORGOTTEN)
    well = {fault for fault in FAULTS if fault.name != FIREWALLED}
    signs.well(well)
    wait_until(lambda: signs.alarms() <= {Fault("node", FIREWALLED, "never-dialed")}, 10, "no other", seen=signs.alarms)
    signs.well(FAULTS, BACKED_OFF)
    assert signs.alarms() == set()
    hops = set(world.router_host.route(f"{TRAEFIK}/32"))
    assert hops == {*world.v4(*NATIVE), *(world.lab[name].v4 for name in CAUSES)}
