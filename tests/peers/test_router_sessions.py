"""Onepeer and a router: who dials, which of two connections stays, and what comes after a restart."""

import pytest

from tests.app.stage import ROUTER_PORT, Stage, stays, until
from tests.app.wire import FULL, NATIVE, REFRESH, Identity, Wire
from tests.bgp.bgp_wire import ALIVE, IPV4, IPV6, NOTIFICATION, OPEN

PREFIX = "192.168.30.1/32"
PLAIN = (*NATIVE, REFRESH)
"""A router without graceful restart."""


async def test_a_router_is_dialed_from_the_listen_address(stage: Stage) -> None:
    """That is the `neighbor` of its one line."""
    await stage.start()
    router = await stage.router()
    await until(lambda: router.up, "the router is up")
    assert router.wire.socket.getpeername()[0] == stage.host(10)
    session = stage.router_view().lanes[0].session
    assert session.remote == f"{stage.host(1)}:{ROUTER_PORT}"
    assert session.state == "Established"


async def test_a_router_may_call(stage: Stage) -> None:
    """`connect: passive`: we never dial, and take its call."""
    await stage.start(router={"connect": "passive"})
    router = await stage.router()
    await stays(lambda: not router.calls, "nobody dials the router", 0.3)
    call = await stage.call(1, Identity(stage.host(1), capabilities=FULL), id_size=4)
    await until(lambda: call.up, "the router is up")
    await stage.node(1, PREFIX)
    await until(lambda: call.table.hops(PREFIX) == [stage.host(31)], "it has the path")


async def test_a_router_that_cannot_be_dialed_may_call(stage: Stage) -> None:
    """`connect: both`, and a firewall before it; our dialing goes on and disturbs nobody."""
    await stage.start()
    call = await stage.call(1, Identity(stage.host(1), capabilities=PLAIN))
    await until(lambda: call.up, "the router is up")
    router = await stage.router()
    await stays(lambda: call.up and not router.calls, "the session stands alone", 0.5)


@pytest.mark.parametrize("theirs", ["127.0.0.1", "223.255.255.254"], ids=["ours-is-higher", "theirs-is-higher"])
@pytest.mark.parametrize("capabilities", [PLAIN, FULL], ids=["plain", "graceful-restart"])
@pytest.mark.parametrize("first", ["dialed", "accepted"])
async def test_of_two_connections_that_open_at_once_one_stays(
    stage: Stage, theirs: str, capabilities: tuple[bytes, ...], first: str
) -> None:
    """RFC 4271 6.8: that of the side with the higher identifier, whichever OPEN is first. Cease 6/7 on the other."""
    dialed, accepted, identity = await _two_connections(stage, theirs, capabilities)
    order = [dialed, accepted] if first == "dialed" else [accepted, dialed]
    for wire in order:
        wire.send(identity.open())
    keeper = dialed if theirs == "127.0.0.1" else accepted
    (loser,) = {dialed, accepted} - {keeper}
    await until(lambda: loser.lost, "one has ended")
    assert loser.notification() == (6, 7)
    keeper.send(ALIVE)
    await until(lambda: stage.router_view().lanes[0].session.state == "Established", "the other is up")
    await stays(lambda: not keeper.lost, "it stays", 0.2)
    assert len(stage.said("session_established")) == 1
    assert not stage.said("router_refused", "session_ended", "dial_failed")


@pytest.mark.parametrize("theirs", ["127.0.0.1", "223.255.255.254"], ids=["ours-is-higher", "theirs-is-higher"])
async def test_a_connection_that_loses_with_all_it_said_at_once_is_no_session(stage: Stage, theirs: str) -> None:
    """OPEN and KEEPALIVE of the loser come in one read; nothing of it may be taken for a session that is up."""
    dialed, accepted, identity = await _two_connections(stage, theirs, PLAIN)
    keeper, loser = (dialed, accepted) if theirs == "127.0.0.1" else (accepted, dialed)
    keeper.send(identity.open())
    await until(lambda: len(keeper.messages) == 2, "our KEEPALIVE")
    loser.send(identity.open() + ALIVE)
    await until(lambda: loser.lost, "the loser has ended")
    assert not stage.said("session_established")
    keeper.send(ALIVE)
    await until(lambda: stage.said("session_established"), "the other is up")
    await stage.node(1, PREFIX)
    await until(lambda: keeper.table.hops(PREFIX), "it has the path")
    keeper.drop()
    await until(lambda: stage.router_view().lanes[0].session.state != "Established", "its end is seen")


async def test_the_cease_of_a_router_that_resolves_a_collision_is_no_trouble(stage: Stage) -> None:
    """It may be quicker than we are: no warning, and the session that it kept stands."""
    dialed, accepted, identity = await _two_connections(stage, "223.255.255.254", PLAIN)
    accepted.send(identity.open() + ALIVE)
    dialed.send(_cease(7))
    await until(lambda: stage.said("session_established"), "the kept one is up")
    await stays(lambda: not accepted.lost, "it stays", 0.2)
    assert not [one for one in stage.events() if one["level"] == "warning"]


async def test_a_connection_that_the_router_gave_up_is_not_dialed_again_at_once(stage: Stage) -> None:
    """The other one is on its way, and a new call would be the next collision."""
    dialed, accepted, identity = await _two_connections(stage, "223.255.255.254", PLAIN)
    accepted.send(identity.open())
    await until(lambda: len(accepted.messages) == 2, "our KEEPALIVE")
    dialed.send(_cease(7))
    await until(lambda: dialed.lost, "the connection has ended")
    await stays(lambda: len(stage._routers[0].calls) == 1, "nobody dials", 0.3)
    accepted.send(ALIVE)
    await until(lambda: stage.said("session_established"), "the kept one is up")


async def test_a_second_call_of_a_router_that_is_up_is_refused(stage: Stage) -> None:
    """Without graceful restart there is no reason to believe that it has lost the first."""
    await stage.start(router={"connect": "passive"})
    first = await stage.call(1, Identity(stage.host(1), capabilities=PLAIN))
    await until(lambda: first.up, "the router is up")
    second = await stage.call(1, Identity(stage.host(1), capabilities=PLAIN))
    await until(lambda: second.lost, "the call has ended")
    assert second.octets == 0
    assert first.up


async def test_a_router_with_graceful_restart_that_calls_again_has_lost_its_session(stage: Stage) -> None:
    """RFC 4724 4.2: the old connection is closed without a NOTIFICATION and the new one gets the whole table."""
    await stage.start(router={"connect": "passive"})
    await stage.node(1, PREFIX)
    first = await stage.call(1, Identity(stage.host(1), capabilities=FULL), id_size=4)
    await until(lambda: first.table.hops(PREFIX), "the router has the path")
    second = await stage.call(1, Identity(stage.host(1), capabilities=FULL), id_size=4)
    await until(lambda: second.table.hops(PREFIX), "it has the path on the second")
    assert first.lost
    assert NOTIFICATION not in first.kinds()
    assert second.table.ends == {IPV4, IPV6}


async def test_a_call_replaces_every_connection_that_was_there(stage: Stage) -> None:
    """One that we dialed and is up, and one that never opened: the router has lost both, and none is left behind."""
    router = await stage.silent_router()
    await stage.start()
    await until(lambda: router.calls and router.wire.kinds() == [OPEN], "our call with its OPEN")
    silent = await stage.call(1)
    await until(lambda: silent.kinds() == [OPEN], "our OPEN on the other")
    identity = Identity(stage.host(1), capabilities=FULL)
    router.wire.send(identity.open() + ALIVE)
    await until(lambda: stage.said("session_established"), "the router is up")
    call = await stage.call(1, identity)
    await until(lambda: call.up and silent.lost and router.wire.lost, "only the new call is there")


async def test_a_router_that_restarts_is_dialed_until_it_is_back_and_gets_the_whole_table(stage: Stage) -> None:
    """Nothing is to be done by hand, and `dial_failed` does not fill the log meanwhile."""
    await stage.start()
    router = await stage.router()
    await stage.node(1, PREFIX)
    await stage.node(2, PREFIX)
    await until(lambda: len(router.hops(PREFIX)) == 2, "the router has both paths")
    router.go()
    await until(lambda: stage.said("dial_failed"), "it is dialed in vain")
    again = await stage.router()
    await until(lambda: len(again.hops(PREFIX)) == 2, "it has both paths again")
    assert again.wire.table.ends == {IPV4, IPV6}
    assert len(stage.said("dial_failed")) == 1
    assert stage.router_view().lanes[0].session.established_count == 2


async def test_a_router_that_does_not_answer_is_dialed_ever_more_seldom(stage: Stage) -> None:
    """At most some calls in the first second, and no line of the log for each."""
    await stage.start()
    router = await stage.silent_router()
    await until(lambda: router.calls, "it is dialed")
    router.wire.hang_up()
    await until(lambda: len(router.calls) > 1, "it is dialed again")
    for wire in router.calls:
        wire.drop()  # the last may not be answered yet
    router.go()
    await stays(lambda: True, "a second passes", 1.0)
    assert stage.report().counters().sessions_ended["router", "connection-failed"] <= 8
    assert len(stage.said("dial_failed")) <= 2


async def test_with_add_path_the_router_gets_every_path_and_without_one(stage: Stage) -> None:
    """Each under its node's identifier; where there is one line and no ADD-PATH, one node has the prefix."""
    second = {"address": stage.host(2), "port": ROUTER_PORT}
    stage.prepare(count=3)
    stage.settings["routers"].append(second)
    await stage.start()
    full, plain = await stage.router(1), await stage.router(2, Identity(stage.host(2), capabilities=PLAIN))
    for number in (1, 2, 3):
        await stage.node(number, PREFIX)
    await until(lambda: len(full.hops(PREFIX)) == 3, "one router has three paths")
    assert {path_id for path_id, _ in full.wire.table.routes} == {
        bytes(map(int, stage.host(30 + number).split("."))) for number in (1, 2, 3)
    }
    await until(lambda: len(plain.hops(PREFIX)) == 1, "the other has one")
    modes = {one["router"]: one["mode"] for one in stage.said("mode_chosen", family="ipv4")}
    assert modes == {stage.host(1): "addpath", stage.host(2): "spread"}


async def test_a_router_is_offered_what_it_needs(stage: Stage) -> None:
    """ADD-PATH send, graceful restart with our time, route refresh; and a node help alone."""
    await stage.start(graceful_restart={"wait": "0s", "restart_time": "77s"})
    router = await stage.router()
    node = await stage.node(1)
    await until(lambda: router.up, "the router is up")
    assert router.wire.capability(69) == bytes.fromhex("00010102 00020102")
    graceful = router.wire.capability(64)
    assert graceful is not None
    assert int.from_bytes(graceful[:2], "big") & 0xFFF == 77
    assert router.wire.capability(2) == b""
    assert [node.capability(code) for code in (2, 6, 69, 70, 73)] == [None] * 5
    assert node.capability(64) == b"\0\0"


async def test_what_a_router_announces_is_left_aside(stage: Stage) -> None:
    """Nothing is accepted from a router; one line says so and the session stays."""
    await stage.start()
    router = await stage.router()
    await until(lambda: router.up, "the router is up")
    for number in range(3):
        router.wire.announce(f"192.168.30.{number}/32", hop=stage.host(1))
    await until(lambda: stage.said("message_ignored"), "it is told")
    assert router.up
    assert not stage.routes()
    assert len(stage.said("message_ignored")) == 1


async def test_a_router_of_a_wrong_as_is_refused_and_dialed_seldom(stage: Stage) -> None:
    """NOTIFICATION 2/2, one line with both AS numbers, and the next attempt after a while."""
    await stage.start()
    router = await stage.router(1, Identity(stage.host(1), asn=65001, capabilities=FULL))
    await until(lambda: router.calls and router.wire.lost, "the session was refused")
    assert router.wire.notification() == (2, 2)
    await stays(lambda: len(router.calls) == 1, "it is let alone", 0.5)
    (line,) = stage.said("router_refused")
    assert line["text"] == "AS 65001 where AS 64512 is configured"


async def test_ebgp_goes_to_a_router_of_another_as(stage: Stage) -> None:
    """A route server's manners: our AS before, the next hop kept."""
    await stage.start(router={"asn": 65001})
    router = await stage.router(1, Identity(stage.host(1), asn=65001, capabilities=FULL))
    await stage.node(1, PREFIX)
    await until(lambda: router.hops(PREFIX) == [stage.host(31)], "the router has the path")
    (parsed,) = router.wire.table.routes.values()
    assert bytes.fromhex("400206 0201 0000fc00".replace(" ", "")) in parsed.attributes


def _cease(subcode: int) -> bytes:
    return b"\xff" * 16 + bytes((0, 21, 3, 6, subcode))


async def _two_connections(
    stage: Stage, router_id: str, capabilities: tuple[bytes, ...]
) -> tuple[Wire, Wire, Identity]:
    """Both directions are up as TCP and have our OPEN; the router has said nothing."""
    router = await stage.silent_router()
    await stage.start()
    await until(lambda: router.calls and router.wire.kinds() == [OPEN], "our call with its OPEN")
    accepted = await stage.call(1)
    await until(lambda: accepted.kinds() == [OPEN], "our OPEN on the other")
    return router.wire, accepted, Identity(router_id, capabilities=capabilities)
