"""MetalLB's speakers restart while traffic flows: FRR with its two ends, and MetalLB's native speaker in raw bytes.

The router's kernel is watched all the time: not one change of a route is the claim, not that it comes back.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.interop.network import ASN, CONVERGED, LONELY, PORT, PREFIX, SERVICE, SERVICE_PORT, SOON, Network
from tests.lab import FRR, NOBODY, Onepeer, Speaker, Traffic, wait_until
from tests.lab.raw import Raw, attributes, updates

HOLDING = {"hold_paths": "60s"}


@pytest.mark.parametrize(
    ("way", "line"),
    [(FRR.stop, {}), (FRR.crash, {"add_path": False})],
    ids=["SIGTERM-addpath", "SIGKILL-spread"],
)
def test_a_speaker_that_restarts_is_not_seen_by_the_router(
    net: Network, way: Callable[[Speaker], None], line: dict[str, bool]
) -> None:
    """A pod is replaced on a node that goes on forwarding: no route changes, no connection is lost."""
    _, onepeer, nodes = _running(net, **line)
    with _nothing_changes(net):
        way(nodes[0])
        wait_until(lambda: onepeer.ask("status")["held"] == ["n1"], SOON, "its paths are held", seen=net.logs)
        nodes[0].start()
        _until_nothing_is_held(net, onepeer)
    assert [one["fate"] for one in onepeer.events("held_paths_ended")] == ["refreshed"]


def test_all_speakers_restart_at_once_and_nothing_is_lost(net: Network) -> None:
    """A rollout of MetalLB that takes all pods: the router is not emptied, and it is told."""
    _, onepeer, nodes = _running(net)
    with _nothing_changes(net):
        for node in nodes:
            node.stop()
        wait_until(lambda: onepeer.ask("status")["mass_failure"], SOON, "it is told", seen=net.logs)
        for node in nodes:
            node.start()
        _until_nothing_is_held(net, onepeer)
    assert len(onepeer.events("mass_failure")) == 1
    assert len(onepeer.events("mass_failure_over")) == 1


def test_metallbs_native_speaker_restarts_unseen(net: Network) -> None:
    """It closes TCP without a word, and has neither graceful restart nor End-of-RIB."""
    router = net.router(FRR)
    onepeer = net.onepeer(nodes=HOLDING)
    speakers = [_native(net, number) for number in (0, 1)]
    net.sees(router, PREFIX[4], net.addresses(4, 2))
    with _nothing_changes(net):
        for number in (0, 1):
            speakers[number].close()
            wait_until(lambda: onepeer.ask("status")["held"], SOON, "its paths are held", seen=net.logs)
            speakers[number] = _native(net, number)
            _until_nothing_is_held(net, onepeer)


def test_a_node_that_is_removed_while_its_speaker_is_away_is_gone_at_once(net: Network) -> None:
    """Nothing holds the paths of a node that is not there, not even of the last of a service."""
    router, onepeer, nodes = _running(net)
    nodes[2].crash()
    wait_until(lambda: onepeer.ask("status")["held"] == ["n3"], SOON, "its paths are held", seen=net.logs)
    assert router.next_hops(LONELY[4]) == net.addresses(4)[2:]
    del onepeer.nodes[2]
    onepeer.write_nodes()
    net.sees(router, LONELY[4], [], SOON)
    net.sees(router, PREFIX[4], net.addresses(4, 2), SOON)


def _running(net: Network, nodes: dict[str, str] | None = None, **line: bool) -> tuple[Speaker, Onepeer, list[Speaker]]:
    """FRR as the router and on three nodes, and the router has it all."""
    router = net.router(FRR, **line)
    onepeer = net.onepeer(nodes=HOLDING)
    speakers = net.nodes(FRR)
    net.sees(router, LONELY[4], net.addresses(4)[2:])
    if line.get("add_path", True):
        net.sees(router, PREFIX[4], net.addresses(4))
    _until_nothing_is_held(net, onepeer)
    return router, onepeer, speakers


def _native(net: Network, number: int) -> Raw:
    """A speaker as MetalLB's native one on this node, with its service announced."""
    host = net.node_hosts[number]
    speaker = Raw.dial(host, net.onepeer_host.v4, PORT, host.v4)
    speaker.establish(ASN, host.v4)
    speaker.send(*updates(attributes(host.v4, local_pref=0), [PREFIX[4]]))
    return speaker


def _until_nothing_is_held(net: Network, onepeer: Onepeer) -> None:
    def settled() -> bool:
        status = onepeer.ask("status")
        return not status["held"] and sum(status["paths"].values()) > 0

    wait_until(settled, CONVERGED, "nothing is held any more", seen=net.logs, every=0.2)


@contextmanager
def _nothing_changes(net: Network) -> Iterator[None]:
    """Not one change in the router's kernel, and not one connection lost."""
    command = ["ip", "netns", "exec", net.router_host.namespace, "ip", "-4", "-o", "monitor", "route"]
    traffic = Traffic(net.client, SERVICE[4], SERVICE_PORT)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as monitor:
        try:
            yield
        finally:
            monitor.terminate()
            changes, _ = monitor.communicate()
    answered = traffic.stop()
    assert changes == ""
    assert answered[NOBODY] == 0, answered
    print(f"\n{answered.total()} connections, none lost; no route of the router's kernel has changed")
