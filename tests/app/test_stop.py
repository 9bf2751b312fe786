"""How Onepeer ends: what routers and nodes are told, and what is left."""

import signal

import pytest

from tests.app.stage import Stage, until
from tests.app.wire import NATIVE, REFRESH, Identity
from tests.bgp.bgp_wire import NOTIFICATION

PREFIX = "192.168.30.1/32"
GOODBYE = b"Onepeer is stopping"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_with_graceful_restart_the_router_is_left_forwarding(stage: Stage, number: signal.Signals) -> None:
    """TCP is closed without a NOTIFICATION and without a withdrawal (RFC 4724 4); nodes get a Cease with a text."""
    router = await stage.router()
    await stage.start()
    node = await stage.node(1, PREFIX)
    await until(lambda: router.hops(PREFIX), "the router has the path")
    before = len(router.wire.messages)
    assert await stage.stop(number) == 0
    await until(lambda: router.wire.lost and node.lost, "both sessions have ended")
    assert router.wire.lost == "closed"
    assert router.wire.messages[before:] == []
    assert node.notification() == (6, 2)
    assert GOODBYE in node.notifications()[0]
    (line,) = stage.said("stopping")
    assert (line["reason"], line["graceful"]) == (number.name, [stage.host(1)])
    assert stage.names()[-1] == "stopped"


async def test_without_graceful_restart_the_router_gets_a_cease(stage: Stage) -> None:
    """6/2 with a text for people (RFC 9003), and no withdrawal before it."""
    router = await stage.router(1, Identity(stage.host(1), capabilities=(*NATIVE, REFRESH)))
    await stage.start()
    await stage.node(1, PREFIX)
    await until(lambda: router.hops(PREFIX), "the router has the path")
    before = len(router.wire.messages)
    assert await stage.stop() == 0
    await until(lambda: router.wire.lost, "the session has ended")
    assert [one[18] for one in router.wire.messages[before:]] == [NOTIFICATION]
    assert router.wire.notification() == (6, 2)
    assert GOODBYE in router.wire.notifications()[0]
    assert stage.said("stopping")[0]["graceful"] == []


async def test_a_restart_time_of_nothing_switches_graceful_restart_off(stage: Stage) -> None:
    """`restart_time: 0s`: not offered, so a router that has it gets the Cease too."""
    router = await stage.router()
    await stage.start(graceful_restart={"restart_time": "0s", "wait": "0s"})
    await until(lambda: router.up, "the router is up")
    assert router.wire.capability(64) is None
    await stage.stop()
    await until(lambda: router.wire.lost, "the session has ended")
    assert router.wire.notification() == (6, 2)


async def test_of_two_routers_each_is_left_in_its_way(stage: Stage) -> None:
    """`stopping` names the one that goes on forwarding."""
    stage.prepare()
    stage.settings["routers"].append({**stage.settings["routers"][0], "address": stage.host(2), "name": "plain"})
    keeps = await stage.router(1)
    plain = await stage.router(2, Identity(stage.host(2), capabilities=NATIVE))
    await stage.start()
    await until(lambda: keeps.up and plain.up, "both are up")
    await stage.stop()
    await until(lambda: keeps.wire.lost and plain.wire.lost, "both sessions have ended")
    assert NOTIFICATION not in keeps.wire.kinds()
    assert plain.wire.notification() == (6, 2)
    assert stage.said("stopping")[0]["graceful"] == [stage.host(1)]


async def test_what_was_not_sent_yet_does_not_keep_it_alive(stage: Stage) -> None:
    """A router that does not read: the end is no later for it."""
    router = await stage.router(receive_buffer=4096)
    await stage.start(guard={"prefixes": ["10.88.0.0/16"]})
    await until(lambda: router.up, "the router is up")
    router.wire.sleep()
    node = await stage.node(1)
    for med in range(40):
        hops = [f"10.88.{i // 250}.{i % 250 + 1}/32" for i in range(400)]
        node.announce(*hops, hop=stage.host(31), med=bytes.fromhex("800404") + med.to_bytes(4, "big"))
    await until(lambda: stage.status().paths["ipv4"] == 400, "the paths are there")
    assert await stage.stop() == 0


async def test_nobody_is_let_in_while_it_ends(stage: Stage) -> None:
    """A node that dials again at its Cease gets no session that would be cut off, and the socket file is gone."""
    await stage.start()
    node = await stage.node(1)
    assert stage.speaker is not None
    stage.speaker._asked_to_stop(signal.SIGTERM)
    await until(lambda: node.lost, "the session has ended")
    again = await stage.call(31, Identity(stage.host(31)))
    await until(lambda: again.lost, "the call has ended")
    assert again.octets == 0
    assert await stage.ended() == 0
    assert not (stage.folder / "control.sock").exists()


async def test_it_can_start_again_at_once(stage: Stage) -> None:
    """The ports are free although connections of the last run linger in the kernel; the router gets the table."""
    router = await stage.router()
    await stage.start()
    await stage.node(1, PREFIX)
    await until(lambda: router.hops(PREFIX), "the router has the path")
    await stage.stop()
    await stage.start()
    await stage.node(1, PREFIX)
    await until(lambda: len(router.calls) == 2 and router.hops(PREFIX), "the router has the path again")
