"""Onepeer restarts while traffic flows.

The nodes are FRR, which dials again after a second as MetalLB has it do; OpenBGPD waits for 30.
"""

import pytest

from tests.interop.network import CONVERGED, PREFIX, SERVICE, SERVICE_PORT, SOON, Network
from tests.lab import BIRD, FRR, NOBODY, Speaker, Traffic, wait_until

installing_router = pytest.mark.parametrize("kind", [FRR, BIRD], ids=lambda kind: kind.kind)


@pytest.mark.parametrize("way", ["SIGTERM", "SIGKILL"])
@installing_router
def test_traffic_flows_on_while_onepeer_restarts(net: Network, kind: type[Speaker], way: str) -> None:
    """With graceful restart agreed (RFC 4724) the router keeps every route, and no connection is lost."""
    router = net.router(kind)
    onepeer = net.onepeer()
    net.nodes(FRR)
    hops = net.addresses(4)
    net.sees(router, PREFIX[4], hops)
    traffic = Traffic(net.client, SERVICE[4], SERVICE_PORT)
    if way == "SIGTERM":
        assert onepeer.stop() == 0
    else:
        onepeer.crash()
    wait_until(lambda: not router.established(net.onepeer_host.v4), SOON, "the router sees the session end")
    assert net.router_host.route(PREFIX[4]) == hops
    onepeer.start()

    def fresh() -> bool:
        assert router.next_hops(PREFIX[4]), "the service was away for a moment"
        return router.established(net.onepeer_host.v4) and not _stale(router, PREFIX[4])

    wait_until(fresh, CONVERGED, "nothing is stale", seen=net.logs)
    net.sees(router, PREFIX[4], hops)
    answered = traffic.stop()
    assert answered[NOBODY] == 0
    assert set(answered) == {"n1", "n2", "n3"}


def _up_with_routes(net: Network, router: Speaker, hops: list[str]) -> None:
    """Wait until the session is up and its End-of-RIB has come, the route being there at every look."""

    def looked() -> bool:
        assert net.router_host.route(PREFIX[4]) == hops, "the route was away for a moment"
        return router.established(net.onepeer_host.v4) and not _stale(router, PREFIX[4])

    wait_until(looked, CONVERGED, "the session is up and nothing is stale", seen=net.logs)
    net.sees(router, PREFIX[4], hops)


def _stale(router: Speaker, prefix: str) -> bool:
    """Whether the router still holds a path from before the restart."""
    if isinstance(router, FRR):
        return any(path.get("stale") for path in router.ask(f"show bgp ipv4 unicast {prefix} json")["paths"])
    assert isinstance(router, BIRD)
    return "BGP.community: (65535,6)" in router.birdc("show", "route", prefix, "all") or " s]" in router.birdc(
        "show", "route", prefix
    )


@pytest.mark.parametrize("gone", [1, 2, 3], ids=["one", "two", "all"])
def test_nodes_that_left_during_the_restart_are_gone_after_it(net: Network, gone: int) -> None:
    """Stale paths go with End-of-RIB, however many of one service: FRR removes one of each prefix at a time."""
    router = net.router(FRR)
    onepeer = net.onepeer(graceful_restart={"restart_time": "120s", "wait": "4s"})
    nodes = net.nodes(FRR)
    net.sees(router, PREFIX[4], net.addresses(4))
    assert onepeer.stop() == 0
    for node in nodes[:gone]:
        node.crash()
    onepeer.start()
    net.sees(router, PREFIX[4], net.addresses(4)[gone:], 10)


@installing_router
def test_without_graceful_restart_the_router_is_told_goodbye(net: Network, kind: type[Speaker]) -> None:
    """`restart_time: 0s`: SIGTERM sends a Cease (RFC 4486), and the router drops the routes at once."""
    router = net.router(kind)
    onepeer = net.onepeer(graceful_restart={"restart_time": "0s"})
    net.nodes(FRR, count=1)
    net.sees(router, PREFIX[4], net.addresses(4, 1))
    assert onepeer.stop() == 0
    wait_until(lambda: net.router_host.route(PREFIX[4]) == [], SOON, "the route is gone from the kernel")
    assert "Administrative" in _last_error(router, net.onepeer_host.v4)


def _last_error(router: Speaker, peer: str) -> str:
    """The last NOTIFICATION as the router words it."""
    if isinstance(router, FRR):
        return str(router.neighbor(peer).get("lastNotificationReason"))
    assert isinstance(router, BIRD)
    return router.birdc("show", "protocols", "all", "peer0")


def test_a_changed_setting_touches_no_session_that_it_does_not_concern(net: Network) -> None:
    """SIGHUP with a wider guard: the new prefix passes, the sessions stay."""
    router = net.router(FRR)
    onepeer = net.onepeer()
    nodes = net.nodes(FRR, count=2)
    net.sees(router, PREFIX[4], net.addresses(4, 2))
    nodes[0].announce("192.168.40.1/32")
    onepeer.settings["guard"] = {"prefixes": ["192.168.30.0/24", "192.168.40.0/24"]}
    onepeer.reload()
    nodes[1].announce("192.168.40.2/32")
    net.sees(router, "192.168.40.2/32", net.addresses(4, 2)[1:], SOON)
    assert isinstance(router, FRR)
    assert router.neighbor(net.onepeer_host.v4)["connectionsDropped"] == 0
    for node in nodes:
        assert isinstance(node, FRR)
        assert node.neighbor(net.onepeer_host.v4)["connectionsDropped"] == 0


def test_a_broken_settings_file_is_refused_and_nothing_changes(net: Network) -> None:
    """SIGHUP with a mistake in the file: the old settings stay in force."""
    router = net.router(FRR)
    onepeer = net.onepeer()
    nodes = net.nodes(FRR, count=2)
    net.sees(router, PREFIX[4], net.addresses(4, 2))
    onepeer.settings["guard"] = {"prefixes": ["not-a-prefix"]}
    onepeer.reload()
    wait_until(lambda: "not-a-prefix" in onepeer.output(), SOON, "the log names the mistake", seen=net.logs)
    nodes[0].announce("192.168.30.2/32")
    net.sees(router, "192.168.30.2/32", net.addresses(4, 1), SOON)
    assert isinstance(router, FRR)
    assert router.neighbor(net.onepeer_host.v4)["connectionsDropped"] == 0


def test_a_router_keeps_what_it_has_while_onepeer_is_away_for_long(net: Network) -> None:
    """Long-lived graceful restart (RFC 9494), which BIRD takes unasked: beyond restart_time the routes are better than
    none. BIRD 2.0.12 drops them when the session is back, and takes the new ones with each node's return."""
    router = net.router(BIRD)
    onepeer = net.onepeer(graceful_restart={"restart_time": "1s", "long_lived": "10m", "wait": "10s"})
    net.nodes(FRR)
    hops = net.addresses(4)
    net.sees(router, PREFIX[4], hops)
    (session,) = [one for one in onepeer.events("session_established") if one.get("router")]
    assert "long-lived-graceful-restart" in session["capabilities"]
    onepeer.crash()
    wait_until(lambda: _stale(router, PREFIX[4]), 10, "restart_time is over, and the routes are stale")
    assert net.router_host.route(PREFIX[4]) == hops
    onepeer.start()
    wait_until(lambda: router.established(net.onepeer_host.v4), CONVERGED, "the session is back", seen=net.logs)
    wait_until(lambda: router.next_hops(PREFIX[4]) == hops and not _stale(router, PREFIX[4]), CONVERGED, "all is fresh")
