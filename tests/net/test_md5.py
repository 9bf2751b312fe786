"""TCP MD5 signatures (RFC 2385): who has the key gets a session, who has not gets nothing, and a key can be changed."""

import asyncio
import contextlib
import ipaddress
import socket

import pytest

from speaker.net.sockets import set_password
from speaker.peers import signatures
from tests.app.stage import ROUTER_PORT, Stage, stays, until
from tests.app.wire import FULL, Identity, RawRouter, Wire
from tests.bgp.bgp_wire import NOTIFICATION

PREFIX = "192.168.30.1/32"
PATIENCE = 0.4
"""Seconds for a call that nobody answers: the kernel would try for two minutes."""


def signed(to: str, key: bytes | None) -> socket.socket:
    """A socket whose segments to `to` are signed."""
    sock = socket.socket()
    if key is not None:
        set_password(sock, ipaddress.ip_address(to), key)
    return sock


async def node(stage: Stage, number: int, key: bytes | None) -> Wire | None:
    """leviathan`number` calls with a key; None where nobody answers."""
    identity = Identity(stage.host(30 + number))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            wire = await stage.call(30 + number, identity, sock=signed(stage.host(10), key))
            await until(lambda: wire.up, "it is up")
            return wire
    return None


def prepare(stage: Stage) -> None:
    """leviathan1 and 2 have a key of all nodes, leviathan3 its own, leviathan4 none."""
    stage.prepare(count=4)
    for name, text in (("all.key", "fleet"), ("three.key", "third\n")):
        stage.write_text(name, text)
    for number in (1, 2):
        stage.roster[number - 1]["password_file"] = "all.key"
    stage.roster[2]["password_file"] = "three.key"


async def test_the_right_key_brings_a_node_up(stage: Stage) -> None:
    """Each with its own; a node without one needs none, and the newline at the end of a file is no part of the key."""
    prepare(stage)
    await stage.start()
    for number, key in ((1, b"fleet"), (2, b"fleet"), (3, b"third"), (4, None)):
        assert await node(stage, number, key), f"leviathan{number}"
    assert stage.status().nodes_up == [f"leviathan{number}" for number in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("number", "key", "reason"), [(1, b"third", "wrong"), (1, None, "missing"), (4, b"fleet", "unexpected")]
)
async def test_any_other_key_brings_nobody_up_and_is_logged(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, number: int, key: bytes | None, reason: str
) -> None:
    """The kernel answers such a call with nothing; the log names the reason and who it may be, once for many calls."""
    monkeypatch.setattr(signatures, "LOOK", 0.05)
    prepare(stage)
    await stage.start()
    healthy = await node(stage, 2, b"fleet")
    assert healthy is not None
    for _ in range(2):
        assert await node(stage, number, key) is None
    lines = await until(lambda: stage.said("md5_refused", reason=reason), "it is logged")
    assert stage.host(30 + number) in lines[0]["suspects"]
    assert stage.host(32) not in lines[0]["suspects"]
    assert len(lines) == 1
    assert healthy.up
    assert stage.node_view(number).why_down == "never dialed"


async def test_a_router_is_called_with_its_key(stage: Stage) -> None:
    """And is taken with it when it calls."""
    stage.write_text("router.key", "routed")
    router = RawRouter(stage.host(1), ROUTER_PORT, Identity(stage.host(1), capabilities=FULL))
    stage._routers.append(router)
    await router.listen(key=(stage.host(10), b"routed"))
    await stage.start(router={"password_file": "router.key"})
    await until(lambda: router.up, "the router is up")
    router.go()
    await until(lambda: stage.said("session_ended"), "the session has ended")
    identity = Identity(stage.host(1), capabilities=FULL)
    call = await stage.call(1, identity, sock=signed(stage.host(10), b"routed"))
    await until(lambda: call.up, "the router is up by its own call")


async def test_a_changed_key_counts_from_the_next_call_of_that_node_on(stage: Stage) -> None:
    """The file is changed and nothing else: no session ends for it, and leviathan3 must come back with the new key."""
    prepare(stage)
    router = await stage.router()
    await stage.start()
    wires = {number: await node(stage, number, key) for number, key in ((2, b"fleet"), (3, b"third"), (4, None))}
    for number, wire in wires.items():
        assert wire is not None
        wire.announce(PREFIX, hop=stage.host(30 + number))
    await until(lambda: len(router.hops(PREFIX)) == 3, "the router has three paths")
    stage.write_text("three.key", "new")
    changed = wires[3]
    assert changed is not None
    await until(lambda: stage.said("roster_changed")[-1]["changed"] == ["leviathan3"], "the new key is known")
    assert changed.up
    changed.drop()
    assert await node(stage, 3, b"third") is None
    assert await node(stage, 3, b"new")
    for number in (2, 4):
        wire = wires[number]
        assert wire is not None
        assert wire.up
        assert NOTIFICATION not in wire.kinds()
    assert len(router.calls) == 1


async def test_a_changed_key_of_all_nodes_leaves_those_with_their_own(stage: Stage) -> None:
    """`nodes.password_file` of the settings: whoever has it calls with the new one, by a change of that file alone."""
    prepare(stage)
    for number in (1, 2):
        del stage.roster[number - 1]["password_file"]
    stage.settings["nodes"]["password_file"] = "all.key"
    await stage.start()
    one, own = await node(stage, 1, b"fleet"), await node(stage, 3, b"third")
    assert one is not None
    assert own is not None
    stage.write_text("all.key", "navy")
    await until(lambda: stage.said("settings_reloaded"), "the new key is known")
    assert one.up
    one.drop()
    assert await node(stage, 1, b"fleet") is None
    assert await node(stage, 1, b"navy")
    assert own.up
    assert stage.said("settings_reloaded")[0]["changed"] == ["nodes"]


async def test_a_changed_key_of_a_router_dials_it_anew(stage: Stage) -> None:
    """Only its file is changed: the router is called with the new key at once, and nodes keep their sessions."""
    stage.write_text("router.key", "old")
    router = RawRouter(stage.host(1), ROUTER_PORT, Identity(stage.host(1), capabilities=FULL))
    stage._routers.append(router)
    await router.listen(key=(stage.host(10), b"old"))
    await stage.start(router={"password_file": "router.key"})
    other = await stage.node(1, PREFIX)
    await until(lambda: router.up, "the router is up")
    router.sign(stage.host(10), b"new")
    stage.write_text("router.key", "new")
    await until(lambda: len(router.calls) == 2 and router.hops(PREFIX), "it has the path again")
    assert other.up
    assert NOTIFICATION not in other.kinds()


async def test_a_key_that_is_given_or_taken_away_counts_from_the_next_call_on(stage: Stage) -> None:
    """From no key to one and back, without a restart of Onepeer."""
    prepare(stage)
    await stage.start()
    free = await node(stage, 4, None)
    assert free is not None
    stage.roster[3]["password_file"] = "all.key"
    await stage.change_roster()
    assert free.up
    free.drop()
    assert await node(stage, 4, None) is None
    bound = await node(stage, 4, b"fleet")
    assert bound is not None
    del stage.roster[3]["password_file"]
    await stage.change_roster()
    assert bound.up
    bound.drop()
    assert await node(stage, 4, b"fleet") is None
    assert await node(stage, 4, None)


async def test_a_listen_address_that_is_added_knows_the_keys(stage: Stage) -> None:
    """From its first moment."""
    prepare(stage)
    await stage.start()
    stage.settings["listen"]["addresses"].append(stage.host(11))
    await stage.reload()
    wire = await stage.call(31, Identity(stage.host(31)), to=11, sock=signed(stage.host(11), b"fleet"))
    await until(lambda: wire.up, "leviathan1 is up")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await stage.call(32, Identity(stage.host(32)), to=11)
    await stays(lambda: wire.up, "it stays", 0.05)


async def test_without_its_password_file_a_roster_is_refused(stage: Stage) -> None:
    """The key that was in force stays: a file that is gone for a moment lets nobody in."""
    prepare(stage)
    await stage.start()
    up = await node(stage, 3, b"third")
    (stage.folder / "three.key").unlink()
    await until(lambda: stage.said("roster_problem"), "it is told")
    assert up is not None
    assert up.up
    assert await node(stage, 2, None) is None
