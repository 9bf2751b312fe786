"""A node is drained while traffic flows, on a real router."""

import pytest

from tests.interop.network import ASN, CONVERGED, LONELY, PREFIX, SERVICE, SERVICE_PORT, SOON, Network
from tests.lab import FRR, NOBODY, Banner, Host, Peer, Traffic, wait_until

SECOND = "192.168.3.11"
"""Another address of Onepeer's host."""


@pytest.mark.parametrize("lanes", [0, 2, 1], ids=["addpath", "lanes", "spread"])
def test_a_drain_loses_no_new_connection(net: Network, lanes: int) -> None:
    """The last path of a service stays, and all is back when it is over."""
    addresses = [net.onepeer_host.v4, SECOND][: lanes or 1]
    net.onepeer_host.ip(f"address replace {SECOND}/24 dev eth0")
    net.run(FRR(net.router_host, ASN, [Peer(address, ASN, add_path=not lanes) for address in addresses]))
    onepeer = net.onepeer(router={"local_addresses": addresses})
    net.nodes()
    hops = lanes or 3

    def used() -> list[str]:
        return net.router_host.route(PREFIX[4])

    wait_until(lambda: len(used()) == hops, CONVERGED, "the service is there", seen=net.logs)
    n3 = net.addresses(4)[2]
    traffic = Traffic(net.client, SERVICE[4], SERVICE_PORT)
    done = onepeer.cli("drain", "n3", "--wait")
    assert (done.returncode, LONELY[4] in done.stdout) == (3, True), done.stdout + done.stderr
    wait_until(lambda: n3 not in used(), CONVERGED, "n3 has left", seen=net.logs)
    assert len(used()) == min(hops, 2)
    assert net.router_host.route(LONELY[4]) == [n3]
    assert onepeer.cli("undrain", "n3", "--wait").returncode == 0
    wait_until(lambda: len(used()) == hops, CONVERGED, "all is back", seen=net.logs)
    answered = traffic.stop()
    print(f"{answered.total()} connections, {answered[NOBODY]} lost")
    assert answered[NOBODY] == 0


def test_a_restart_of_onepeer_remembers_the_drain(net: Network) -> None:
    """Also the node's paths that come back then are kept from the router."""
    router = net.router(FRR)
    onepeer = net.onepeer()
    net.nodes(FRR)
    n1, n2, n3 = net.addresses(4)
    net.sees(router, PREFIX[4], [n1, n2, n3])
    onepeer.cli("drain", "n3", "--wait")
    onepeer.stop()
    onepeer.start()
    wait_until(lambda: "drained" in str(onepeer.ask("nodes")), CONVERGED, "it answers")
    wait_until(lambda: onepeer.ask("status")["nodes_up"] == ["n1", "n2", "n3"], 60, "the nodes are back", seen=net.logs)
    net.sees(router, PREFIX[4], [n1, n2])
    assert onepeer.cli("undrain", "n3", "--wait").returncode == 0
    net.sees(router, PREFIX[4], [n1, n2, n3])


def test_first_its_paths_are_the_least_preferred_and_the_router_uses_the_others(net: Network) -> None:
    """RFC 8326: the community and LOCAL_PREF 0, while the path is still there; a last path keeps both."""
    router = net.router(FRR)
    assert isinstance(router, FRR)
    onepeer = net.onepeer()
    net.nodes()
    n1, n2, n3 = net.addresses(4)
    net.sees(router, PREFIX[4], [n1, n2, n3])
    done = onepeer.cli("drain", "n3")
    assert "1 paths are the least preferred" in done.stdout, done.stdout + done.stderr
    wait_until(lambda: net.router_host.route(PREFIX[4]) == [n1, n2], SOON, "n3 is out of the kernel", seen=net.logs)
    found = router.ask(f"show bgp ipv4 unicast {PREFIX[4]} json")["paths"]
    leaving = [(p.get("locPrf", 0), p["community"]["list"]) for p in found if p["nexthops"][0]["ip"] == n3]
    assert leaving == [(0, ["gracefulShutdown"])]
    net.sees(router, PREFIX[4], [n1, n2])
    assert [path.local_pref or 0 for path in router.paths(LONELY[4])] == [0]
    assert onepeer.cli("undrain", "n3", "--wait").returncode == 0
    net.sees(router, PREFIX[4], [n1, n2, n3])
    assert [path.local_pref for path in router.paths(LONELY[4])] == [100]


def test_the_last_path_goes_when_a_router_behind_has_shown_its_own(net: Network) -> None:
    """By `--force`. The second router has the service from elsewhere, and keeps that to itself while the first has a
    better path: after a withdrawal alone the first has no route until it is told. Connections are counted, and not
    asserted: one that is being opened when the route moves is lost either way."""
    address = LONELY[4].partition("/")[0]
    first = net.run(FRR(net.router_host, ASN, [Peer(net.onepeer_host.v4, ASN), Peer(net.second_host.v4, 65002)]))
    second = net.run(FRR(net.second_host, 65002, [Peer(net.router_host.v4, ASN)]))
    assert isinstance(second, FRR)
    net.second_host.forward()
    elsewhere, _, n3 = net.node_hosts
    net.second_host.ip(f"route replace {LONELY[4]} via {elsewhere.v4}")
    for host in (elsewhere, n3):
        host.add_service_address(address)
        Banner(host, address, SERVICE_PORT)
    second.configure("route-map own permit 10", " set weight 0", "exit", "route-map better permit 10")
    second.configure("route-map better permit 10", " set local-preference 200", "exit", "router bgp 65002")
    second.configure(
        "router bgp 65002",
        " address-family ipv4 unicast",
        f"  neighbor {net.router_host.v4} route-map better in",
        f"  network {LONELY[4]} route-map own",
    )
    onepeer = net.onepeer()
    speakers = net.nodes()

    def by(host: Host) -> None:
        wait_until(
            lambda: net.router_host.route(LONELY[4]) == [host.v4], CONVERGED, f"it is at {host.name}", seen=net.logs
        )

    monitor = net.router_host.start("ip", "monitor", "route", log="monitor.log")
    lost, gone = {}, {}
    for way in ("withdrawn", "drained"):
        by(n3)
        wait_until(
            lambda: (len(first.paths(LONELY[4])), len(second.paths(LONELY[4]))) == (1, 2),
            CONVERGED,
            "the second has both, and says nothing of its own",
        )
        before = len(monitor.output())
        traffic = Traffic(net.client, address, SERVICE_PORT, every=0.0005)
        if way == "drained":
            assert onepeer.cli("drain", "n3", "--force", "--wait").returncode == 0
        else:
            speakers[2].withdraw(LONELY[4])
        by(net.second_host)
        lost[way] = traffic.stop()[NOBODY]
        gone[way] = f"Deleted {address}" in monitor.output()[before:]
        speakers[2].announce(LONELY[4])
    monitor.terminate()
    assert onepeer.cli("undrain", "n3").returncode == 0
    print(f"new connections lost: {lost}; the first router was without a route: {gone}")
    assert not gone["drained"]
