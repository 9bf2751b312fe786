"""A mistake of our own costs one session, is logged with where it happened, and costs nobody else anything."""

import pytest

from speaker.bgp.events import Announced, Event
from speaker.bgp.session import Session
from speaker.paths.router import RouterPaths
from speaker.peers.node import NodePeer
from tests.app.stage import Stage, stays, until
from tests.app.wire import Identity
from tests.bgp.bgp_wire import NOTIFICATION

PREFIX = "192.168.30.1/32"


class Broken(Exception):
    """What no code of ours raises."""


async def test_a_fault_while_reading_ends_that_session(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the traceback; its paths go, others stay, and it may come again."""
    stage.faults_expected = True
    hear = NodePeer._hear

    def fail(self: NodePeer, event: Event) -> None:
        if self.source.node == "leviathan1" and isinstance(event, Announced):
            raise Broken("a path that nobody thought of")
        hear(self, event)

    monkeypatch.setattr(NodePeer, "_hear", fail)
    router = await stage.router()
    await stage.start()
    healthy = await stage.node(2, PREFIX)
    await until(lambda: router.hops(PREFIX), "the router has the other path")
    node = await stage.node(1, PREFIX)
    await until(lambda: node.lost, "the session has ended")
    lines = [one for one in stage.events() if "Broken" in str(one)]
    assert len(lines) == 1
    assert "test_faults.py" in lines[0]["exception"]
    (end,) = stage.said("session_ended")
    assert end["node"] == "leviathan1"
    assert healthy.up
    assert router.hops(PREFIX) == [stage.host(32)]
    assert NOTIFICATION not in [*healthy.kinds(), *router.wire.kinds()]
    monkeypatch.undo()
    again = await stage.node(1, PREFIX)
    await until(lambda: len(router.hops(PREFIX)) == 2, "the router has its path")
    assert again.up


async def test_a_fault_in_a_timer_ends_that_session(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session without timers would never notice that its peer is gone."""
    stage.faults_expected = True
    await stage.start()
    healthy = await stage.node(2)
    tick = Session.tick

    def fail(self: Session, now: float) -> list[Event]:
        if self.negotiated is not None and self.negotiated.hold_time == 3:
            raise Broken("a timer that nobody thought of")
        return tick(self, now)

    monkeypatch.setattr(Session, "tick", fail)
    node = await stage.node(1, hold_time=3)
    await until(lambda: node.lost, "the session has ended", 2.0)
    assert len([one for one in stage.events() if "Broken" in str(one)]) == 1
    assert not stage.node_view(1).up
    assert healthy.up


async def test_a_fault_at_an_open_ends_that_call(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a session is up there is nothing to lose but the call."""
    stage.faults_expected = True
    await stage.start()

    def fail(self: NodePeer, negotiated: object) -> None:
        raise Broken("a peer that nobody thought of")

    monkeypatch.setattr(NodePeer, "_up", fail)
    node = await stage.call(31, Identity(stage.host(31)))
    await until(lambda: node.lost, "the call has ended")
    monkeypatch.undo()
    again = await stage.node(1)
    await stays(lambda: again.up, "it is up", 0.1)
    assert stage.node_view(1).up


async def test_a_fault_with_one_routers_paths_begins_its_session_anew(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it should have is not known any more; with a new session it is sent everything."""
    stage.faults_expected = True
    router = await stage.router()
    await stage.start()
    await until(lambda: router.up, "the router is up")
    apply = RouterPaths.apply

    def fail(self: RouterPaths, changes: object, *, more: bool) -> None:
        monkeypatch.setattr(RouterPaths, "apply", apply)
        raise Broken("a path that nobody thought of")

    monkeypatch.setattr(RouterPaths, "apply", fail)
    await stage.node(1, PREFIX)
    await until(lambda: len(router.calls) == 2 and router.hops(PREFIX), "the router has the path")
    (line,) = stage.said("internal_fault")
    assert "Broken" in line["exception"]
