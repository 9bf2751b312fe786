"""Each speaker that a node may run, with Onepeer as its peer and FRR as the router."""

import pytest

from tests.interop.network import ASN, PORT, PREFIX, SOON, Network
from tests.lab import BIRD, FRR, GoBGP, OpenBGPD, Peer, Speaker, holds_for, wait_until

SPEAKERS = [FRR, BIRD, GoBGP, OpenBGPD]
NODE_AS = 64600

every_speaker = pytest.mark.parametrize("kind", SPEAKERS, ids=lambda kind: kind.kind)
both_families = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])


@pytest.mark.parametrize(
    ("kind", "family", "asn"),
    [(kind, family, asn) for kind in (FRR, OpenBGPD) for family in (4, 6) for asn in (ASN, NODE_AS)]
    + [(kind, *case) for kind in (BIRD, GoBGP) for case in ((4, ASN), (6, NODE_AS))],  # slow starters
    ids=lambda value: {4: "ipv4", 6: "ipv6", ASN: "ibgp", NODE_AS: "ebgp"}.get(value) or value.kind,
)
def test_a_nodes_paths_reach_the_router_whatever_speaks_on_it(
    net: Network, kind: type[Speaker], family: int, asn: int
) -> None:
    """Announced, withdrawn and announced again: the router's kernel follows, next hop the node itself."""
    router = net.router(FRR, family=family)
    net.onepeer(family=family, node_asn=asn)
    nodes = net.nodes(kind, family=family, asns=(asn, asn, asn), count=2)
    hops = net.addresses(family, 2)
    net.sees(router, PREFIX[family], hops)
    assert {path.as_path for path in router.paths(PREFIX[family])} == {"" if asn == ASN else str(asn)}
    assert net.who_answers(family) == {"n1", "n2"}
    nodes[0].withdraw(PREFIX[family])
    net.sees(router, PREFIX[family], hops[1:], SOON)
    nodes[0].announce(PREFIX[family])
    net.sees(router, PREFIX[family], hops, SOON)


def test_nodes_of_different_as_share_the_traffic(net: Network) -> None:
    """Each node may have its own AS; a router that relaxes the comparison of paths spreads over them."""
    router = net.router(FRR, relax=True)
    asns = (64601, 64602, 64603)
    pairs = zip(net.node_hosts, asns, strict=True)
    roster = [{"name": host.name, "addresses": [host.v4], "asn": asn} for host, asn in pairs]
    net.onepeer(roster=roster)
    net.nodes(asns=asns)
    net.sees(router, PREFIX[4], net.addresses(4))
    assert {path.as_path for path in router.paths(PREFIX[4])} == {str(asn) for asn in asns}
    assert net.who_answers() == {"n1", "n2", "n3"}


def test_ebgp_on_both_sides_keeps_the_nodes_as_next_hops(net: Network) -> None:
    """Between two other ASes Onepeer adds its own AS and leaves the next hop alone (RFC 4271 5.1.3, third party)."""
    router = net.router(FRR, asn=64999)
    net.onepeer(router_asn=64999, node_asn=NODE_AS)
    net.nodes(asns=(NODE_AS,) * 3)
    net.sees(router, PREFIX[4], net.addresses(4))
    assert {path.as_path for path in router.paths(PREFIX[4])} == {f"{ASN} {NODE_AS}"}
    assert net.who_answers() == {"n1", "n2", "n3"}


@every_speaker
def test_a_node_with_a_key_gets_its_session(net: Network, kind: type[Speaker]) -> None:
    """TCP MD5 from the nodes, one key for all of them from a file."""
    key = _key(net, "nodes.key", "blue-lantern")
    router = net.router(FRR)
    net.onepeer(nodes={"password_file": key})
    net.nodes(kind, count=1, password="blue-lantern")
    net.sees(router, PREFIX[4], net.addresses(4, 1))


@pytest.mark.parametrize("password", ["green-lantern", None], ids=["wrong", "missing"])
@both_families
def test_a_node_without_the_right_key_never_comes_up_and_hurts_no_other(
    net: Network, family: int, password: str | None
) -> None:
    """The kernel drops its packets: that node stays away, the others carry on."""
    key = _key(net, "nodes.key", "blue-lantern")
    router = net.router(FRR, family=family)
    net.onepeer(family=family, nodes={"password_file": key})
    onepeer = net.onepeer_host.address(family)
    stranger = Peer(onepeer, ASN, port=PORT, password=password)
    wrong = net.run(OpenBGPD(net.node_hosts[2], ASN, [stranger], [PREFIX[family]]))
    good = net.nodes(family=family, count=2, password="blue-lantern")
    net.sees(router, PREFIX[family], net.addresses(family, 2))
    holds_for(lambda: not wrong.established(onepeer), 3, "the session with the wrong key is down")
    assert all(node.established(onepeer) for node in good)
    assert router.next_hops(PREFIX[family]) == net.addresses(family, 2)


def test_one_node_may_have_a_key_of_its_own(net: Network) -> None:
    """A key in the roster goes before that of all nodes."""
    everyones = _key(net, "nodes.key", "blue-lantern")
    own = _key(net, "n2.key", "red-lantern")
    roster = [{"name": host.name, "addresses": [host.v4]} for host in net.node_hosts]
    roster[1] |= {"password_file": own}
    router = net.router(FRR)
    net.onepeer(nodes={"password_file": everyones}, roster=roster)
    net.nodes(count=1, password="blue-lantern")
    line = Peer(net.onepeer_host.v4, ASN, port=PORT, password="red-lantern")
    net.run(OpenBGPD(net.node_hosts[1], ASN, [line], [PREFIX[4]]))
    net.sees(router, PREFIX[4], net.addresses(4, 2))


@every_speaker
def test_a_restarted_node_carries_traffic_again(net: Network, kind: type[Speaker]) -> None:
    """Where nothing is held a speaker that crashes leaves the router at once; when it is back, so are its paths."""
    router = net.router(FRR)
    net.onepeer()
    nodes = net.nodes(kind, count=2)
    hops = net.addresses(4, 2)
    net.sees(router, PREFIX[4], hops)
    nodes[0].crash()
    net.sees(router, PREFIX[4], hops[1:], SOON)
    nodes[0].start()
    net.sees(router, PREFIX[4], hops)


def test_a_node_that_loses_power_leaves_when_its_hold_time_is_over(net: Network) -> None:
    """No packet tells that it is gone: the hold time (RFC 4271 6.5) does."""
    router = net.router(FRR)
    net.onepeer()
    nodes = net.nodes(FRR, count=2, hold=3)
    net.sees(router, PREFIX[4], net.addresses(4, 2))
    nodes[0].host.unplug()
    try:
        net.sees(router, PREFIX[4], net.addresses(4, 2)[1:], 6)
    finally:
        nodes[0].host.plug()


def test_a_node_joins_and_leaves_by_the_roster_alone(net: Network) -> None:
    """A line more in nodes.yaml lets a node in, a line less ends its session; nobody touches the router."""
    router = net.router(FRR)
    lines = [{"name": host.name, "addresses": [host.v4]} for host in net.node_hosts]
    onepeer = net.onepeer(roster=lines[:2])
    nodes = net.nodes(FRR)
    net.sees(router, PREFIX[4], net.addresses(4, 2))
    onepeer.nodes = [dict(line) for line in lines]
    onepeer.write_nodes()
    net.sees(router, PREFIX[4], net.addresses(4))
    onepeer.nodes = [dict(line) for line in lines[1:]]
    onepeer.write_nodes()
    net.sees(router, PREFIX[4], net.addresses(4)[1:])
    wait_until(lambda: not nodes[0].established(net.onepeer_host.v4), SOON, "n1's session is down")


def _key(net: Network, name: str, text: str) -> str:
    path = net.onepeer_host.folder / name
    path.write_text(text + "\n")
    return str(path)
