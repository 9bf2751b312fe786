"""Nodes whose session has to be refused or ended: each told why, held off before an OPEN, and nobody else notices."""

import time

import pytest

from tests.app.stage import Stage, until
from tests.app.wire import Identity, Wire
from tests.bgp.bgp_wire import NOTIFICATION, OPEN, UPDATE, message

OTHER_AS = 65001


async def test_a_wrong_as_is_told_and_then_held_off_before_an_open(stage: Stage) -> None:
    """NOTIFICATION 2/2; the calls that follow at once get no octet, and one line of the log names the AS numbers."""
    await stage.start()
    healthy = await stage.node(2)
    wrong = await _refused(stage)
    assert wrong.notification() == (2, 2)
    held = await stage.call(31, Identity(stage.host(31)))
    await until(lambda: held.lost, "the call has ended")
    assert held.octets == 0
    first, second = stage.said("node_refused")
    assert first["text"] == "AS 65001 where AS 64512 is configured"
    assert second["reason"] == "held-off"
    assert stage.node_view(1).why_down == "refused: AS 65001 where AS 64512 is configured"
    assert healthy.up


async def test_the_oftener_a_node_is_refused_the_longer_it_is_held_off(stage: Stage) -> None:
    """MetalLB dials again with no delay: some seconds of that are two OPENs, not thousands."""
    await stage.start()
    begun, opened = time.monotonic(), []
    while len(opened) < 3:
        wire = await stage.call(31, Identity(stage.host(31), asn=OTHER_AS))
        await until(lambda one=wire: one.lost, "the call has ended")
        if wire.octets:
            opened.append(time.monotonic() - begun)
    first, second = opened[1] - opened[0], opened[2] - opened[1]
    assert 0.7 < first < 1.6
    assert 1.4 < second < 3.0
    assert len(stage.said("node_refused")) == 2  # the wrong AS, and that it is held off


async def test_a_node_is_taken_again_once_it_is_right_and_the_time_is_over(stage: Stage) -> None:
    """Without anything to be done on our side."""
    await stage.start()
    await _refused(stage)
    right = await _again(stage, Identity(stage.host(31)))
    assert right.up
    assert stage.node_view(1).why_down is None


async def test_more_than_max_prefixes_end_that_session(stage: Stage) -> None:
    """Cease 6/1, its paths go from the router, another node's stay, and it is held off."""
    await stage.start(nodes={"max_prefixes": 3})
    router = await stage.router()
    await stage.node(2, "192.168.30.1/32")
    greedy = await stage.node(1, "192.168.30.1/32", "192.168.30.2/32")
    await until(lambda: len(router.hops("192.168.30.1/32")) == 2, "the router has both paths")
    greedy.announce("192.168.30.3/32", "192.168.30.4/32", hop=stage.host(31))
    await until(lambda: greedy.lost, "the session has ended")
    assert greedy.notification() == (6, 1)
    await until(lambda: router.hops("192.168.30.1/32") == [stage.host(32)], "its paths are gone")
    assert not router.hops("192.168.30.2/32")
    (line,) = stage.said("max_prefixes_exceeded")
    assert (line["node"], line["prefixes"], line["limit"]) == ("leviathan1", 4, 3)
    held = await stage.call(31, Identity(stage.host(31)))
    await until(lambda: held.lost, "the call has ended")
    assert held.octets == 0
    assert router.wire.table.ends
    assert stage.node_view(1).why_down == "stopped: 6/1 Cease / Maximum Number of Prefixes Reached"


async def test_refused_paths_count_for_max_prefixes_too(stage: Stage) -> None:
    """They are kept, with the reason: a node must not fill our memory with what it may not announce."""
    await stage.start(nodes={"max_prefixes": 3})
    greedy = await stage.node(1, *(f"10.0.0.{i}/32" for i in range(4)))
    await until(lambda: greedy.lost, "the session has ended")
    assert greedy.notification() == (6, 1)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET / HTTP/1.1\r\nHost: onepeer\r\n\r\n", (1, 1)),
        (message(9), (1, 3)),
        (message(UPDATE, b"\0\0\0\0"), (5, 1)),
    ],
    ids=["no-bgp", "unknown-type", "update-before-open"],
)
async def test_nonsense_is_answered_with_the_rfcs_word(stage: Stage, sent: bytes, expected: tuple[int, int]) -> None:
    """RFC 4271 6.1, RFC 6608: and the session ends, with one line of the log."""
    await stage.start()
    wire = await stage.call(31)
    wire.send(sent)
    await until(lambda: wire.lost, "the call has ended")
    assert wire.kinds() == [OPEN, NOTIFICATION]
    assert wire.notification() == expected
    (line,) = stage.said("node_refused")
    assert line["node"] == "leviathan1"


async def test_a_malformed_update_costs_its_routes_and_not_the_session(stage: Stage) -> None:
    """RFC 7606: treated as withdrawn, told once, and the path that was there before is gone."""
    await stage.start()
    node = await stage.node(1, "192.168.30.1/32")
    await until(lambda: stage.routes(), "the path is there")
    for _ in range(3):
        node.announce("192.168.30.1/32", hop=stage.host(31), odd=bytes.fromhex("c00803010203"))  # COMMUNITIES
    await until(lambda: not stage.routes() or node.lost, "the path is gone")
    assert node.up
    (line,) = stage.said("update_malformed")
    assert line["node"] == "leviathan1"


async def test_paths_that_the_guard_refuses_are_told_once_for_each_reason(stage: Stage) -> None:
    """The session stays, and so do its good paths."""
    await stage.start()
    node = await stage.node(1, "192.168.30.1/32")
    for number in range(5):
        node.announce(f"10.0.0.{number}/32", hop=stage.host(31))
        node.announce(f"192.168.30.{100 + number}/32", hop=stage.host(32))
    await until(lambda: stage.status().refused == 10, "all are refused")
    assert [one["reason"] for one in stage.said("paths_refused")] == ["prefix-not-allowed", "next-hop-not-own"]
    assert node.up
    assert stage.routes()["192.168.30.1/32"].paths


async def _refused(stage: Stage) -> Wire:
    wire = await stage.call(31, Identity(stage.host(31), asn=OTHER_AS))
    await until(lambda: wire.lost, "the call has ended")
    return wire


async def _again(stage: Stage, identity: Identity) -> Wire:
    """Dial as MetalLB does, until it is up."""
    while True:
        wire = await stage.call(31, identity)
        await until(lambda one=wire: one.lost or one.up, "an answer")
        if wire.up:
            return wire
