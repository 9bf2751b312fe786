"""What Onepeer refuses, and that a refusal hurts nobody else."""

import pytest

from tests.interop.network import ASN, PORT, PREFIX, SOON, Network
from tests.lab import FRR, Speaker, holds_for, wait_until
from tests.lab.raw import KEEPALIVE, NOTIFICATION, OPEN, Raw, attributes, message, open_message, updates

CEASE, MAX_PREFIXES = 6, 1
OPEN_ERROR, BAD_PEER_AS = 2, 2


@pytest.fixture
def healthy(net: Network) -> tuple[Network, Speaker, list[Speaker]]:
    """A router, and n2 up with its path, who shall notice nothing."""
    router = net.router(FRR)
    net.onepeer(nodes={"max_prefixes": 10})
    nodes = net.nodes(count=2)
    nodes[0].stop()
    net.sees(router, PREFIX[4], [net.node_hosts[1].v4])
    return net, router, nodes[1:]


def assert_nobody_else_noticed(net: Network, router: Speaker, others: list[Speaker]) -> None:
    """The other node's session never went down and the router has its path alone."""
    assert isinstance(router, FRR)
    assert router.next_hops(PREFIX[4]) == [one.host.v4 for one in others]
    assert router.neighbor(net.onepeer_host.v4)["connectionsDropped"] == 0
    for one in others:
        assert isinstance(one, FRR)
        assert one.neighbor(net.onepeer_host.v4)["connectionsDropped"] == 0


def test_an_address_outside_the_roster_gets_not_one_byte(
    healthy: tuple[Network, Speaker, list[Speaker]],
) -> None:
    """A stranger's connection ends before any OPEN, also when it keeps trying."""
    net, router, others = healthy
    for _ in range(20):
        stranger = Raw.dial(net.second_host, net.onepeer_host.v4, PORT)
        assert stranger.read() is None
        assert stranger.received == 0
    assert_nobody_else_noticed(net, router, others)


def test_a_node_of_another_as_is_told_so(healthy: tuple[Network, Speaker, list[Speaker]]) -> None:
    """An OPEN with an AS that the roster does not have is answered with Bad Peer AS (RFC 4271 6.2)."""
    net, router, others = healthy
    node = Raw.dial(net.node_hosts[0], net.onepeer_host.v4, PORT)
    node.send(open_message(65001, net.node_hosts[0].v4))
    answer = node.read_until(lambda one: one.kind == NOTIFICATION)
    assert answer is not None
    assert answer.notification == (OPEN_ERROR, BAD_PEER_AS)
    assert_nobody_else_noticed(net, router, others)


def test_a_second_session_of_a_node_is_refused_and_the_first_stays(
    healthy: tuple[Network, Speaker, list[Speaker]],
) -> None:
    """Two speakers on one node do not take turns: who is up stays up."""
    net, router, others = healthy
    for _ in range(5):
        second = Raw.dial(net.node_hosts[1], net.onepeer_host.v4, PORT)
        try:
            second.send(open_message(ASN, net.node_hosts[1].v4), message(KEEPALIVE))
            assert second.read_until(lambda one: one.kind == KEEPALIVE) is None
        except ConnectionError:
            pass  # closed before it had said its own
    assert_nobody_else_noticed(net, router, others)


def test_more_prefixes_than_allowed_end_that_session_alone(
    healthy: tuple[Network, Speaker, list[Speaker]],
) -> None:
    """`max_prefixes` is 10 here: the eleventh is answered with Cease, Maximum Number of Prefixes (RFC 4486)."""
    net, router, others = healthy
    own = net.node_hosts[0].v4
    node = Raw.dial(net.node_hosts[0], net.onepeer_host.v4, PORT)
    node.establish(ASN, own)
    node.send(*updates(attributes(own), [f"192.168.30.{number}/32" for number in range(100, 111)]))
    answer = node.read_until(lambda one: one.kind == NOTIFICATION)
    assert answer is not None
    assert answer.notification == (CEASE, MAX_PREFIXES)
    wait_until(lambda: router.paths("192.168.30.100/32") == [], SOON, "its paths are gone from the router")
    assert_nobody_else_noticed(net, router, others)


@pytest.mark.parametrize(
    ("prefix", "next_hop"),
    [("10.0.0.0/8", None), ("192.168.0.0/16", None), ("0.0.0.0/0", None), ("192.168.30.9/32", "192.168.3.2")],
    ids=["elsewhere", "wider", "default", "next-hop-of-another"],
)
def test_the_guard_keeps_what_a_node_may_not_announce(
    healthy: tuple[Network, Speaker, list[Speaker]], prefix: str, next_hop: str | None
) -> None:
    """Outside `guard.prefixes`, or by way of another machine: not passed on, and the session stays."""
    net, router, others = healthy
    own = net.node_hosts[0].v4
    node = Raw.dial(net.node_hosts[0], net.onepeer_host.v4, PORT)
    node.establish(ASN, own)
    node.send(*updates(attributes(next_hop or own), [prefix]))
    node.send(*updates(attributes(own), ["192.168.30.10/32"]))
    net.sees(router, "192.168.30.10/32", [own], SOON)
    assert router.paths(prefix) == []
    assert_nobody_else_noticed(net, router, others)


def test_local_pref_of_a_native_speaker_does_not_cost_the_others_their_share(
    healthy: tuple[Network, Speaker, list[Speaker]],
) -> None:
    """MetalLB native sends LOCAL_PREF 0 and FRR 100: the router is given equal ones and spreads over both."""
    net, router, _ = healthy
    own = net.node_hosts[0].v4
    node = Raw.dial(net.node_hosts[0], net.onepeer_host.v4, PORT)
    node.establish(ASN, own)
    node.send(*updates(attributes(own, local_pref=0), [PREFIX[4]]))
    net.sees(router, PREFIX[4], net.addresses(4, 2), SOON)
    assert {path.local_pref for path in router.paths(PREFIX[4])} == {100}


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\xff" * 19, b"\xff" * 16 + b"\x00\x05\x01", b"\x00" * 4096],
    ids=["http", "no-length", "short-length", "zeroes"],
)
def test_bytes_that_are_no_bgp_end_that_connection_alone(
    healthy: tuple[Network, Speaker, list[Speaker]], garbage: bytes
) -> None:
    """Whatever a node's address sends, it is answered with a NOTIFICATION or a close, and nobody else notices."""
    net, router, others = healthy
    node = Raw.dial(net.node_hosts[0], net.onepeer_host.v4, PORT)
    node.send(garbage)
    last = node.read_until(lambda one: one.kind != OPEN)
    assert last is None or last.kind == NOTIFICATION
    holds_for(lambda: others[0].established(net.onepeer_host.v4), 0.5, "n2 is up")
    assert_nobody_else_noticed(net, router, others)
