"""A node is gone without a word: its cable is pulled, and its TCP session does not know."""

from tests.interop.network import PREFIX, SOON, Network
from tests.lab import BIRD, Onepeer, wait_until
from tests.lab.onepeer import answer

UNHEARD = {"hold_time": "90s"}
"""So that the hold timer, which ends no session within these tests, has no part in them."""


def _without(net: Network, gone: int) -> list[str]:
    return [address for address in net.addresses(4) if address != net.node_hosts[gone].v4]


def test_a_node_that_vanishes_leaves_the_router_long_before_its_hold_timer(net: Network) -> None:
    """Three ARP requests without an answer; its session stays, and its paths are back when it answers again."""
    router = net.router(BIRD)
    onepeer = net.onepeer(nodes=UNHEARD)
    net.nodes()
    net.sees(router, PREFIX[4], net.addresses(4))
    wait_until(lambda: _answering(onepeer) == {"n1", "n2", "n3"}, SOON, "every node has answered")
    net.node_hosts[1].unplug()
    try:
        net.sees(router, PREFIX[4], _without(net, 1), SOON)
        (said,) = onepeer.events("node_silent")
        assert (said["node"], said["paths"]) == ("n2", 1)
        refused = {path["node"]: path["reason"] for path in onepeer.ask("routes", PREFIX[4])["routes"][0]["refused"]}
        assert refused == {"n2": "node-silent"}
        assert "n2" in onepeer.ask("status")["nodes_up"]
        wait_until(lambda: _missing(onepeer) == {"n2": "node-silent"}, SOON, "the audit says so", every=0.2)
    finally:
        net.node_hosts[1].plug()
    net.sees(router, PREFIX[4], net.addresses(4), SOON)
    wait_until(lambda: _missing(onepeer) == {}, SOON, "nothing is missing", every=0.2)
    assert len([one for one in onepeer.events("session_established") if one.get("node") == "n2"]) == 1


def test_with_our_own_cable_pulled_no_node_is_given_up(net: Network) -> None:
    """Nobody answers then, and nobody is believed dead."""
    router = net.router(BIRD)
    onepeer = net.onepeer(nodes=UNHEARD)
    net.nodes()
    wait_until(lambda: _answering(onepeer) == {"n1", "n2", "n3"}, SOON, "every node has answered")
    net.onepeer_host.unplug()
    try:
        wait_until(lambda: _answering(onepeer) == set(), SOON, "nobody is known to answer")
    finally:
        net.onepeer_host.plug()
    net.sees(router, PREFIX[4], net.addresses(4), SOON)
    assert not onepeer.events("node_silent")


def _answering(onepeer: Onepeer) -> set[str]:
    return {node["name"] for node in answer(onepeer.socket, "nodes")["nodes"] if node["answers"]}


def _missing(onepeer: Onepeer) -> dict[str, str]:
    return {one["node"]: one["reason"] for one in answer(onepeer.socket, "audit")["findings"]}
