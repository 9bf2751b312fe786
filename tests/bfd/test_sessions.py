"""Which node is gone, and when is it us? Many sessions on a clock that the test turns."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.bfd.packet import Control, Discard, State, pack, parse
from speaker.bfd.sessions import LATE, Change, Sessions

OURS = IPv4Address("192.168.3.10")
TICK = 0.025


class Rig:
    """Onepeer's end, and nodes that send each 100 ms while they are `alive`, three times."""

    def __init__(self, count: int = 3) -> None:
        self.now = 0.0
        self.sessions = Sessions(0.1, iter(range(1, 1 << 16)).__next__, 0.0)
        self.nodes = [IPv4Address("192.168.3.31") + at for at in range(count)]
        self.sessions.watch(self.nodes)
        self.alive = set(self.nodes)
        self.changes: list[Change] = []
        self.ours: dict[IPv4Address, Control] = {}
        self.run(0.3)
        assert self.up() == count

    def run(self, seconds: float, pause: float = TICK) -> None:
        """Time goes on; Onepeer comes by each `pause` seconds, and finds what was sent."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            before, self.now = self.now, self.now + pause
            for at, node in enumerate(self.nodes):
                turns = int((self.now + at / 50) * 10) - int((before + at / 50) * 10)
                for _ in range(turns * (node in self.alive)):
                    self.say(node)
            for ends, octets in self.sessions.look(self.now, lambda: 0.5):
                assert ends[0] == OURS
                control = parse(octets)
                assert isinstance(control, Control)
                self.ours[IPv4Address(ends[1])] = control
            self.changes += self.sessions.changes()

    def say(self, node: IPv4Address, ttl: int = 255) -> Discard | None:
        """One packet of a node that answers as it should."""
        ours = self.ours.get(node)
        state = State.DOWN if ours is None else State.UP if ours.state >= State.INIT else State.DOWN
        control = Control(state, int(node), ours.mine if ours else 0, 3, 100_000, 100_000)
        return self.sessions.hear(OURS, str(node), ttl, pack(control), self.now)

    def up(self) -> int:
        return sum(self.sessions.state(node) is State.UP for node in self.nodes)

    def gone(self) -> list[IPv4Address]:
        return [IPv4Address(change.ends[1]) for change in self.changes if change.gone]


def test_a_node_that_falls_silent_is_gone_after_its_detection_time() -> None:
    rig = Rig()
    rig.alive.remove(rig.nodes[1])
    rig.run(0.2)
    assert rig.gone() == []
    rig.run(0.2)
    assert rig.gone() == [rig.nodes[1]]
    assert rig.up() == 2


def test_a_node_that_is_heard_again_is_back_and_comes_up_again() -> None:
    rig = Rig()
    rig.alive.remove(rig.nodes[1])
    rig.run(1)
    rig.alive.add(rig.nodes[1])
    rig.run(0.5)
    assert rig.up() == 3
    said = [change.gone for change in rig.changes if change.ends[1] == rig.nodes[1]]
    assert said[said.index(True) :] == [True, False, False, False]


def test_with_our_own_cable_pulled_nobody_is_gone_and_every_session_goes_on() -> None:
    """However long, and whoever is heard first when it is back."""
    rig = Rig(5)
    rig.changes.clear()
    rig.alive.clear()
    rig.run(7)
    rig.alive.update(rig.nodes)
    rig.run(1)
    assert rig.changes == []
    assert rig.up() == 5


@pytest.mark.parametrize("pause", [0.2, 0.5, 5.0])
def test_an_onepeer_that_was_kept_from_running_calls_nobody_gone(pause: float) -> None:
    """Also where what was sent meanwhile did not fit into the socket."""
    rig = Rig()
    rig.changes.clear()
    alive, rig.alive = rig.alive, set()
    rig.run(pause, pause)
    rig.alive = alive
    rig.run(1)
    assert rig.changes == []


@given(st.lists(st.tuples(st.floats(0.001, 1.5), st.integers(0, 5)), max_size=40), st.integers(1, 5))
def test_a_node_that_sends_is_never_gone_however_we_are_kept_from_running(
    pauses: list[tuple[float, int]], count: int
) -> None:
    """In pauses of any length, of which the longer ones lose what some of the nodes sent: the socket is full."""
    rig = Rig(count)
    for pause, lost in pauses:
        if pause >= LATE:
            rig.alive -= set(rig.nodes[:lost])
        rig.run(pause, pause)
        rig.alive.update(rig.nodes)
    assert rig.gone() == []


def test_who_vanishes_while_we_are_slow_is_gone_once_we_are_not() -> None:
    rig = Rig()
    rig.alive.remove(rig.nodes[0])
    rig.run(2, 0.2)
    assert rig.gone() == []
    rig.run(0.4)
    assert rig.gone() == [rig.nodes[0]]


def test_what_comes_from_afar_or_from_strangers_is_left_aside() -> None:
    """A TTL of 255 cannot have passed a router (RFC 5881 5)."""
    rig = Rig()
    assert rig.say(rig.nodes[0], ttl=254) is Discard.FAR
    assert rig.sessions.hear(OURS, "192.168.3.99", 255, b"", rig.now) is Discard.STRANGER
    assert rig.sessions.hear(OURS, str(rig.nodes[0]), 255, bytes(24), rig.now) is Discard.MALFORMED


def test_packets_from_afar_keep_no_session_alive() -> None:
    rig = Rig()
    rig.alive.remove(rig.nodes[0])
    for _ in range(20):
        rig.say(rig.nodes[0], ttl=254)
        rig.run(TICK)
    assert rig.gone() == [rig.nodes[0]]


def test_who_leaves_the_roster_has_no_session() -> None:
    rig = Rig()
    assert rig.sessions.watch(rig.nodes[1:]) == [(OURS, rig.nodes[0])]
    assert rig.sessions.state(rig.nodes[0]) is None
    assert rig.say(rig.nodes[0]) is Discard.STRANGER
