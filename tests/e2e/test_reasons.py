"""Nodes that call us and whose paths are not there: each reason has its word, its alarm, and its end.

leviathan8   .38   its speaker is up and announces nothing
leviathan9   .39   its speaker says another's next hop, and nothing of the other Service
leviathan10  .40   its speaker is of another AS, and refused
the others         announce a Service that `guard.prefixes` keeps out
"""

from collections.abc import Iterator

import pytest

from tests.e2e import objects
from tests.e2e.kubelet import NAMESPACE
from tests.e2e.metallb import NodeSpeaker
from tests.e2e.world import ASN, GITEA, MEMBERS, ONEPEER, SOON, TRAEFIK, World
from tests.lab import FRR, Peer, wait_until

NAMED = 60.0
"""Seconds until the fault is an alarm: the promise."""
MUTE, CROOKED, FOREIGN = "leviathan8", "leviathan9", "leviathan10"
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


@pytest.fixture(scope="module")
def wrong(running: World) -> Iterator[World]:
    """All three faults at once."""
    world = running
    hosts = {name: world.lab.host(name, f"192.168.3.{38 + at}/24") for at, name in enumerate((MUTE, CROOKED, FOREIGN))}
    for host in hosts.values():
        NodeSpeaker(world.metallb, host, "native").register()
    to_us = [Peer(ONEPEER, ASN, port=1790)]
    path = [f"{TRAEFIK}/32"]
    speakers = [
        Mute(hosts[MUTE], ASN, to_us),
        Crooked(hosts[CROOKED], ASN, to_us, path),
        FRR(hosts[FOREIGN], 65001, to_us, path),
    ]
    for speaker in speakers:
        speaker.start()
    _set(world, GUARDED)
    world.serve("gitea", GITEA)
    yield world
    _set(world, SETTINGS)
    world.withdraw("gitea")
    for speaker in speakers:
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


def _alarms(world: World) -> set[tuple[str, str]]:
    assert world.pod is not None
    return {(one["node"], one["reason"]) for one in world.pod.ask("audit")["findings"] if one["alarm"]}


def test_what_is_up_and_not_announced_is_told_apart(wrong: World) -> None:
    """By reason and node, within a minute; the Service that nobody may announce is not routed."""
    want = {(MUTE, "announces-nothing"), (CROOKED, "next-hop-not-own"), (CROOKED, "not-announced")}
    want |= {(FOREIGN, "refused")} | {(name, "prefix-not-allowed") for name in MEMBERS}
    wait_until(lambda: _alarms(wrong) == want, NAMED, "each has its reason", seen=lambda: _alarms(wrong), every=0.5)
    assert wrong.pod is not None
    for name, reason in want:
        done = wrong.pod.cli("explain", "node", name)
        assert done.returncode == 3
        assert reason in done.stdout, done.stdout
    assert wrong.router_host.route(f"{GITEA}/32") == []


def test_what_is_mended_is_an_alarm_no_more(wrong: World) -> None:
    """The guard is as wide as the pools again, and every member carries the Service."""
    _set(wrong, SETTINGS)
    wrong.routed(GITEA, *MEMBERS)
    members = set(MEMBERS)
    wait_until(lambda: not members & {name for name, _ in _alarms(wrong)}, SOON, "they are well", every=0.5)


def test_a_router_that_gets_nothing_is_an_alarm_within_a_minute(wrong: World) -> None:
    """And none any more once it is back."""
    pod = wrong.pod
    assert pod is not None

    def down() -> list[str]:
        assert pod is not None
        return [one["reason"] for one in pod.ask("audit")["routers"] if one["alarm"]]

    wrong.router.crash()
    wait_until(lambda: down() == ["router-session-down"], NAMED, "it is an alarm", seen=down, every=0.5)
    wrong.router.start()
    wait_until(lambda: not down(), 30, "it is back", seen=down, every=0.5)
    wrong.routed(TRAEFIK, *MEMBERS)
