"""Never do two hosts speak for one address, as the router's own link has it: every frame that says it is from there.

A leader that was frozen for longer than a Lease, an API server that takes requests and answers none, and one that only
the leader does not reach: whose frames they are changes once at most, and nothing of the one before comes after.
"""

import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e import objects
from tests.failures.world import NODES, World
from tests.lab import Host, holds_for, wait_until

LONGER = 12.0
"""Seconds: than any Lease, and than the addresses' lifetime."""
ETH_P_ALL, ETH_P_IP, ETH_P_ARP = 0x0003, b"\x08\x00", b"\x08\x06"
OUTGOING = 4


class Speakers:
    """Which cards frames of an address come from, in the order in which that changes."""

    def __init__(self, router: Host, address: str) -> None:
        self._address = socket.inet_aton(address)
        self._raw = router.inside(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._raw.bind(("eth0", ETH_P_ALL))
        self._raw.settimeout(0.2)
        self.cards: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="speakers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()
        self._raw.close()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                frame, (_, _, kind, _, _) = self._raw.recvfrom(128)
            except TimeoutError:
                continue
            said = frame[26:30] if frame[12:14] == ETH_P_IP else frame[28:32] if frame[12:14] == ETH_P_ARP else b""
            card = frame[6:12].hex(":")
            if kind != OUTGOING and said == self._address and self.cards[-1:] != [card]:
                self.cards.append(card)


@pytest.fixture
def speakers(world: World) -> Iterator[Speakers]:
    """All is well, and the router asks again and again whether the address is there: whoever has it answers."""
    world.wait_whole()
    world.wait_hot()
    address = world.variant.addresses[0]
    made = Speakers(world.router_host, address)
    asking = world.router_host.start("ping", "-q", "-i", "0.2", address, log="ping.log")
    wait_until(lambda: made.cards, 10, "the leader answers")
    yield made
    asking.terminate()
    made.close()


def _card(host: Host) -> str:
    return str(host.ip_json("link", "show", "eth0")[0]["address"])


def test_a_leader_that_is_frozen_and_thawed_sends_nothing_old(world: World, speakers: Speakers) -> None:
    """Its kernel has taken the address away meanwhile. It wakes to news of its nodes, and tells nobody."""
    before, flaps = world.leading(), world.router.flaps()
    world.replicas[before].signal(signal.SIGSTOP)
    time.sleep(LONGER)
    wait_until(lambda: world.leader() not in (None, before), 60, "another leads", seen=world.story, every=0.2)
    world.cluster.apply(objects.endpoints("fresh", *NODES), objects.service("fresh", "192.168.30.9"))
    wait_until(lambda: world.router_host.route("192.168.30.9/32"), 10, "the router has the new service")
    world.replicas[before].signal(signal.SIGCONT)
    holds_for(lambda: world.leading() != before, LONGER, "it does not lead again", every=0.5)
    cards = [_card(world.hosts[name]) for name in (before, world.leading())]
    assert (speakers.cards, world.router.flaps()) == (cards, flaps)


def test_an_api_server_that_answers_nobody_changes_nothing(world: World, speakers: Speakers) -> None:
    """The leader goes on with most nodes as its witnesses, and nobody else begins."""
    before, flaps = world.leading(), world.router.flaps()
    world.cluster.signal_api(signal.SIGSTOP)
    try:
        holds_for(lambda: world.leader() == before, LONGER, "it leads", every=0.2)
    finally:
        world.cluster.signal_api(signal.SIGCONT)
    world.wait_hot()
    assert (speakers.cards, world.router.flaps()) == ([_card(world.hosts[world.leading()])], flaps)


def test_a_leader_that_alone_does_not_reach_the_api_server_hands_over_once(world: World, speakers: Speakers) -> None:
    """To the one that has got the Lease."""
    before, flaps = world.leading(), world.router.flaps()
    with world.cut(world.hosts[before], world.cluster.host):
        wait_until(lambda: world.leader() not in (None, before), 60, "another leads", seen=world.story, every=0.2)
        time.sleep(LONGER)
    cards = [_card(world.hosts[name]) for name in (before, world.leading())]
    assert (speakers.cards, world.router.flaps()) == (cards, flaps)
