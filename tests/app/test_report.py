"""What `status`, `nodes` and `routes` say in each situation that a user may be in."""

import pytest

from tests.app.stage import Stage, until
from tests.app.wire import FULL, NATIVE, REFRESH, Identity, communities
from tests.bgp.bgp_wire import ALIVE, attribute

PREFIX = "192.168.30.1/32"


async def test_nothing_has_happened_yet(stage: Stage) -> None:
    """No router, no node: down, and each with its reason."""
    await stage.start()
    await until(lambda: stage.said("dial_failed"), "the router is dialed in vain")
    status = stage.status()
    assert status.health == "down"
    assert [(one.name, one.why) for one in status.nodes_down] == [
        ("leviathan1", "never dialed"),
        ("leviathan2", "never dialed"),
    ]
    assert (status.nodes_up, status.paths, status.prefixes) == ([], {"ipv4": 0, "ipv6": 0}, {"ipv4": 0, "ipv6": 0})
    lane = stage.router_view().lanes[0]
    assert lane.session.state in ("Active", "Connect")
    assert lane.session.last_end is not None
    assert (lane.session.last_end.cause, lane.session.last_end.text) == ("connection-failed", "connection refused")
    assert (lane.families, lane.local_address) == ([], stage.host(10))
    assert stage.report().ready() == (False, "no-router")
    assert stage.report().alive() == (True, "alive")
    assert stage.routes() == {}


async def test_all_is_well(stage: Stage) -> None:
    """Router and nodes up: ok, with what the router has."""
    router = await stage.router()
    await stage.start()
    for number in (1, 2):
        await stage.node(number, PREFIX, f"192.168.30.{10 + number}/32")
    await until(lambda: len(router.wire.table.routes) == 4, "the router has all paths")
    status = stage.status()
    assert status.health == "ok"
    assert (status.nodes_up, status.nodes_down) == (["leviathan1", "leviathan2"], [])
    assert (status.paths["ipv4"], status.prefixes["ipv4"], status.refused, status.warnings) == (4, 3, 0, [])
    assert not status.waiting_for_nodes
    (ipv4, ipv6) = stage.router_view().lanes[0].families
    assert (ipv4.family, ipv4.mode, ipv4.paths_sent, ipv4.paths_pending) == ("ipv4", "addpath", 4, 0)
    assert (ipv6.family, ipv6.paths_sent) == ("ipv6", 0)
    session = stage.node_view(1).sessions[0]
    assert (session.address, session.paths) == (stage.host(31), {"ipv4": 2, "ipv6": 0})
    assert session.path_id == int.from_bytes(bytes(map(int, stage.host(31).split("."))), "big")
    assert session.session.peer_router_id == stage.host(31)
    assert session.session.capabilities == ["ipv4", "ipv6", "as4"]
    assert session.session.established_count == 1


async def test_a_node_is_missing(stage: Stage) -> None:
    """Degraded: the router still gets paths, and the missing one is named with how it went."""
    router = await stage.router()
    await stage.start()
    await stage.node(1, PREFIX)
    leaves = await stage.node(2, PREFIX)
    await until(lambda: len(router.hops(PREFIX)) == 2, "the router has both")
    leaves.hang_up()
    await until(lambda: len(router.hops(PREFIX)) == 1, "the router has one")
    status = stage.status()
    assert status.health == "degraded"
    assert [(one.name, one.why) for one in status.nodes_down] == [
        ("leviathan2", "connection-lost: the peer closed the connection")
    ]
    assert status.now - status.nodes_down[0].since < 5


async def test_the_router_is_down(stage: Stage) -> None:
    """Down, however many nodes are up; the table is shown all the same, and that nobody gets it."""
    await stage.start()
    await stage.node(1, PREFIX)
    await stage.node(2, PREFIX)
    await until(lambda: stage.status().paths["ipv4"] == 2, "both paths")
    assert stage.status().health == "down"
    (path, _) = stage.routes()[PREFIX].paths
    assert [(one.router, one.lane, one.reason) for one in path.sent] == [(stage.host(1), None, "session-down")]


async def test_one_of_two_routers_is_down(stage: Stage) -> None:
    """Degraded, and ready: somebody gets the paths."""
    stage.prepare(count=1)
    stage.settings["routers"].append({**stage.settings["routers"][0], "address": stage.host(2), "name": "second"})
    router = await stage.router()
    await stage.start()
    await stage.node(1, PREFIX)
    await until(lambda: router.hops(PREFIX), "the router has the path")
    status = stage.status()
    assert status.health == "degraded"
    assert [one.lanes[0].session.state == "Established" for one in status.routers] == [True, False]
    assert stage.report().ready() == (True, "ready")


async def test_a_node_is_on_its_way(stage: Stage) -> None:
    """Between its call and its first KEEPALIVE."""
    await stage.start()
    node = await stage.call(31)
    await until(lambda: node.kinds(), "our OPEN")
    assert stage.node_view(1).sessions[0].session.state == "OpenSent"
    assert stage.node_view(1).why_down == "is connecting"
    node.send(Identity(stage.host(31)).open())
    await until(lambda: len(node.kinds()) == 2, "our KEEPALIVE")
    assert stage.node_view(1).sessions[0].session.state == "OpenConfirm"
    node.send(ALIVE)
    await until(lambda: stage.node_view(1).up, "it is up")
    assert stage.node_view(1).why_down is None


async def test_a_second_speaker_on_a_node_is_no_reason_for_its_end(stage: Stage) -> None:
    """Its calls were refused while the first was up; when that one goes, the reason is how it went."""
    await stage.start()
    node = await stage.node(1)
    second = await stage.call(31)
    await until(lambda: second.lost and len(node.messages) == 3, "the call has ended, and we have asked the first")
    node.hang_up()
    await until(lambda: not stage.node_view(1).up, "the session has ended")
    assert stage.node_view(1).why_down == "connection-lost: the peer closed the connection"


async def test_a_node_says_itself_why_it_is_down(stage: Stage) -> None:
    """Its NOTIFICATION, in words."""
    await stage.start()
    node = await stage.node(1)
    node.send(b"\xff" * 16 + bytes((0, 21, 3, 6, 4)))
    await until(lambda: not stage.node_view(1).up, "the session has ended")
    assert stage.node_view(1).why_down == "notification-received: 6/4 Cease / Administrative Reset"


async def test_a_node_with_two_addresses_is_up_with_one(stage: Stage) -> None:
    """Its sessions are shown each; the other address is no trouble."""
    stage.prepare(count=1)
    stage.roster[0]["addresses"].append(stage.host(41))
    await stage.start()
    await stage.node(1, PREFIX)
    view = stage.node_view(1)
    assert view.up
    assert [one.session.state for one in view.sessions] == ["Established", "Active"]
    assert stage.status().nodes_down == []


async def test_paths_are_refused(stage: Stage) -> None:
    """By reason and with an example: in `nodes`, in `status`, and beside the prefix in `routes`."""
    await stage.start()
    node = await stage.node(1, PREFIX, "10.0.0.1/32", "10.0.0.2/32")
    node.announce("192.168.30.9/32", hop=stage.host(32))
    await until(lambda: stage.status().refused == 3, "three are refused")
    found = {one.reason: (one.paths, one.example) for one in stage.node_view(1).sessions[0].refused}
    assert found == {
        "prefix-not-allowed": (2, "10.0.0.1/32"),
        "next-hop-not-own": (1, "192.168.30.9/32"),
    }
    assert len(stage.status().warnings) == 2
    assert "leviathan1: 2 paths refused: prefix-not-allowed, such as 10.0.0.1/32" in stage.status().warnings
    (refused,) = stage.routes("10.0.0.1")["10.0.0.1/32"].refused
    assert (refused.node, refused.reason) == ("leviathan1", "prefix-not-allowed")
    assert stage.routes("10.0.0.1")["10.0.0.1/32"].paths == []


async def test_routes_by_address_and_by_prefix(stage: Stage) -> None:
    """An address: what holds it. A prefix: it and what lies inside. Anything else is a mistake with a way out."""
    await stage.start()
    await stage.node(1, PREFIX, "192.168.30.22/32", "192.168.30.128/25")
    await until(lambda: len(stage.routes()) == 3, "three prefixes")
    assert list(stage.routes()) == [PREFIX, "192.168.30.22/32", "192.168.30.128/25"]
    assert list(stage.routes("192.168.30.22")) == ["192.168.30.22/32"]
    assert list(stage.routes("192.168.30.200")) == ["192.168.30.128/25"]
    assert list(stage.routes("192.168.30.0/27")) == [PREFIX, "192.168.30.22/32"]
    assert list(stage.routes("0.0.0.0/0")) == list(stage.routes())
    assert stage.routes("fd00:30::1") == {}
    assert stage.routes("10.0.0.1") == {}
    with pytest.raises(ValueError, match=r"'gitea' is neither an address nor a prefix, such as 192.168.30.1"):
        stage.routes("gitea")


async def test_a_path_is_shown_as_the_node_told_it(stage: Stage) -> None:
    """And in the order of the decision process, each with the step at which it stands behind the one before."""
    plain = await stage.router(1, Identity(stage.host(1), capabilities=(*NATIVE, REFRESH)))
    await stage.start()
    first, second = await stage.node(1), await stage.node(2)
    med = attribute(0x80, 4, (50).to_bytes(4, "big"))
    first.announce(PREFIX, hop=stage.host(31), med=med, communities=communities("64512:100", "64512:200"))
    second.announce(PREFIX, hop=stage.host(32))
    await until(lambda: plain.hops(PREFIX) == [stage.host(32)], "the router has the better one")
    best, other = stage.routes()[PREFIX].paths
    assert (best.node, best.best, best.rank, best.rank_reason) == ("leviathan2", True, 1, None)
    assert (other.node, other.best, other.rank, other.next_hop) == ("leviathan1", False, 2, stage.host(31))
    assert (other.med, other.local_pref, other.origin, other.as_path) == (50, 100, "igp", "")
    assert other.communities == ["64512:100", "64512:200"]
    assert other.rank_reason
    assert "med" in other.rank_reason.lower()
    assert (best.sent[0].reason, other.sent[0].reason) == (None, "not-equal-cost")


async def test_ebgp_paths_are_shown_with_their_as_path(stage: Stage) -> None:
    """As routers print it."""
    stage.prepare(count=1)
    stage.roster[0]["asn"] = 65001
    await stage.start()
    node = await stage.call(31, Identity(stage.host(31), asn=65001))
    await until(lambda: node.up, "leviathan1 is up")
    sequence = bytes((2, 2)) + (65001).to_bytes(4, "big") + (65009).to_bytes(4, "big")
    head = attribute(0x40, 1, b"\0") + attribute(0x40, 2, sequence)
    hop = attribute(0x40, 3, bytes(map(int, stage.host(31).split("."))))
    body = head + hop
    size = len(body).to_bytes(2, "big")
    node.send(
        b"\xff" * 16 + (23 + len(body) + 5).to_bytes(2, "big") + b"\2\0\0" + size + body + b"\x20\xc0\xa8\x1e\x01"
    )
    await until(lambda: stage.routes(), "the path is there")
    (path,) = stage.routes()[PREFIX].paths
    assert (path.as_path, path.local_pref) == ("65001 65009", None)


async def test_counters_follow_what_happens(stage: Stage) -> None:
    """Octets, UPDATEs, sessions and NOTIFICATIONs, for metrics."""
    router = await stage.router(1, Identity(stage.host(1), capabilities=FULL))
    await stage.start()
    node = await stage.node(1, PREFIX)
    await until(lambda: router.hops(PREFIX), "the router has the path")
    node.withdraw(PREFIX)
    await until(lambda: not router.hops(PREFIX), "the path is gone")
    wrong = await stage.call(32, Identity(stage.host(32), asn=65001))
    await until(lambda: wrong.lost, "it is refused")
    counters = stage.report().counters()
    assert counters.updates_received == 2
    assert counters.updates_sent == 4  # the path, two End-of-RIBs, the withdrawal
    assert counters.bytes_written >= router.wire.octets
    assert counters.sessions_ended["node", "notification-sent"] == 1
    assert counters.notifications == {("node", "sent", "2 OPEN_MESSAGE"): 1}
