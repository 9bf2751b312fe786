"""What can be in the way of a start, and how it is told."""

import socket

from tests.app.stage import PORT, Stage, until
from tests.app.wire import Identity


async def test_a_listen_address_of_another_host_ends_it(stage: Stage) -> None:
    """Exit status 1, the key, and the way out; nothing is left open."""
    await stage.start(listen={"addresses": [stage.host(10), "192.0.2.10"]}, router_id=stage.host(10))
    assert await stage.ended() == 1
    (line,) = stage.said("listen_failed")
    assert (line["key"], line["address"]) == ("listen", f"192.0.2.10 port {PORT}")
    assert line["way_out"] == "no interface of this host has the address (ip address)"
    assert not (stage.folder / "control.sock").exists()
    with socket.create_server((stage.host(10), PORT)):
        pass


async def test_a_port_that_is_taken_ends_it(stage: Stage) -> None:
    """As 179 is where Calico runs."""
    with socket.create_server((stage.host(10), PORT)):
        await stage.start()
        assert await stage.ended() == 1
    (line,) = stage.said("listen_failed")
    assert "ss -ltnp" in line["way_out"]


async def test_a_control_socket_that_another_onepeer_has_ends_it(stage: Stage) -> None:
    """And the other one is not disturbed."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(stage.folder / "control.sock"))
        other.listen()
        await stage.start()
        assert await stage.ended() == 1
    (line,) = stage.said("listen_failed")
    assert line["key"] == "control.socket"
    assert "another Onepeer" in line["why"]
    assert (stage.folder / "control.sock").exists()


async def test_a_broken_roster_is_told_and_the_start_goes_on(stage: Stage) -> None:
    """Nobody may peer until it is put right, which then needs no restart."""
    stage.prepare()
    stage.roster[0]["addresses"] = ["not-an-address"]
    await stage.start()
    (line,) = stage.said("roster_problem")
    assert "not-an-address" in line["problems"][0]
    status = stage.status()
    assert status.roster.problem
    assert "not-an-address" in status.roster.problem
    assert any("roster" in warning for warning in status.warnings)
    stage.roster[0]["addresses"] = [stage.host(31)]
    change = await stage.change_roster()
    assert change["added"] == ["leviathan1", "leviathan2"]
    assert stage.status().roster.problem is None
    node = await stage.node(1)
    assert node.up


async def test_a_node_that_calls_before_the_roster_is_there_waits_for_it(stage: Stage) -> None:
    """A refusal would keep FRR away for its connect timer of two minutes; the kernel holds the call meanwhile."""
    stage.prepare()
    stage.roster[0]["addresses"] = ["not-an-address"]
    await stage.start()
    early = await stage.call(31, Identity(stage.host(31)))
    stage.roster[0]["addresses"] = [stage.host(31)]
    await stage.change_roster()
    await until(lambda: early.up, "the first call is the session")
    assert not stage.said("stranger_refused")


async def test_an_empty_roster_is_in_force_and_remarked(stage: Stage) -> None:
    """Every caller is a stranger, and `status` says why."""
    stage.prepare(count=0)
    await stage.start(count=0)
    assert stage.said("roster_changed")[0]["remark"] == "the roster is empty: no node may peer"
    assert stage.status().warnings == ["the roster is empty: no node may peer"]
    call = await stage.call(31)
    await until(lambda: call.lost, "the call has ended")
    assert stage.said("stranger_refused")
