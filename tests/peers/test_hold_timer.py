"""A session that says nothing ends, and one that speaks in time lives."""

import pytest

from speaker.bgp import session
from tests.app.stage import Stage, stays, until
from tests.app.wire import Identity
from tests.bgp.bgp_wire import ALIVE, KEEPALIVE


async def test_a_session_with_a_short_hold_time_lives_beyond_it(stage: Stage) -> None:
    """Hold time 3 s: our KEEPALIVEs come at least each second, and the node that answers each stays up."""
    await stage.start()
    node = await stage.node(1, hold_time=3)
    answered = node.kinds().count(KEEPALIVE)

    def answer() -> bool:
        nonlocal answered
        fresh = node.kinds().count(KEEPALIVE) - answered
        answered += fresh
        node.send(ALIVE * fresh)
        return node.up

    await stays(answer, "leviathan1 is up", 3.5)
    assert answered >= 4
    assert stage.node_view(1).up


async def test_a_node_that_falls_silent_is_told_and_given_up(stage: Stage) -> None:
    """After the hold time: NOTIFICATION 4/0, its paths go, and `nodes` names the reason."""
    await stage.start()
    router = await stage.router()
    node = await stage.node(1, "192.168.30.1/32", hold_time=3)
    await until(lambda: router.hops("192.168.30.1/32"), "the router has the path")
    await until(lambda: node.lost, "the session has ended")
    assert node.notification() == (4, 0)
    await until(lambda: not router.hops("192.168.30.1/32"), "the path is gone")
    (end,) = stage.said("session_ended", node="leviathan1")
    assert end["cause"] == "hold-timer-expired"
    assert 2.9 < end["lasted"] < 4.5
    assert stage.node_view(1).why_down == "hold-timer-expired: 4/0 Hold timer expired"


async def test_the_lower_of_two_hold_times_counts(stage: Stage) -> None:
    """Ours is 3 s by the settings, the node's 90 s: KEEPALIVEs come for 3 s."""
    await stage.start(nodes={"hold_time": "3s"})
    node = await stage.node(1)
    assert stage.node_view(1).sessions[0].session.hold_time == 3
    await until(lambda: node.kinds().count(KEEPALIVE) == 2, "the next KEEPALIVE", 1.1)


async def test_without_a_hold_time_nobody_need_speak(stage: Stage) -> None:
    """`hold_time: 0s` switches both timers off (RFC 4271 4.2)."""
    await stage.start(nodes={"hold_time": "0s"})
    node = await stage.node(1)
    before = len(node.messages)
    await stays(lambda: node.up, "leviathan1 is up", 1.5)
    assert len(node.messages) == before


async def test_a_caller_that_never_opens_is_given_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets our OPEN, and after a while NOTIFICATION 4/0 (RFC 4271 8.2.2, OpenSent); the next call is taken."""
    monkeypatch.setattr(session, "OPEN_HOLD_TIME", 0.2)
    await stage.start()
    silent = await stage.call(31)
    await until(lambda: silent.lost, "the call has ended")
    assert silent.kinds() == [1, 3]
    assert silent.notification() == (4, 0)
    assert not stage.node_view(1).up
    again = await stage.call(31, Identity(stage.host(31)))
    await until(lambda: again.up, "leviathan1 is up")
