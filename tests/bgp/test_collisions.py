"""Two speakers that call each other at once, on a wire as slow and as odd as can be, end with one session.

ours ── dials ──►  theirs          Both are the product's own Peer and Session. Each step of what TCP does,
ours ◄── dials ──  theirs          and the order of all of them, is drawn.
"""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

import pytest
from bgp_sessions import TO_NODE, TO_ROUTER
from hypothesis import given, settings
from hypothesis import strategies as st

from speaker.bgp.events import Disconnect, Ended, Established, Event, Opened, Transmit
from speaker.bgp.iana import CeaseSubcode
from speaker.bgp.opening import Offer
from speaker.bgp.peer import Connect, Peer
from speaker.bgp.session import Session


@dataclass(eq=False)
class Wire:
    """One TCP connection; index 0 is the side that dialed, and what it has sent waits in `octets[0]`."""

    ends: list["Speaker"]
    sessions: list[Session | None]
    octets: list[bytes] = field(default_factory=lambda: [b"", b""])
    closed: list[bool] = field(default_factory=lambda: [False, False])
    told: list[bool] = field(default_factory=lambda: [False, False])

    def side(self, session: Session) -> int:
        return self.sessions.index(session)


class World:
    """A clock and all the connections there are."""

    def __init__(self, offers: tuple[Offer, Offer]) -> None:
        self.now = 0.0
        self.wires: list[Wire] = []
        self.speakers = [Speaker(self, offer) for offer in offers]
        for one, other in (self.speakers, self.speakers[::-1]):
            one.other = other
            one.peer.start(0.0)

    def steps(self) -> list[tuple[str, Wire | None, int]]:
        """Everything that could happen next."""
        found: list[tuple[str, Wire | None, int]] = []
        for number, one in enumerate(self.speakers):
            if one.peer.wants_to_dial(self.now):
                found.append(("dial", None, number))
        for wire in self.wires:
            if not wire.told[0] and not wire.closed[0]:
                found.append(("answered", wire, 0))
            if wire.sessions[1] is None and not wire.closed[1]:
                found.append(("call", wire, 1))
            for side in (0, 1):
                if wire.sessions[side] is not None and wire.told[side] and not wire.closed[side]:
                    if wire.octets[1 - side]:
                        found.append(("read", wire, side))
                    elif wire.closed[1 - side]:
                        found.append(("end", wire, side))
        return found

    def do(self, what: str, wire: Wire | None, side: int, size: int) -> None:
        if wire is None:
            self.speakers[side].dial()
            return
        speaker, session = wire.ends[side], wire.sessions[side]
        if what == "call":
            speaker.take_call(wire)
            return
        assert session is not None
        if what == "answered":
            wire.told[0] = True
            speaker.carry_out(session, session.connected(self.now))
        elif what == "read":
            piece, wire.octets[1 - side] = wire.octets[1 - side][:size], wire.octets[1 - side][size:]
            speaker.carry_out(session, session.receive(piece, self.now))
        else:
            speaker.carry_out(session, session.disconnected(self.now, "closed"))

    def time_passes(self) -> None:
        """To the next moment at which something happens by itself."""
        for speaker in self.speakers:
            for session in speaker.wires:
                deadline = session.deadline()
                if deadline is not None and deadline <= self.now:
                    speaker.carry_out(session, session.tick(self.now))
        self.now += 0.25


class Speaker:
    """What peers/neighbor.py does with a Peer, without sockets."""

    other: "Speaker"

    def __init__(self, world: World, offer: Offer) -> None:
        self.world, self.offer = world, offer
        self.peer = Peer(offer.router_id, offer.asn, Connect.BOTH, lambda: 1.0)
        self.wires: dict[Session, Wire] = {}
        self.up: Session | None = None
        self.flaps = 0

    def new(self) -> Session:
        return Session(self.offer, self.other.offer.asn, lambda: 1.0)

    def dial(self) -> None:
        session = self.new()
        self.peer.dialing(session)
        wire = self.wires[session] = Wire([self, self.other], [session, None])
        self.world.wires.append(wire)
        self.carry_out(session, session.dial(self.world.now))

    def take_call(self, wire: Wire) -> None:
        if self.peer.refuses(self.world.now) is not None:
            wire.closed[1] = True
            return
        session = self.new()
        for replaced in self.peer.accepting(session):
            self.carry_out(replaced, replaced.abandon())
        wire.sessions[1], wire.told[1] = session, True
        self.wires[session] = wire
        self.carry_out(session, session.accept(self.world.now))

    def carry_out(self, session: Session, events: list[Event]) -> None:
        for event in events:
            wire = self.wires.get(session)
            if wire is None:
                return  # it has lost a collision in the midst of what it read
            if isinstance(event, Transmit):
                wire.octets[wire.side(session)] += event.data
            elif isinstance(event, Disconnect):
                wire.closed[wire.side(session)] = True
            elif isinstance(event, Opened):
                loser = self.peer.opened(session, event.peer)
                if loser is not None:
                    self.carry_out(loser, loser.stop(self.world.now, CeaseSubcode.CONNECTION_COLLISION_RESOLUTION))
            elif isinstance(event, Established) and self.up is None:
                self.up = session
                self.peer.came_up(self.world.now)
            elif isinstance(event, Ended):
                del self.wires[session]
                self.peer.ended(session, event, self.world.now)
                if session is self.up:
                    self.up, self.flaps = None, self.flaps + 1


def offers(kind: str, ours_is_higher: bool) -> tuple[Offer, Offer]:
    ours = TO_ROUTER if kind == "graceful" else TO_NODE
    other = IPv4Address("192.168.3.1" if ours_is_higher else "192.168.3.99")
    return ours, replace(ours, router_id=other)


@pytest.mark.parametrize("kind", ["plain", "graceful"])
@given(st.data(), st.booleans())
@settings(deadline=None, max_examples=150)
def test_two_that_call_each_other_come_to_one_session(kind: str, data: st.DataObject, ours_is_higher: bool) -> None:
    """In any order of all that TCP does: one connection, the same on both sides, and no other is left."""
    world = World(offers(kind, ours_is_higher))
    for _ in range(data.draw(st.integers(0, 60))):
        steps = world.steps()
        if not steps:
            world.time_passes()
            continue
        world.do(*data.draw(st.sampled_from(steps)), size=data.draw(st.sampled_from([1 << 16, 60, 19])))
    for _ in range(2000):
        steps = world.steps()
        if steps:
            world.do(*steps[0], size=1 << 16)
        elif world.now > 60.0:
            break
        else:
            world.time_passes()
    one, other = world.speakers
    assert one.up is not None
    assert other.up is not None
    assert one.wires[one.up] is other.wires[other.up]
    assert len(one.wires) == len(other.wires) == 1
