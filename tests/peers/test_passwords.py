"""A password is rotated, and the router is told nothing of it."""

import ipaddress
import socket

import pytest

from speaker.net.sockets import set_password
from speaker.peers import node
from tests.app.stage import Stage, until
from tests.app.wire import Identity, RawRouter, Wire
from tests.bgp.bgp_wire import parse_update

PREFIX = "192.168.30.1/32"
BLUE, RED = "blue-lantern", "red-lantern"


async def test_a_session_goes_on_with_the_key_it_began_with(stage: Stage) -> None:
    """The kernel keeps it. What is announced meanwhile arrives."""
    router, wire = await _signed(stage)
    await _rotate(stage)
    wire.announce("192.168.30.2/32", hop=stage.host(31))
    await until(lambda: router.hops("192.168.30.2/32"), "the session goes on")
    assert not stage.said("session_ended")


async def test_a_node_that_calls_with_the_new_password_is_taken_and_its_paths_never_left(stage: Stage) -> None:
    """It closes its session when it learns of the password, and calls again."""
    router, wire = await _signed(stage)
    await _rotate(stage)
    before = _told(router)
    wire.drop()
    await until(lambda: stage.said("paths_held"), "its paths are held")
    again = await _call(stage, RED)
    await until(lambda: again.up, f"it is up with the new password\n{stage.log()}")
    again.announce(PREFIX, hop=stage.host(31))
    await until(lambda: stage.said("held_paths_ended"), "its paths are announced again")
    assert _told(router) == before


async def test_a_node_that_never_learns_of_the_password_is_let_go(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for ever may a session go on with a password that was changed for a reason."""
    monkeypatch.setattr(node, "OLD_KEY", 0.2)
    router, wire = await _signed(stage)
    await _rotate(stage)
    await until(lambda: wire.lost, "the session is ended")
    await until(lambda: router.hops(PREFIX) == [], "its path goes")
    assert "the password has changed" in stage.said("session_ended")[-1]["notification"]


async def _signed(stage: Stage) -> tuple[RawRouter, Wire]:
    """A router that has PREFIX from the one node, whose session has a password."""
    stage.write_text("key", BLUE)
    await stage.start(count=1, nodes={"hold_paths": "60s", "password_file": "key"})
    router = await stage.router()
    await until(lambda: stage.said("roster_changed"), "the roster is in force")
    wire = await _call(stage, BLUE)
    await until(lambda: wire.up, f"it is up\n{stage.log()}")
    wire.announce(PREFIX, hop=stage.host(31))
    await until(lambda: router.hops(PREFIX), "the router has its path")
    return router, wire


async def _call(stage: Stage, password: str) -> Wire:
    sock = socket.socket()
    set_password(sock, ipaddress.ip_address(stage.host(10)), password.encode())
    return await stage.call(31, Identity(stage.host(31)), sock=sock)


async def _rotate(stage: Stage) -> None:
    before = len(stage.said("roster_changed"))
    stage.write_text("key", RED)
    await until(lambda: len(stage.said("roster_changed")) > before, "the new password is in force")


def _told(router: RawRouter) -> int:
    """How many UPDATEs with routes the router has heard."""
    parsed = [parse_update(one, 4) for one in router.wire.updates()]
    return sum(bool(one.announced or one.withdrawn) for one in parsed)
