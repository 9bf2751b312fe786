"""Nodes that call us and whose paths are not there: each reason has its word, its alarm, and its end.

leviathan10  .40   its speaker is up and announces nothing
leviathan11  .41   its speaker says another's next hop, and nothing of the other Service
leviathan12  .42   its speaker is of another AS, and refused
the others         announce a Service that `guard.prefixes` keeps out
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e import objects
from tests.e2e.kubelet import NAMESPACE
from tests.e2e.metallb import NodeSpeaker
from tests.e2e.signs import Fault, Signs, of_nodes
from tests.e2e.world import ASN, GITEA, MEMBERS, ONEPEER, SOON, TRAEFIK, World
from tests.lab import FRR, Peer, wait_until

MUTE, CROOKED, FOREIGN = "leviathan10", "leviathan11", "leviathan12"
SETTINGS = "asn: 64512\nrouters: [{address: 192.168.3.1}]\nnodes: {kubernetes: {}}\n"
GUARDED = SETTINGS + "guard: {prefixes: [192.168.30.0/28]}\n"


class Mute(FRR):
    """A node's FRR that has nothing to announce."""

    def router_config(self) -> str:
        return self._node_config()


class Crooked(FRR):
    """A node's FRR with a mistake in its route-map."""

    def _node_policy(self, peer: Peer) -> list[str]:
        lines = super()._node_policy(peer)
        return [*lines, f"route-map {peer.address}-out permit 1", " set ip next-hop 192.168.3.77"]


@dataclass
class Wrong:
    """All faults of nodes at once."""

    world: World
    signs: Signs
    since: float
    speakers: dict[str, FRR]


@pytest.fixture(scope="module")
def wrong(running: World, signs: Signs) -> Iterator[Wrong]:
    """They begin when it is set up."""
    world = running
    hosts = {name: world.lab.host(name, f"192.168.3.{40 + at}/24") for at, name in enumerate((MUTE, CROOKED, FOREIGN))}
    for host in hosts.values():
        NodeSpeaker(world.metallb, host, "native").register()
    to_us = [Peer(ONEPEER, ASN, port=1790)]
    path = [f"{TRAEFIK}/32"]
    speakers = {
        MUTE: Mute(hosts[MUTE], ASN, to_us),
        CROOKED: Crooked(hosts[CROOKED], ASN, to_us, path),
        FOREIGN: FRR(hosts[FOREIGN], 65001, to_us, path),
    }
    begun = time.monotonic()
    for speaker in speakers.values():
        speaker.start()
    _set(world, GUARDED)
    world.serve("gitea", GITEA)
    yield Wrong(world, signs, begun, speakers)
    _set(world, SETTINGS)
    world.withdraw("gitea")
    for speaker in speakers.values():
        speaker.stop()
    for name in hosts:
        world.cluster.delete("pods", f"speaker-{name}", objects.METALLB)
        world.cluster.delete("nodes", name)


def _set(world: World, settings: str) -> None:
    """As `kubectl edit configmap` would."""
    assert world.pod is not None
    if world.cluster.get("configmaps", "onepeer", NAMESPACE)["data"]["onepeer.yaml"] == settings:
        return
    before = len(world.pod.events("settings_reloaded"))
    world.cluster.patch("configmaps", "onepeer", {"data": {"onepeer.yaml": settings}}, NAMESPACE)
    world.pod.sync()
    wait_until(lambda: len(world.pod.events("settings_reloaded")) > before, SOON, "it is taken up")


OF_MEMBERS = of_nodes([(name, "prefix-not-allowed") for name in MEMBERS])
OF_SPEAKERS = of_nodes(
    [(MUTE, "announces-nothing"), (CROOKED, "next-hop-not-own"), (CROOKED, "not-announced"), (FOREIGN, "refused")]
)


def test_what_is_up_and_not_announced_is_told_apart(wrong: Wrong) -> None:
    """By reason and node, by every sign within a minute; the Service that nobody may announce is not routed."""
    wrong.signs.named(OF_MEMBERS | OF_SPEAKERS, wrong.since)
    assert wrong.world.router_host.route(f"{GITEA}/32") == []


def test_what_is_mended_is_an_alarm_no_more(wrong: Wrong) -> None:
    """The guard is as wide as the pools again, and every member carries the Service."""
    _set(wrong.world, SETTINGS)
    wrong.world.routed(GITEA, *MEMBERS)
    wrong.signs.well(OF_MEMBERS)


def test_a_router_that_gets_nothing_is_an_alarm_within_a_minute(wrong: Wrong) -> None:
    """And none any more once it is back."""
    world, down = wrong.world, Fault("router", "192.168.3.1", "router-session-down")
    world.withdraw("gitea")
    begun = time.monotonic()
    world.router.crash()
    wrong.signs.named(OF_SPEAKERS - of_nodes([(CROOKED, "not-announced")]) | {down}, begun)
    world.router.start()
    wrong.signs.well([down])
    world.routed(TRAEFIK, *MEMBERS)


def test_speakers_that_are_mended_are_alarms_no_more(wrong: Wrong) -> None:
    """Each announces what it should, as its own next hop, and from our AS."""
    world = wrong.world
    for name, speaker in wrong.speakers.items():
        speaker.stop()
        wrong.speakers[name] = FRR(speaker.host, ASN, [Peer(ONEPEER, ASN, port=1790)], [f"{TRAEFIK}/32"])
        wrong.speakers[name].start()
    wrong.signs.well(OF_SPEAKERS)
    assert wrong.signs.alarms() == set()
    hops = world.router_host.route(f"{TRAEFIK}/32")
    assert set(hops) == {*world.v4(*MEMBERS), *(speaker.host.v4 for speaker in wrong.speakers.values())}
