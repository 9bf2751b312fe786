"""Nodes that join and leave, with nobody at the router."""

import time
from collections.abc import Iterator

import pytest

from tests.e2e import objects
from tests.e2e.world import EXCLUDED, MEMBERS, ONEPEER, SOON, TRAEFIK, Ping, World
from tests.lab import FRR, Peer, holds_for, wait_until
from tests.lab.sniff import FirstWords

NEW = "leviathan4"


@pytest.fixture
def newcomer(running: World) -> Iterator[World]:
    """leviathan4 is out of the cluster again afterwards."""
    yield running
    running.speakers[NEW].stop()
    running.cluster.delete("pods", f"speaker-{NEW}", objects.METALLB)
    running.cluster.delete("nodes", NEW)
    running.routed(TRAEFIK, *MEMBERS)


def test_a_node_joins_and_carries_traffic(newcomer: World) -> None:
    """From the Node object's creation and its speaker's first dial to the route in the router's kernel: under a
    second. The router's configuration is what it was."""
    lines = newcomer.router.vtysh("show running-config")
    ping = Ping(newcomer, TRAEFIK)
    words = FirstWords(newcomer.hosts[NEW], 1790)
    created = time.monotonic()
    newcomer.speakers[NEW].register()
    registered = time.monotonic()
    wait_until(lambda: NEW in _expected(newcomer), SOON, f"{NEW} is in the roster", every=0.005)
    in_roster = time.monotonic()
    newcomer.speakers[NEW].start()
    newcomer.routed(TRAEFIK, *MEMBERS, NEW)
    routed = time.monotonic()
    words.close()
    assert words.dialled is not None
    assert words.announced is not None
    roster, took = in_roster - created, routed - words.dialled
    print(f"\nNode object created to roster: {roster * 1000:.0f} ms (its two requests: {_ms(created, registered)})")
    print(f"first dial to the router's kernel: {took * 1000:.0f} ms, of which {_ms(words.dialled, words.announced)}")
    print(f"is the speaker's own, until its first UPDATE; Node object to kernel in all: {_ms(created, routed)},")
    print(f"of which {_ms(in_roster, words.dialled)} is the start of MetalLB's speaker")
    assert roster + took < 1.0
    lost, sent = ping.lost()
    assert lost == 0, f"{lost} of {sent} packets lost"
    newcomer.reached(TRAEFIK, *MEMBERS, NEW)
    assert newcomer.router.vtysh("show running-config") == lines


def test_a_node_whose_object_is_deleted_leaves_at_once(newcomer: World) -> None:
    """`kubectl delete node` ends its session and its routes, though its speaker runs on."""
    newcomer.speakers[NEW].register()
    newcomer.speakers[NEW].start()
    newcomer.routed(TRAEFIK, *MEMBERS, NEW)
    newcomer.cluster.delete("nodes", NEW)
    took = newcomer.routed(TRAEFIK, *MEMBERS, within=SOON)
    print(f"\nNode object deleted to the router's kernel: {took * 1000:.0f} ms")
    holds_for(lambda: NEW not in newcomer.up(), 3, "its speaker dials in vain")


def test_a_node_with_the_exclusion_label_is_left_out(running: World) -> None:
    """Kubernetes' own label for nodes that external load balancers shall not use."""
    running.cluster.kubectl("label", "node", "leviathan2", f"{EXCLUDED}=")
    try:
        running.routed(TRAEFIK, "leviathan1", "leviathan3")
    finally:
        running.cluster.kubectl("label", "node", "leviathan2", f"{EXCLUDED}-")
    running.routed(TRAEFIK, *MEMBERS)


def test_a_stranger_in_the_subnet_is_refused(running: World) -> None:
    """Who is no node of the cluster gets no session, and the log says who it was."""
    stranger = FRR(running.stranger, 64512, [Peer(ONEPEER, 64512, port=1790)], ["192.168.30.99/32"])
    stranger.start()
    try:
        assert running.pod is not None
        pod = running.pod
        told = wait_until(lambda: _refused(running, "192.168.3.66"), SOON, "it is told of", seen=pod.output)
        holds_for(lambda: not stranger.established(ONEPEER), 3, "the stranger gets no session")
    finally:
        stranger.stop()
    assert told[0]["level"] == "warning"
    running.routed("192.168.30.99")


def _expected(world: World) -> set[str]:
    """The nodes of the roster."""
    assert world.pod is not None
    status = world.pod.status()
    return {*status["nodes_up"], *(node["name"] for node in status["nodes_down"])}


def _refused(world: World, address: str) -> list[dict[str, object]]:
    assert world.pod is not None
    return [one for one in world.pod.events("stranger_refused") if one["address"] == address]


def _ms(begin: float, end: float) -> str:
    return f"{(end - begin) * 1000:.0f} ms"
