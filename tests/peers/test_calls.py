"""Who calls Onepeer: strangers, nodes that are up already, nodes whose host has restarted, and calls that break off."""

import asyncio
import os
import socket
import struct

import pytest

from speaker.bgp.iana import CeaseSubcode
from tests.app.stage import PORT, Stage, stays, until
from tests.app.wire import Identity, Wire
from tests.bgp.bgp_wire import OPEN


async def test_a_stranger_gets_a_reset_and_no_octet(stage: Stage) -> None:
    """An address that is neither in the roster nor a router's."""
    await stage.start()
    stranger = await stage.call(99, Identity(stage.host(99)))
    await until(lambda: stranger.lost, "the call has ended")
    assert (stranger.octets, stranger.lost) == (0, "reset")


async def test_many_calls_of_a_stranger_are_one_line_of_the_log(stage: Stage) -> None:
    """Counted all the same."""
    await stage.start()
    for _ in range(30):
        stranger = await stage.call(99)
        await until(lambda one=stranger: one.lost, "the call has ended")
    (line,) = stage.said("stranger_refused")
    assert (line["address"], line["count"]) == (stage.host(99), 1)
    assert stage.report().counters().connections_refused["stranger"] == 30


async def test_each_stranger_is_named(stage: Stage) -> None:
    """Two of them are two lines."""
    await stage.start()
    for number in (98, 99):
        stranger = await stage.call(number)
        await until(lambda one=stranger: one.lost, "the call has ended")
    assert [one["address"] for one in stage.said("stranger_refused")] == [stage.host(98), stage.host(99)]


async def test_a_second_call_of_a_node_that_is_up_is_refused_before_an_open(stage: Stage) -> None:
    """Not one octet, and a RST; the first session goes on and one line tells of many such calls."""
    await stage.start()
    first = await stage.node(1, "192.168.30.1/32")
    await until(lambda: stage.routes(), "its path is there")
    for _ in range(10):
        second = await stage.call(31, Identity(stage.host(31)))
        await until(lambda one=second: one.lost, "the call has ended")
        assert (second.octets, second.lost) == (0, "reset")
    assert first.up
    assert not stage.said("session_ended")
    assert stage.report().counters().connections_refused["already-established"] == 10
    (line,) = stage.said("node_refused")
    assert line["reason"] == "already-established"
    assert stage.routes()["192.168.30.1/32"].paths


@pytest.mark.skipif(os.geteuid() != 0, reason="TCP_REPAIR needs root: run `sudo make test`")
async def test_a_node_whose_host_lost_power_is_back_with_its_second_call(stage: Stage) -> None:
    """The first call finds the old session: a KEEPALIVE on it meets a kernel that knows it no more, and its RST ends
    it. Nobody waits for the hold timer."""
    await stage.start()
    old = await stage.node(1, "192.168.30.1/32")
    await until(lambda: stage.routes(), "its path is there")
    old.forget()
    refused = await stage.call(31)
    await until(lambda: refused.lost, "the first call has ended")
    await until(lambda: not stage.node_view(1).up, "the old session has ended", 1.0)
    again = await stage.call(31, Identity(stage.host(31)))
    await until(lambda: again.up, "leviathan1 is up again", 1.0)
    (end,) = stage.said("session_ended")
    assert end["cause"] == "connection-lost"


async def test_a_caller_that_calls_again_before_it_is_up_is_taken_anew(stage: Stage) -> None:
    """It has given up on the call before, which is closed without a NOTIFICATION."""
    await stage.start()
    first = await stage.call(31)
    await until(lambda: first.kinds() == [OPEN], "our OPEN")
    second = await stage.call(31, Identity(stage.host(31)))
    await until(lambda: second.up, "leviathan1 is up")
    await until(lambda: first.lost, "the first call has ended")
    assert first.kinds() == [OPEN]
    assert not stage.said("session_ended")


async def test_of_two_calls_in_the_same_moment_one_session_comes(stage: Stage) -> None:
    """Both are in the backlog before Onepeer looks; what the node announces on the other counts for nothing."""
    await stage.start()
    socks = [_connected(stage, 31) for _ in range(2)]
    wires = [await _wired(sock, Identity(stage.host(31))) for sock in socks]
    await until(lambda: any(wire.up for wire in wires), "leviathan1 is up")
    await until(lambda: any(wire.lost for wire in wires), "one call has ended")
    await stays(lambda: sum(wire.up for wire in wires) == 1, "one is up", 0.2)
    assert len(stage.said("session_established")) == 1
    (wire,) = (wire for wire in wires if wire.up)
    wire.announce("192.168.30.1/32", hop=stage.host(31))
    await until(lambda: stage.routes(), "its path is there")
    wire.hang_up()
    await until(lambda: not stage.routes(), "its path is gone")
    assert not stage.node_view(1).up


async def test_a_call_that_breaks_off_before_it_is_answered_leaves_nothing(stage: Stage) -> None:
    """A port scan from a node's address, or a speaker that is killed: no fault of ours, and the next call is taken."""
    await stage.start()
    for _ in range(3):
        sock = _connected(stage, 31)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        await asyncio.sleep(0.01)
    node = await stage.node(1)
    assert node.up
    assert stage.speaker is not None
    (peer,) = (one for one in stage.speaker.peering.nodes.values() if one.source.node == "leviathan1")
    assert len(peer._connections) == 1


async def test_a_call_that_is_in_the_air_when_onepeer_stops_gets_no_session(stage: Stage) -> None:
    """It was taken, and its node is gone from the roster before TCP is there."""
    await stage.start(count=1)
    assert stage.speaker is not None
    (peer,) = stage.speaker.peering.nodes.values()
    sock = _connected(stage, 31)
    while not peer._connections:  # noqa: ASYNC110  the transport is there two turns of the loop later
        await asyncio.sleep(0)
    peer.stop(CeaseSubcode.PEER_DECONFIGURED)
    wire = await _wired(sock, Identity(stage.host(31)))
    await until(lambda: wire.lost, "the call has ended")
    assert not peer._connections
    assert not stage.said("session_established")


async def test_sessions_that_come_and_go_leave_nothing(stage: Stage) -> None:
    """A node that flaps for a night costs no memory and no file descriptor."""
    await stage.start()
    assert stage.speaker is not None
    (peer, _) = stage.speaker.peering.nodes.values()
    await _flap(stage)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        await _flap(stage)
    # Two are the audit's own, which begins meanwhile (net/calls.py).
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    assert not peer._connections
    assert stage.routes() == {}
    assert len(stage.said("session_established")) == 51


async def test_a_router_that_calls_and_may_not_is_refused(stage: Stage) -> None:
    """`connect: active`: we dial it, and its own calls are reset."""
    await stage.start(router={"connect": "active"})
    router = await stage.router()
    await until(lambda: router.up, "the router is up")
    call = await stage.call(1, Identity(stage.host(1)))
    await until(lambda: call.lost, "the call has ended")
    assert (call.octets, call.lost) == (0, "reset")
    (line,) = stage.said("router_refused")
    assert line["reason"] == "active-only"
    assert router.up


async def _flap(stage: Stage) -> None:
    """Up with a path, and gone again."""
    node = await stage.node(1, "192.168.30.1/32")
    await until(lambda: stage.routes(), "its path is there")
    node.hang_up()
    await until(lambda: not stage.routes() and node.lost, "its path is gone")


def _connected(stage: Stage, number: int) -> socket.socket:
    """A connection that the kernel has taken and Onepeer has not seen: this turn of the loop is not over."""
    sock = socket.socket()
    sock.bind((stage.host(number), 0))
    sock.connect((stage.host(10), PORT))
    sock.setblocking(False)
    return sock


async def _wired(sock: socket.socket, identity: Identity) -> Wire:
    _, wire = await asyncio.get_running_loop().create_connection(lambda: Wire(identity), sock=sock)
    return wire
