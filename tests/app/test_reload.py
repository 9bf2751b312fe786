"""Changed settings and rosters: taken up without a restart, and without touching a session that they do not concern."""

import asyncio
import os
import signal
import socket
from typing import Any

import pytest

from speaker.cluster.watch import FileWatch
from tests.app.stage import ROUTER_PORT, Stage, stays, until
from tests.app.wire import RawRouter, Wire, communities
from tests.bgp.bgp_wire import NOTIFICATION

PREFIX = "192.168.30.1/32"
OTHER = "192.168.31.1/32"
BOTH_POOLS = {"prefixes": ["192.168.30.0/24", "192.168.31.0/24"]}


class Bystanders:
    """A router and leviathan2, up; `unharmed` says whether they noticed anything."""

    def __init__(self, router: RawRouter, node: Wire) -> None:
        self.router = router
        self.node = node

    def unharmed(self) -> bool:
        """The same connections, no NOTIFICATION, and leviathan2's path with the router."""
        wires = (self.router.calls[0], self.node)
        quiet = not any(wire.lost or NOTIFICATION in wire.kinds() for wire in wires)
        return quiet and len(self.router.calls) == 1 and bool(self.router.hops(PREFIX))


async def bystanders(stage: Stage, **settings: Any) -> Bystanders:
    """Start Onepeer with them."""
    router = await stage.router()
    await stage.start(**settings)
    node = await stage.node(2, PREFIX)
    await until(lambda: router.hops(PREFIX) == [stage.host(32)], "the router has its path")
    return Bystanders(router, node)


# --- the roster ---


async def test_a_node_joins_by_the_roster_alone(stage: Stage) -> None:
    """It may call as soon as the file has it, and the router has its path without being touched."""
    others = await bystanders(stage, count=2)
    stage.roster.append({"name": "leviathan3", "addresses": [stage.host(33)]})
    assert (await stage.change_roster())["added"] == ["leviathan3"]
    await stage.node(3, PREFIX)
    await until(lambda: others.router.hops(PREFIX) == [stage.host(32), stage.host(33)], "the router has its path")
    assert others.unharmed()


async def test_a_node_that_leaves_the_roster_is_told_and_becomes_a_stranger(stage: Stage) -> None:
    """Cease 6/3, its paths go, and its next call gets nothing."""
    others = await bystanders(stage)
    leaving = await stage.node(1, PREFIX)
    await until(lambda: len(others.router.hops(PREFIX)) == 2, "the router has both paths")
    del stage.roster[0]
    assert (await stage.change_roster())["removed"] == ["leviathan1"]
    await until(lambda: leaving.lost, "its session has ended")
    assert leaving.notification() == (6, 3)
    await until(lambda: others.router.hops(PREFIX) == [stage.host(32)], "its path is gone")
    call = await stage.call(31)
    await until(lambda: call.lost, "its call has ended")
    assert call.octets == 0
    assert others.unharmed()


@pytest.mark.parametrize("change", [{"asn": 65001}, {"name": "leviathan9"}, {"addresses": ["{31}", "{41}"]}])
async def test_a_node_that_changes_begins_anew(stage: Stage, change: dict[str, Any]) -> None:
    """Another AS, name or set of addresses: Cease 6/6 for that node alone."""
    others = await bystanders(stage)
    node = await stage.node(1, PREFIX)
    if "addresses" in change:
        change = {"addresses": [stage.host(31), stage.host(41)]}
    stage.roster[0].update(change)
    await stage.change_roster()
    await until(lambda: node.lost, "its session has ended")
    assert node.notification() == (6, 6)
    assert others.unharmed()


async def test_an_address_that_moves_to_another_node_goes_with_it(stage: Stage) -> None:
    """The session of the old owner ends, and the new owner may call from it."""
    others = await bystanders(stage)
    old = await stage.node(1, PREFIX)
    stage.roster[0] = {"name": "leviathan7", "addresses": [stage.host(31)]}
    change = await stage.change_roster()
    assert (change["added"], change["removed"]) == (["leviathan7"], ["leviathan1"])
    await until(lambda: old.lost, "its session has ended")
    await stage.node(1, PREFIX)
    await until(lambda: stage.status().nodes_up == ["leviathan2", "leviathan7"], "the new owner is up")
    assert others.unharmed()


@pytest.mark.parametrize("text", ["nodes: [{name: leviathan1", "nodes: [{name: x, addresses: [1.2.3]}]\n", ""])
async def test_a_broken_roster_changes_nothing(stage: Stage, text: str) -> None:
    """The last good one stays in force, `status` says so, and the next good one ends it."""
    others = await bystanders(stage)
    stage.write_text("nodes.yaml", text)
    await until(lambda: stage.said("roster_problem"), "it is told")
    assert stage.status().roster.problem
    assert stage.status().health == "degraded"
    assert others.unharmed()
    stage.write()
    await until(lambda: stage.status().roster.problem is None, "it is put right")
    assert others.unharmed()
    assert len(stage.said("roster_changed")) == 1


async def test_another_roster_file_is_read(stage: Stage) -> None:
    """`nodes.file` names another: nodes that are in both keep their sessions."""
    others = await bystanders(stage)
    stage.write_text("other.yaml", f"nodes: [{{name: leviathan2, addresses: [{stage.host(32)}]}}]")
    stage.settings["nodes"]["file"] = "other.yaml"
    assert (await stage.change_roster())["removed"] == ["leviathan1"]
    assert stage.status().roster.source.endswith("other.yaml")
    assert others.unharmed()


# --- settings ---


async def test_sighup_takes_up_changed_settings(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the watch of the files sees nothing."""
    monkeypatch.setattr(FileWatch, "look", lambda self: ())
    others = await bystanders(stage)
    stage.settings["guard"] = BOTH_POOLS
    stage.write()
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: stage.said("settings_reloaded"), "they are taken up")
    assert stage.said("settings_reloaded")[0]["changed"] == ["guard"]
    assert others.unharmed()


async def test_sighup_with_nothing_changed_changes_nothing(stage: Stage) -> None:
    """Five of them in a row: no session is touched, and nothing is said to be changed."""
    others = await bystanders(stage)
    for _ in range(5):
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)
    await stays(others.unharmed, "nobody notices", 0.4)
    assert not stage.said("settings_reloaded", "settings_refused")
    assert len(stage.said("roster_changed")) == 1


async def test_a_file_written_again_as_it_was_changes_nothing(stage: Stage) -> None:
    """A deployment tool touches files."""
    others = await bystanders(stage)
    os.utime(stage.file)
    os.utime(stage.folder / "nodes.yaml")
    await stays(others.unharmed, "nobody notices", 0.4)
    assert not stage.said("settings_reloaded")


async def test_a_wider_guard_lets_in_what_was_refused(stage: Stage) -> None:
    """Nodes are not asked again (MetalLB native could not answer): what they had said is judged anew."""
    others = await bystanders(stage)
    others.node.announce(OTHER, hop=stage.host(32))
    await until(lambda: stage.status().refused == 1, "it is refused")
    stage.settings["guard"] = BOTH_POOLS
    await stage.reload()
    await until(lambda: others.router.hops(OTHER) == [stage.host(32)], "the router has it")
    assert stage.status().refused == 0
    assert others.unharmed()


async def test_a_narrower_guard_takes_back_what_it_had_let_in(stage: Stage) -> None:
    """It is withdrawn from the router and shown as refused."""
    others = await bystanders(stage, guard=BOTH_POOLS)
    others.node.announce(OTHER, hop=stage.host(32))
    await until(lambda: others.router.hops(OTHER), "the router has it")
    stage.settings["guard"] = {"prefixes": ["192.168.30.0/24"]}
    await stage.reload()
    await until(lambda: not others.router.hops(OTHER), "the router has it no more")
    (line,) = stage.said("paths_refused")
    assert (line["node"], line["reason"], line["example"]) == ("leviathan2", "prefix-not-allowed", OTHER)
    assert others.unharmed()


async def test_communities_to_strip_are_taken_off_what_the_router_has(stage: Stage) -> None:
    """And put back when the setting goes: the path is sent again, on the same session."""
    others = await bystanders(stage)
    mark = communities("64512:100", "64512:200")
    others.node.announce(PREFIX, hop=stage.host(32), communities=mark)

    def has(*texts: str) -> bool:
        (parsed,) = others.router.wire.table.routes.values()
        return communities(*texts) in parsed.attributes if texts else b"\xc0\x08" not in parsed.attributes

    await until(lambda: has("64512:100", "64512:200"), "both communities")
    stage.settings["guard"]["strip_communities"] = ["64512:100"]
    await stage.reload()
    await until(lambda: has("64512:200"), "one community")
    stage.settings["guard"]["strip_communities"] = ["64512:100", "64512:200"]
    await stage.reload()
    await until(has, "no community")
    stage.settings["guard"]["strip_communities"] = []
    await stage.reload()
    await until(lambda: has("64512:100", "64512:200"), "both again")
    assert others.unharmed()


async def test_a_second_router_gets_the_table_and_goes_again(stage: Stage) -> None:
    """Added: dialed at once, with End-of-RIB. Removed: Cease 6/3. The first notices nothing."""
    others = await bystanders(stage)
    second = await stage.router(2)
    stage.settings["routers"].append({"address": stage.host(2), "port": ROUTER_PORT, "name": "second"})
    await stage.reload()
    await until(lambda: second.hops(PREFIX) == [stage.host(32)] and second.wire.table.ends, "it has the table")
    del stage.settings["routers"][1]
    await stage.reload()
    await until(lambda: second.wire.lost, "its session has ended")
    assert second.wire.notification() == (6, 3)
    assert [router.name for router in stage.status().routers] == [stage.host(1)]
    assert others.unharmed()


async def test_a_router_whose_settings_change_is_dialed_anew(stage: Stage) -> None:
    """Its hold time is told in an OPEN; nodes and other routers keep their sessions."""
    stage.prepare()
    stage.settings["routers"].append({"address": stage.host(2), "port": ROUTER_PORT, "hold_time": "30s"})
    changed = await stage.router(2)
    others = await bystanders(stage)
    await until(lambda: changed.hops(PREFIX), "the other router has the path")
    stage.settings["routers"][1]["hold_time"] = "60s"
    await stage.reload()
    await until(lambda: len(changed.calls) == 2 and changed.hops(PREFIX), "it has the path again")
    assert changed.calls[0].notification() == (6, 6)
    lane = stage.status().routers[1].lanes[0]
    assert lane.session.hold_time == 60
    assert others.unharmed()


async def test_limits_of_nodes_count_from_now_on(stage: Stage) -> None:
    """A lower max_prefixes is not held against what stands; the next path over it is. The hold time is for new
    sessions."""
    others = await bystanders(stage)
    others.node.announce("192.168.30.2/32", "192.168.30.3/32", hop=stage.host(32))
    await until(lambda: stage.status().paths["ipv4"] == 3, "three paths")
    stage.settings["nodes"].update(max_prefixes=3, hold_time="30s")
    await stage.reload()
    assert others.unharmed()
    await stage.node(1)
    assert stage.node_view(1).sessions[0].session.hold_time == 30
    assert stage.node_view(2).sessions[0].session.hold_time == 90
    others.node.announce("192.168.30.4/32", hop=stage.host(32))
    await until(lambda: others.node.lost, "the session has ended")
    assert others.node.notification() == (6, 1)


async def test_another_as_of_ours_restarts_every_session(stage: Stage) -> None:
    """All have to be told; the router and nodes of the old AS are refused after that."""
    others = await bystanders(stage)
    stage.settings["asn"] = 64999
    stage.settings["routers"][0]["asn"] = 64512
    stage.settings["nodes"]["asn"] = 64512
    await stage.reload()
    await until(lambda: others.node.lost and others.router.calls[0].lost, "both sessions have ended")
    assert others.node.notification() == (6, 6)
    assert others.router.calls[0].notification() == (6, 6)
    await until(lambda: others.router.up and len(others.router.calls) == 2, "the router is up again")
    again = await stage.node(2)
    assert again.messages[0][20:22] == (64999).to_bytes(2, "big")
    assert others.router.wire.messages[0][20:22] == (64999).to_bytes(2, "big")
    assert stage.status().asn == 64999


async def test_a_listen_address_comes_and_goes(stage: Stage) -> None:
    """Nodes can call the new one; sessions on one that is taken away stay."""
    others = await bystanders(stage)
    stage.settings["listen"]["addresses"].append(stage.host(11))
    await stage.reload()
    assert stage.status().listen == [f"{stage.host(10)}:1790", f"{stage.host(11)}:1790"]
    assert stage.said("listening")[-1]["address"] == f"{stage.host(11)} port 1790"
    node = await stage.node(1, PREFIX, to=11)
    await until(lambda: len(others.router.hops(PREFIX)) == 2, "the router has its path")
    del stage.settings["listen"]["addresses"][1]
    await stage.reload()
    assert stage.status().listen == [f"{stage.host(10)}:1790"]
    with pytest.raises(ConnectionRefusedError):
        await stage.call(31, to=11)
    assert node.up
    assert others.unharmed()


async def test_http_and_control_move(stage: Stage) -> None:
    """The old places are closed, the new ones answer, and no session notices."""
    others = await bystanders(stage)
    for port in (9801, 9802):
        stage.settings["http"] = {"address": stage.host(10), "port": port}
        stage.settings["control"] = {"socket": f"control-{port}.sock"}
        await stage.reload()
        assert await _health(stage, port) == b"HTTP/1.1 200"
    assert not (stage.folder / "control-9801.sock").exists()
    assert (stage.folder / "control-9802.sock").exists()
    with pytest.raises(ConnectionRefusedError):
        await _health(stage, 9801)
    stage.settings["http"] = None
    await stage.reload()
    with pytest.raises(ConnectionRefusedError):
        await _health(stage, 9802)
    assert others.unharmed()


async def test_another_level_of_the_log_counts_at_once(stage: Stage) -> None:
    """Also for sessions that are up already."""
    others = await bystanders(stage)
    stage.settings["log"] = {"format": "json", "level": "debug"}
    await stage.reload()
    others.node.end_of_rib()
    await until(lambda: stage.said("end_of_rib_received"), "debug lines")
    stage.settings["log"] = {"format": "json", "level": "error"}
    stage.write()
    await until(lambda: stage.speaker and stage.speaker.settings.log.level == "error", "it is taken up")
    before = len(stage.events())
    others.node.drop()
    await until(lambda: not stage.node_view(2).up, "the session has ended")
    assert len(stage.events()) == before


# --- settings that cannot be used ---


@pytest.mark.parametrize(
    ("text", "word"),
    [("asn: [", "onepeer.yaml"), ("asn: 64512\n", "listen"), ("", "onepeer.yaml"), (None, "onepeer.yaml")],
    ids=["no-yaml", "keys-missing", "empty", "gone"],
)
async def test_a_broken_file_leaves_the_old_settings_in_force(stage: Stage, text: str | None, word: str) -> None:
    """Loudly, once: in the log, in `status`, and until the file is put right."""
    others = await bystanders(stage)
    if text is None:
        stage.file.unlink()
    else:
        stage.write_text("onepeer.yaml", text)
    await until(lambda: stage.said("settings_refused"), "it is told")
    status = stage.status()
    assert word in str(status.settings_problem)
    assert status.health == "degraded"
    assert any("settings" in warning for warning in status.warnings)
    await stays(others.unharmed, "nobody notices", 0.3)
    assert len(stage.said("settings_refused")) == 1
    stage.write()
    await until(lambda: stage.status().settings_problem is None, "it is put right")
    assert others.unharmed()


async def test_a_listen_address_that_is_not_to_be_had_is_refused(stage: Stage) -> None:
    """Nothing of that version is taken up, not even what could be; `status` says why."""
    others = await bystanders(stage)
    stage.settings["listen"]["addresses"].append("192.0.2.10")
    stage.settings["guard"] = BOTH_POOLS
    stage.write()
    await until(lambda: stage.said("settings_refused"), "it is refused")
    assert "192.0.2.10" in str(stage.status().settings_problem)
    assert stage.status().listen == [f"{stage.host(10)}:1790"]
    assert stage.speaker is not None
    assert len(stage.speaker.settings.guard.prefixes) == 1
    assert others.unharmed()


async def test_an_http_port_that_is_taken_leaves_the_old_one_serving(stage: Stage) -> None:
    """So do control and listeners: a version is taken up whole or not at all."""
    http = {"address": stage.host(10), "port": 9803}
    others = await bystanders(stage, http=http)
    with socket.create_server((stage.host(10), 9804)):
        stage.settings["http"] = {**http, "port": 9804}
        stage.settings["control"] = {"socket": "moved.sock"}
        stage.settings["listen"]["addresses"].append(stage.host(11))
        stage.write()
        await until(lambda: stage.said("settings_refused"), "it is refused")
        assert "9804" in str(stage.status().settings_problem)
        assert await _health(stage, 9803) == b"HTTP/1.1 200"
        assert (stage.folder / "control.sock").exists()
        assert not (stage.folder / "moved.sock").exists()
        assert stage.status().listen == [f"{stage.host(10)}:1790"]
        assert others.unharmed()
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: stage.said("settings_reloaded"), "it is taken up once it can be")
    assert stage.status().settings_problem is None
    assert await _health(stage, 9804) == b"HTTP/1.1 200"
    assert others.unharmed()


async def _health(stage: Stage, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(stage.host(10), port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer[:12]
