"""BFD with FRR's bfdd, as MetalLB's FRR mode has it with a BFDProfile. No ARP probes, so that it is BFD's word."""

import contextlib
import signal
import socket
import sys
import time
from collections.abc import Iterator

import pytest

from speaker.bfd.packet import Control, State, pack
from tests.interop.network import CONVERGED, PREFIX, SOON, Network
from tests.lab import BIRD, FRR, Host, Onepeer, Speaker, wait_until
from tests.lab.onepeer import answer
from tests.lab.wait import holds_for

NODES = {"hold_time": "90s", "hold_paths": "120s", "probe": "0s", "bfd": {}}
OURS = {4: "192.168.3.10", 6: "fd00:3::10"}


def _start(net: Network, family: int = 4, count: int = 3) -> tuple[Speaker, Onepeer, list[FRR]]:
    router, onepeer = net.router(BIRD, family=family), net.onepeer(family=family, nodes=NODES)
    nodes = [one for one in net.nodes(FRR, family=family, count=count, bfd=100) if isinstance(one, FRR)]
    net.sees(router, PREFIX[family], net.addresses(family, count))
    wait_until(lambda: _up(onepeer) == count, CONVERGED, "Onepeer has BFD with each node", seen=onepeer.output)
    for node in nodes:
        wait_until(lambda node=node: node.bfd(OURS[family])["status"] == "up", SOON, f"{node.host.name} has BFD")
    return router, onepeer, nodes


def _up(onepeer: Onepeer) -> int:
    return sum(one["bfd"] == "Up" for node in answer(onepeer.socket, "nodes")["nodes"] for one in node["sessions"])


@pytest.mark.parametrize("family", [4, 6])
def test_a_node_that_vanishes_leaves_the_router_in_under_half_a_second_and_the_others_stay(
    net: Network, family: int
) -> None:
    """Three packets 100 ms apart; its paths are back when it is."""
    router, onepeer, _ = _start(net, family)
    left = [host.address(family) for host in (net.node_hosts[0], net.node_hosts[2])]
    since = time.monotonic()
    net.node_hosts[1].unplug()
    try:
        wait_until(lambda: router.next_hops(PREFIX[family]) == sorted(left), SOON, "its path is gone", every=0.01)
        print(f"IPv{family}: gone after {1e3 * (time.monotonic() - since):.0f} ms")
        assert [one["node"] for one in onepeer.events("node_silent")] == ["n2"]
        assert [(one["node"], one["diag"]) for one in onepeer.events("bfd_down")] == [
            ("n2", "control-detection-time-expired")
        ]
    finally:
        net.node_hosts[1].plug()
    net.sees(router, PREFIX[family], net.addresses(family))
    wait_until(lambda: _up(onepeer) == 3, CONVERGED, "BFD is Up again", seen=onepeer.output)
    assert not [one for one in onepeer.events("session_ended") if one.get("node") in ("n1", "n3")]


def test_pauses_and_a_busy_host_are_no_death(net: Network) -> None:
    """Onepeer is stopped for 200 ms again and again, and for 2 s, with two busy processes beside it."""
    _, onepeer, nodes = _start(net, count=2)
    ends = [node.bfd(OURS[4])["id"] for node in nodes]
    with _busy(net.onepeer_host), _busy(net.onepeer_host):
        for pause in (0.2, 0.2, 0.2, 2.0):
            onepeer.signal(signal.SIGSTOP)
            time.sleep(pause)  # the length of the pause is what the test is about
            onepeer.signal(signal.SIGCONT)
            holds_for(lambda: _up(onepeer) == 2, 0.4, "both are Up")
    assert not onepeer.events("bfd_down")
    assert not onepeer.events("node_silent")
    assert [(node.bfd(OURS[4])["status"], node.bfd(OURS[4])["id"]) for node in nodes] == [("up", end) for end in ends]


def test_what_ends_at_a_nodes_speaker_is_no_dead_node(net: Network) -> None:
    """A person shuts BFD down (AdminDown, RFC 5882 4.2): the node is there to say it, and what FRR does to its own BGP
    session is held. A speaker is killed with its BFD: the kernel closes TCP first, and the node forwards."""
    router, onepeer, nodes = _start(net)
    nodes[0].vtysh("configure terminal", "bfd", "profile every100ms", "shutdown", daemon="bfdd")
    for process in nodes[1].processes:  # bfdd before bgpd, or it would tell
        process.signal(signal.SIGKILL)
    nodes[1].crash()
    wait_until(lambda: len(onepeer.events("bfd_down")) == 2, SOON, "both are Down", seen=onepeer.output)
    holds_for(lambda: router.next_hops(PREFIX[4]) == net.addresses(4), 1.0, "all paths stay")
    assert {(one["node"], one["diag"]) for one in onepeer.events("bfd_down")} == {
        ("n1", "neighbor-signaled-session-down"),
        ("n2", "control-detection-time-expired"),
    }
    assert not onepeer.events("node_silent")


def test_an_onepeer_that_is_killed_has_bfd_again_as_soon_as_it_is_back(net: Network) -> None:
    """Though the nodes believe in the session before for ten seconds."""
    _, onepeer, _ = _start(net, count=2)
    onepeer.crash()
    onepeer.start()
    wait_until(lambda: _up(onepeer) == 2, SOON, "BFD is Up again", seen=onepeer.output)


def test_packets_that_have_passed_a_router_are_not_answered(net: Network) -> None:
    """Only a TTL of 255 comes from the link (RFC 5881 5); and so does our answer."""
    net.onepeer(nodes=NODES)
    host = net.node_hosts[0]
    octets = pack(Control(State.DOWN, 5, 0, 3, 1_000_000, 1_000_000))
    with host.socket(4, socket.SOCK_DGRAM) as sender, host.socket(4, socket.SOCK_DGRAM) as listener:
        listener.bind((host.v4, 3784))
        listener.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 254)
        sender.sendto(octets, (OURS[4], 3784))
        listener.settimeout(0.3)
        with pytest.raises(TimeoutError):
            listener.recv(100)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
        sender.sendto(octets, (OURS[4], 3784))
        listener.settimeout(SOON)
        _, control, _, (_, port) = listener.recvmsg(100, 64)
        assert int.from_bytes(control[0][2], sys.byteorder) == 255
        assert port >= 49152


def test_on_a_node_of_its_own_onepeer_leaves_the_port_to_the_nodes_speaker(net: Network) -> None:
    """MetalLB's FRR needs it there, and would not get it."""
    host = net.onepeer_host
    onepeer = net.onepeer(nodes=NODES, roster=[{"name": "self", "addresses": [host.v4]}], router_id="192.0.2.1")
    (said,) = wait_until(lambda: onepeer.events("bfd_off"), SOON, "it is told", seen=onepeer.output)
    assert "this host is the node self" in said["why"]
    assert any("this host is the node self" in one for one in answer(onepeer.socket, "status")["warnings"])
    with host.socket(4, socket.SOCK_DGRAM) as theirs:
        theirs.bind(("0.0.0.0", 3784))


@contextlib.contextmanager
def _busy(host: Host) -> Iterator[None]:
    """A process that takes what it gets, for 20 s at most."""
    program = "import time\nend = time.monotonic() + 20\nwhile time.monotonic() < end: pass"
    process = host.start(sys.executable, "-c", program, log="busy.log")
    try:
        yield
    finally:
        process.kill()
