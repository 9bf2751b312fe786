"""What Onepeer refuses, and that a refusal hurts nobody else."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.interop.network import ASN, PORT, PREFIX, SOON, Network
from tests.lab import FRR, Host, Peer, wait_until
from tests.lab.raw import KEEPALIVE, NOTIFICATION, UPDATE, Raw, attributes, message, open_message, updates

CEASE, MAX_PREFIXES = 6, 1
OPEN_ERROR, BAD_PEER_AS = 2, 2


class Scene:
    """A router, and n2 up with its path. Each test misbehaves from an address of its own, which n1 has.

    For its own, since Onepeer takes no call for a while from whose session it had to end, the longer the oftener.
    """

    def __init__(self, net: Network) -> None:
        self.net = net
        self._addresses = [f"192.168.3.{number}" for number in range(41, 61)]
        net.node_hosts[0].ip(*(f"addr replace {address}/24 dev eth0" for address in self._addresses))
        roster = [{"name": f"bad{address[10:]}", "addresses": [address]} for address in self._addresses]
        roster.append({"name": "n2", "addresses": [net.node_hosts[1].v4]})
        self.router = FRR(net.router_host, ASN, [Peer(net.onepeer_host.v4, ASN)])
        net.run(self.router)
        net.onepeer(nodes={"max_prefixes": 10}, roster=roster)
        line = Peer(net.onepeer_host.v4, ASN, port=PORT)
        self.other = FRR(net.node_hosts[1], ASN, [line], [PREFIX[4]])
        net.run(self.other)
        net.sees(self.router, PREFIX[4], [self.other.host.v4])
        self._dialled: list[Raw] = []
        self.own = ""
        """The address that misbehaves now."""

    def begin(self) -> None:
        self.own = self._addresses.pop()

    def dial(self, host: Host | None = None) -> Raw:
        """A connection to Onepeer, from the misbehaving address or from a host's."""
        source = self.own if host is None else host.v4
        one = Raw.dial(host or self.net.node_hosts[0], self.net.onepeer_host.v4, PORT, source)
        self._dialled.append(one)
        return one

    def node(self) -> Raw:
        """The misbehaving node's session, up."""
        one = self.dial()
        one.establish(ASN, self.own)
        return one

    def hang_up(self) -> None:
        for one in self._dialled:
            one.close()
        self._dialled.clear()

    def assert_nobody_else_noticed(self) -> None:
        """n2's session and the router's never went down, and the router has n2's path alone."""
        self.net.sees(self.router, PREFIX[4], [self.other.host.v4], SOON)
        assert self.router.neighbor(self.net.onepeer_host.v4)["connectionsDropped"] == 0
        assert self.other.neighbor(self.net.onepeer_host.v4)["connectionsDropped"] == 0


@pytest.fixture(scope="module")
def _running(machines: Network) -> Iterator[Scene]:
    try:
        yield Scene(machines)
    finally:
        machines.reset()


@pytest.fixture
def scene(_running: Scene) -> Iterator[Scene]:
    """The scene, of which nobody else has noticed anything when the test is over."""
    _running.begin()
    yield _running
    _running.hang_up()
    _running.assert_nobody_else_noticed()


def test_an_address_outside_the_roster_gets_not_one_byte(
    scene: Scene,
) -> None:
    """A stranger's connection ends before any OPEN, also when it keeps trying."""
    for _ in range(20):
        with contextlib.suppress(ConnectionResetError):  # refused as fast as that
            stranger = scene.dial(scene.net.second_host)
            assert stranger.read() is None
            assert stranger.received == 0


def test_a_node_of_another_as_is_told_so(scene: Scene) -> None:
    """An OPEN with an AS that the roster does not have is answered with Bad Peer AS (RFC 4271 6.2)."""
    node = scene.dial()
    node.send(open_message(65001, scene.own))
    answer = node.read_until(lambda one: one.kind == NOTIFICATION)
    assert answer is not None
    assert answer.notification == (OPEN_ERROR, BAD_PEER_AS)


def test_a_second_session_of_a_node_is_refused_and_the_first_stays(
    scene: Scene,
) -> None:
    """Two speakers on one node do not take turns: who is up stays up."""
    for _ in range(5):
        with contextlib.suppress(ConnectionError):  # refused as fast as that
            second = scene.dial(scene.other.host)
            second.send(open_message(ASN, scene.other.host.v4), message(KEEPALIVE))
            assert second.read_until(lambda one: one.kind == KEEPALIVE) is None


def test_more_prefixes_than_allowed_end_that_session_alone(
    scene: Scene,
) -> None:
    """`max_prefixes` is 10 here: the eleventh is answered with Cease, Maximum Number of Prefixes (RFC 4486)."""
    own = scene.own
    node = scene.node()
    node.send(*updates(attributes(own), [f"192.168.30.{number}/32" for number in range(100, 111)]))
    answer = node.read_until(lambda one: one.kind == NOTIFICATION)
    assert answer is not None
    assert answer.notification == (CEASE, MAX_PREFIXES)
    wait_until(lambda: scene.router.paths("192.168.30.100/32") == [], SOON, "its paths are gone from the router")


@pytest.mark.parametrize(
    ("prefix", "next_hop"),
    [("10.0.0.0/8", None), ("192.168.0.0/16", None), ("0.0.0.0/0", None), ("192.168.30.9/32", "192.168.3.2")],
    ids=["elsewhere", "wider", "default", "next-hop-of-another"],
)
def test_the_guard_keeps_what_a_node_may_not_announce(scene: Scene, prefix: str, next_hop: str | None) -> None:
    """Outside `guard.prefixes`, or by way of another machine: not passed on, and the session stays."""
    own = scene.own
    node = scene.node()
    node.send(*updates(attributes(next_hop or own), [prefix]))
    node.send(*updates(attributes(own), ["192.168.30.10/32"]))
    scene.net.sees(scene.router, "192.168.30.10/32", [own], SOON)
    assert scene.router.paths(prefix) == []


def test_local_pref_of_a_native_speaker_does_not_cost_the_others_their_share(
    scene: Scene,
) -> None:
    """MetalLB native sends LOCAL_PREF 0 and FRR 100: the router is given equal ones and spreads over both."""
    own = scene.own
    node = scene.node()
    node.send(*updates(attributes(own, local_pref=0), [PREFIX[4]]))
    scene.net.sees(scene.router, PREFIX[4], [scene.other.host.v4, own], SOON)
    assert {path.local_pref for path in scene.router.paths(PREFIX[4])} == {100}


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\xff" * 19, b"\xff" * 16 + b"\x00\x05\x01", b"\x00" * 4096],
    ids=["http", "no-length", "short-length", "zeroes"],
)
def test_bytes_that_are_no_bgp_end_that_connection_alone(scene: Scene, garbage: bytes) -> None:
    """Whatever a node's address sends, it is answered with a NOTIFICATION or a close, and nobody else notices."""
    node = scene.node()
    node.send(garbage)
    last = node.read_until(lambda one: one.kind not in (UPDATE, KEEPALIVE))
    assert last is None or last.kind == NOTIFICATION
