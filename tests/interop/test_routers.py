"""Each router that people have, with Onepeer as its only neighbor, and MetalLB-like nodes behind that."""

import pytest

from tests.interop.network import ASN, LONELY, PREFIX, SOON, Network
from tests.lab import BIRD, FRR, GoBGP, OpenBGPD, Speaker, wait_until

ROUTERS = [FRR, BIRD, GoBGP, OpenBGPD]
OTHER_AS = 64999

every_router = pytest.mark.parametrize("kind", ROUTERS, ids=lambda kind: kind.kind)
both_families = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])


@pytest.mark.parametrize("asn", [ASN, OTHER_AS], ids=["ibgp", "ebgp"])
@both_families
@every_router
def test_one_line_gives_the_router_every_nodes_path(net: Network, kind: type[Speaker], family: int, asn: int) -> None:
    """With ADD-PATH the router holds one path for each node, and traffic spreads over all of them."""
    router = net.router(kind, family=family, asn=asn)
    net.onepeer(family=family, router_asn=asn)
    nodes = net.nodes(FRR if asn == ASN else OpenBGPD, family=family)
    hops = net.addresses(family)
    net.sees(router, PREFIX[family], hops)
    net.sees(router, LONELY[family], hops[2:], SOON)
    for path in router.paths(PREFIX[family]):
        assert path.as_path == ("" if asn == ASN else str(ASN))
        if asn == ASN:
            assert path.local_pref == 100
            assert path.cluster_list == (net.onepeer_host.v4,)
    if asn == ASN:
        originators = sorted(str(path.originator_id) for path in router.paths(PREFIX[family]))
        assert originators == net.addresses(4)
    if router.installs:
        assert net.who_answers(family) == {"n1", "n2", "n3"}

    nodes[0].withdraw(PREFIX[family])
    net.sees(router, PREFIX[family], hops[1:], SOON)
    nodes[1].crash()
    net.sees(router, PREFIX[family], hops[2:], SOON)
    if router.installs:
        assert net.who_answers(family, 10) == {"n3"}


@both_families
@every_router
def test_a_router_without_add_path_holds_one_path_of_each_service(
    net: Network, kind: type[Speaker], family: int
) -> None:
    """Without ADD-PATH each service has exactly one next hop, and another node takes over when that one leaves."""
    router = net.router(kind, family=family, add_path=False)
    net.onepeer(family=family)
    nodes = net.nodes(family=family)
    net.sees(router, LONELY[family], net.addresses(family)[2:])
    first = _only_hop(net, router, family, net.addresses(family))
    chosen = net.addresses(family).index(first)
    if router.installs:
        assert net.who_answers(family, 10) == {f"n{chosen + 1}"}
    nodes[chosen].withdraw(PREFIX[family])
    others = [hop for hop in net.addresses(family) if hop != first]
    _only_hop(net, router, family, others)


def _only_hop(net: Network, router: Speaker, family: int, among: list[str]) -> str:
    """Wait until the router has exactly one next hop for the service, one of these; return it."""
    wait_until(
        lambda: len(hops := router.next_hops(PREFIX[family])) == 1 and hops[0] in among,
        SOON,
        f"{router.kind} has {PREFIX[family]} via one of {among}",
        seen=lambda: f"{router.paths(PREFIX[family])}\n{net.logs()}",
    )
    hop = router.next_hops(PREFIX[family])[0]
    net.sees(router, PREFIX[family], [hop], SOON)
    return hop


@every_router
def test_a_router_with_a_key_takes_the_session(net: Network, kind: type[Speaker]) -> None:
    """TCP MD5 towards the router, the key from a file.

    OpenBGPD 7.7 on Linux signs only what it dials: its listening socket drops every signed SYN, before Onepeer is
    asked anything (TCPMD5Unexpected counts them). So it is the one that dials here.
    """
    key = net.onepeer_host.folder / "router.key"
    key.write_text("grey-harbour\n")
    router = net.router(kind, password="grey-harbour", port=1790 if kind is OpenBGPD else 179)
    net.onepeer(router={"password_file": str(key)})
    net.nodes(count=1)
    net.sees(router, PREFIX[4], net.addresses(4, 1))


@both_families
def test_a_router_with_a_key_takes_the_session_over_either_family(net: Network, family: int) -> None:
    """TCP MD5 over IPv4 and IPv6 sockets."""
    key = net.onepeer_host.folder / "router.key"
    key.write_text("grey-harbour\n")
    router = net.router(FRR, family=family, password="grey-harbour")
    net.onepeer(family=family, router={"password_file": str(key)})
    net.nodes(family=family, count=1)
    net.sees(router, PREFIX[family], net.addresses(family, 1))


@every_router
def test_a_router_may_be_the_one_that_dials(net: Network, kind: type[Speaker]) -> None:
    """With `connect: passive` Onepeer waits for the router's call on its own port."""
    net.onepeer(router={"connect": "passive"})
    router = net.router(kind, port=1790)
    net.nodes(count=1)
    net.sees(router, PREFIX[4], net.addresses(4, 1))


@every_router
def test_a_restarted_router_has_the_whole_table_again(net: Network, kind: type[Speaker]) -> None:
    """A router that comes back gets every path, and nodes notice nothing."""
    router = net.router(kind)
    net.onepeer()
    nodes = net.nodes(count=2)
    hops = net.addresses(4, 2)
    net.sees(router, PREFIX[4], hops)
    router.crash()
    router.start()
    net.sees(router, PREFIX[4], hops)
    assert all(node.established(net.onepeer_host.v4) for node in nodes)


def test_both_families_over_one_session(net: Network) -> None:
    """A router that speaks IPv4 and IPv6 routes over its one line gets both."""
    router = net.router(FRR, families=(4, 6))
    net.onepeer()
    nodes = net.nodes(family=4)
    net.sees(router, PREFIX[4], net.addresses(4))
    for node in nodes:
        node.stop()
    net.nodes(family=6)
    net.sees(router, PREFIX[6], net.addresses(6))


def test_two_routers_are_each_given_what_they_can_take(net: Network) -> None:
    """A router with ADD-PATH gets all paths while its neighbor without gets one."""
    able = net.router(FRR)
    plain = net.router(BIRD, host=net.second_host, add_path=False)
    lines = [{"address": net.router_host.v4}, {"address": net.second_host.v4}]
    net.onepeer(routers=lines)
    net.nodes()
    net.sees(able, PREFIX[4], net.addresses(4))
    _only_hop(net, plain, 4, net.addresses(4))
