"""What a router is sent, and when: End-of-RIB, refreshes, and a router that reads slowly."""

import asyncio
import socket

import pytest

from speaker.net.connection import HIGH_WATER
from speaker.peers import peering
from speaker.peers.router import CHUNK
from tests.app.stage import RawRouter, Stage, stays, until
from tests.app.wire import FULL, NATIVE, REFRESH, Identity, Wire, refresh
from tests.bgp.bgp_wire import IPV4, IPV6, UPDATE, attribute, capability

PREFIX = "192.168.30.1/32"
LONG = {"wait": "60s"}
"""Longer than any test: End-of-RIB comes because the nodes are back, or not at all."""

R_BIT = 0x8


async def test_end_of_rib_waits_for_the_nodes(stage: Stage) -> None:
    """After a start it goes out when both nodes have said all they have, after their routes, and not before."""
    await stage.start(graceful_restart=LONG)
    router = await stage.router()
    first = await stage.node(1, PREFIX)
    first.end_of_rib()
    await until(lambda: router.up, "the router is up")
    assert stage.status().waiting_for_nodes
    assert stage.report().ready() == (False, "waiting-for-nodes")
    await stays(lambda: not router.wire.table.ends, "End-of-RIB is held back", 0.3)
    second = await stage.node(2, PREFIX)
    second.end_of_rib()
    await until(lambda: router.wire.table.ends == {IPV4, IPV6}, "End-of-RIB")
    assert len(router.hops(PREFIX)) == 2
    ends = [one for one in router.wire.updates() if len(one) in (23, 30)]
    assert router.wire.updates()[-len(ends) :] == ends
    (line,) = stage.said("nodes_settled")
    assert (line["up"], line["missing"]) == (2, [])
    assert stage.report().ready() == (True, "ready")


async def test_a_node_without_end_of_rib_is_back_when_it_falls_silent(stage: Stage) -> None:
    """MetalLB's native speaker has none: a second without a route is taken for it."""
    await stage.start(count=1, graceful_restart=LONG)
    router = await stage.router()
    await stage.node(1, PREFIX)
    await until(lambda: router.hops(PREFIX), "the router has the path")
    assert not router.wire.table.ends
    await until(lambda: router.wire.table.ends == {IPV4, IPV6}, "End-of-RIB", 2.0)


async def test_a_node_with_end_of_rib_for_one_family_has_not_said_all(stage: Stage) -> None:
    """FRR marks each family; the routes of the second come after the mark of the first."""
    await stage.start(count=1, graceful_restart=LONG)
    router = await stage.router()
    node = await stage.node(1, PREFIX)
    node.send(b"\xff" * 16 + bytes.fromhex("00170200000000"))
    await until(lambda: router.hops(PREFIX), "the router has the path")
    await stays(lambda: not router.wire.table.ends, "End-of-RIB is held back", 0.3)
    node.end_of_rib()
    await until(lambda: router.wire.table.ends == {IPV4, IPV6}, "End-of-RIB", 0.8)


async def test_the_wait_for_nodes_is_bounded(stage: Stage) -> None:
    """A node that never comes back is named, and the router is not kept waiting for it."""
    router = await stage.router()
    await stage.start(graceful_restart={"wait": "500ms"})
    node = await stage.node(1, PREFIX)
    node.end_of_rib()
    await until(lambda: router.up, "the router is up")
    assert not router.wire.table.ends
    await until(lambda: router.wire.table.ends == {IPV4, IPV6}, "End-of-RIB", 1.5)
    assert router.hops(PREFIX) == [stage.host(31)]
    (line,) = stage.said("nodes_settled")
    assert (line["up"], line["missing"]) == (1, ["leviathan2"])


async def test_the_router_is_told_of_a_restart_until_the_tables_are_whole(stage: Stage) -> None:
    """RFC 4724 3: the R bit stands in our first OPENs, and not in one of a session that comes later."""
    await stage.start(count=1, graceful_restart=LONG)
    router = await stage.router()
    await until(lambda: router.up, "the router is up")
    assert _restart_flags(router.wire) & R_BIT
    router.wire.drop()
    await until(lambda: len(router.calls) == 2 and router.up, "the router is up again")
    assert _restart_flags(router.wire) & R_BIT
    node = await stage.node(1, PREFIX)
    node.end_of_rib()
    await until(lambda: router.wire.table.ends == {IPV4, IPV6}, "End-of-RIB")
    router.wire.drop()
    await until(lambda: len(router.calls) == 3 and router.up, "the router is up once more")
    assert not _restart_flags(router.wire) & R_BIT
    await until(lambda: router.wire.table.ends == {IPV4, IPV6}, "End-of-RIB at once")


async def test_nodes_that_come_together_share_one_line(stage: Stage) -> None:
    """Hundreds of paths from each in one go: one node for each prefix, and both are used."""
    router = await stage.router(1, Identity(stage.host(1), capabilities=NATIVE))
    await stage.start()
    await until(lambda: router.up, "the router is up")
    nodes = [await stage.node(1), await stage.node(2)]
    prefixes = [f"192.168.30.{last}/32" for last in range(200)]
    for number, node in enumerate(nodes, start=31):
        node.announce(*prefixes, hop=stage.host(number))
    await until(lambda: all(router.hops(prefix) for prefix in prefixes), "every prefix")
    hops = [hop for prefix in prefixes for hop in router.hops(prefix)]
    assert len(hops) == 200
    assert 80 <= hops.count(stage.host(31)) <= 120


async def test_the_next_choice_waits_after_one_that_took_long(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The choice for routers with few paths is a tenth of the work, and nothing waits longer than it may."""
    monkeypatch.setattr(peering, "REST", 1e9)
    monkeypatch.setattr(peering, "PATIENCE", 0.5)
    router = await stage.router(1, Identity(stage.host(1), capabilities=NATIVE))
    await stage.start()
    await until(lambda: router.up, "the router is up")
    node = await stage.node(1)
    node.announce(PREFIX, hop=stage.host(31))
    await stays(lambda: not router.hops(PREFIX), "the choice waits", 0.2)
    await until(lambda: router.hops(PREFIX), "the path", 0.6)


def _with_routes(router: RawRouter) -> int:
    """UPDATEs so far, but for End-of-RIB, which may be said several times."""
    return sum(len(one) not in (23, 30) for one in router.wire.updates())


async def test_a_refresh_brings_the_family_again(stage: Stage) -> None:
    """RFC 2918; the other family, and another router, get nothing anew."""
    stage.prepare()
    stage.settings["routers"].append({**stage.settings["routers"][0], "address": stage.host(2)})
    one, other = await stage.router(1), await stage.router(2)
    await stage.start()
    await stage.node(1, PREFIX)
    await stage.node(2, PREFIX)
    await until(lambda: len(one.hops(PREFIX)) == len(other.hops(PREFIX)) == 2, "both have both paths")
    before, untouched = _with_routes(one), _with_routes(other)
    one.wire.table.routes.clear()
    one.wire.send(refresh(IPV4))
    await until(lambda: len(one.hops(PREFIX)) == 2, "both paths again")
    await stays(lambda: _with_routes(one) == before + 2, "nothing more", 0.1)
    assert _with_routes(other) == untouched
    assert len(stage.said("refresh_requested")) == 1


async def test_an_enhanced_refresh_is_marked_at_both_ends(stage: Stage) -> None:
    """RFC 7313: Begin-of-RR, the routes, End-of-RR."""
    router = await stage.router(1, Identity(stage.host(1), capabilities=(*FULL, capability(70))))
    await stage.start()
    await stage.node(1, PREFIX)
    await until(lambda: router.hops(PREFIX), "the router has the path")
    before = len(router.wire.messages)
    router.wire.send(refresh(IPV4))
    await until(lambda: len(router.wire.messages) == before + 3, "three messages")
    begin, route, end = router.wire.messages[before:]
    assert (begin[18], begin[21], route[18], end[18], end[21]) == (5, 1, UPDATE, 5, 2)


async def test_a_router_that_sleeps_costs_bounded_memory_and_wakes_to_the_newest_state(stage: Stage) -> None:
    """While it does not read, 3000 prefixes change 30 times: one newest state waits for it, not thirty."""
    await stage.start(count=1, guard={"prefixes": ["10.88.0.0/16"]}, nodes={"max_prefixes": 5000})
    router = await stage.router(receive_buffer=4096)
    await until(lambda: router.up, "the router is up")
    node = await stage.node(1)
    transport = _transport_to(stage, router.wire)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    router.wire.sleep()
    prefixes = [f"10.88.{i // 250}.{i % 250 + 1}/32" for i in range(3000)]
    highest = 0
    for med in range(1, 31):
        for some in _batched(prefixes, 500):
            node.announce(*some, hop=stage.host(31), med=attribute(0x80, 4, med.to_bytes(4, "big")))
        await until(lambda med=med: _med(stage, prefixes[-1]) == med, "the round is in the table")
        highest = max(highest, transport.get_write_buffer_size())
        assert stage.router_view().lanes[0].families[0].paths_pending <= 3000
    assert HIGH_WATER < highest <= HIGH_WATER + CHUNK
    assert stage.router_view().lanes[0].families[0].paths_pending == 3000
    before = router.wire.octets
    router.wire.wake()
    await until(lambda: _all_have(router.wire, 3000, 30), "the router has the last round of all", 20.0)
    assert router.wire.octets - before < HIGH_WATER + 1024 * 1024
    assert stage.router_view().lanes[0].families[0].paths_pending == 0


async def test_a_sleeping_router_holds_up_no_other(stage: Stage) -> None:
    """And its own session lives as long as it sends KEEPALIVEs."""
    stage.prepare(count=1, guard={"prefixes": ["10.88.0.0/16"]}, nodes={"max_prefixes": 5000})
    stage.settings["routers"].append({**stage.settings["routers"][0], "address": stage.host(2)})
    slow, quick = await stage.router(1, receive_buffer=4096), await stage.router(2)
    await stage.start()
    await until(lambda: slow.up and quick.up, "both routers are up")
    slow.wire.sleep()
    node = await stage.node(1)
    for med in range(1, 60):
        for some in _batched([f"10.88.{i // 250}.{i % 250 + 1}/32" for i in range(2000)], 500):
            node.announce(*some, hop=stage.host(31), med=attribute(0x80, 4, med.to_bytes(4, "big")))
        await asyncio.sleep(0)
    await until(lambda: _all_have(quick.wire, 2000, 59), "the quick one has the last round of all", 20.0)
    assert not slow.wire.lost
    assert not stage.said("session_ended")


async def test_changes_of_one_moment_are_one_write(stage: Stage) -> None:
    """A prefix that comes and goes in one read is never told; what stays is packed into one UPDATE."""
    router = await stage.router()
    await stage.start()
    await until(lambda: router.up, "the router is up")
    node = await stage.node(1)
    before = len(router.wire.updates())
    node.announce(*(f"192.168.30.{i}/32" for i in range(1, 101)), hop=stage.host(31))
    node.withdraw("192.168.30.50/32")
    await until(lambda: router.hops("192.168.30.1/32"), "the router has the paths")
    assert len(router.wire.updates()) == before + 1
    assert not router.hops("192.168.30.50/32")
    assert len(router.wire.table.routes) == 99


async def test_a_router_that_asks_for_less_gets_it(stage: Stage) -> None:
    """One that knows no ADD-PATH, no graceful restart and no IPv6 gets plain IPv4 and its End-of-RIB."""
    plain = (NATIVE[0], NATIVE[2], REFRESH)
    router = await stage.router(1, Identity(stage.host(1), capabilities=plain))
    await stage.start()
    await stage.node(1, PREFIX)
    await until(lambda: router.hops(PREFIX) == [stage.host(31)], "the router has the path")
    assert router.wire.table.ends <= {IPV4}
    assert {family.family for family in stage.router_view().lanes[0].families} == {"ipv4"}


def _batched(items: list[str], size: int) -> list[list[str]]:
    return [items[at : at + size] for at in range(0, len(items), size)]


def _restart_flags(wire: Wire) -> int:
    value = wire.capability(64)
    assert value is not None
    return value[0] >> 4


def _transport_to(stage: Stage, wire: Wire) -> asyncio.Transport:
    """Onepeer's end of a connection."""
    assert stage.speaker is not None
    found = [lane.up for lane in stage.speaker.peering.lanes() if lane.up and lane.up.local == wire.remote]
    assert found[0]._transport is not None
    return found[0]._transport


def _med(stage: Stage, prefix: str) -> int | None:
    found = stage.routes(prefix).get(prefix)
    return found.paths[0].med if found and found.paths else None


def _all_have(wire: Wire, count: int, med: int) -> bool:
    wanted = attribute(0x80, 4, med.to_bytes(4, "big"))
    routes = wire.table.routes
    return len(routes) == count and all(wanted in parsed.attributes for parsed in routes.values())
