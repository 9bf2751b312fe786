"""Any events in any order, any octets in any pieces: the session never raises and never says what it may not.

What it sends is parsed by hand (bgp_wire.py) and judged by rules of RFC 4271 that are written down here once more.
"""

from bgp_sessions import ROUTER, TO_NODE, TO_ROUTER
from bgp_wire import (
    ALIVE,
    GITEA,
    KEEPALIVE,
    METALLB,
    NOTIFICATION,
    OPEN,
    ORIGIN,
    PLAIN,
    ROUTE_REFRESH,
    TRAEFIK,
    TRAEFIK6,
    as_path,
    attribute,
    capability,
    message,
    mp_reach,
    mp_unreach,
    open_body,
    split,
    update,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from speaker.bgp.events import (
    Announced,
    Dial,
    Disconnect,
    Ended,
    EndOfRib,
    Established,
    Event,
    Ignored,
    Opened,
    RefreshRequested,
    Transmit,
    Withdrawn,
)
from speaker.bgp.iana import CeaseSubcode
from speaker.bgp.session import Session, State

GOOD = [
    message(OPEN, open_body()),
    message(OPEN, open_body(ROUTER)),
    message(OPEN, open_body(hold_time=0)),
    message(OPEN, open_body(hold_time=3)),
    ALIVE,
    ALIVE,
    update(PLAIN, TRAEFIK),
    update(PLAIN, GITEA),
    update(withdrawn=GITEA),
    update(ORIGIN + as_path() + mp_reach(TRAEFIK6)),
    update(mp_unreach(TRAEFIK6)),
    update(),
    message(ROUTE_REFRESH, b"\0\1\0\1"),
    message(NOTIFICATION, b"\6\2\2ok"),
]
BAD = [
    message(OPEN, open_body(asn=65010)),
    message(OPEN, open_body(version=3)),
    message(OPEN, open_body(hold_time=1)),
    message(OPEN, open_body([capability(1, "00010080"), METALLB[2]])),
    update(PLAIN, b"\x21"),
    update(ORIGIN + mp_reach(TRAEFIK6) * 2),
    update(attribute(0x40, 1, b"\7"), TRAEFIK),
    message(ROUTE_REFRESH, b"\0\1\1\1" + bytes(65512)),
    message(NOTIFICATION, b"\6\x09" * 2000),
    bytes(19),
]

Told = Announced | Withdrawn | EndOfRib | RefreshRequested


class AnyEvents(RuleBasedStateMachine):
    """One session, its owner, its peer and a clock."""

    @initialize(router=st.booleans(), dialed=st.booleans(), jitter=st.floats(0.75, 1.0))
    def begin(self, router: bool, dialed: bool, jitter: float) -> None:
        self.session = Session(TO_ROUTER if router else TO_NODE, 64512, lambda: jitter)
        self.now = 0.0
        self.out: list[bytes] = []  # what the session has sent
        self.on_the_way = b""  # what the peer has sent and TCP has not delivered yet
        self.heard = b""
        self.ended = self.established = self.opened = False
        self.up = not dialed
        self.take(self.session.dial(0.0) if dialed else self.session.accept(0.0))

    def take(self, events: list[Event]) -> None:
        """The owner's part, with all that it may rely on."""
        for event in events:
            assert not self.ended, "something follows Ended"
            if isinstance(event, Transmit):
                self.judge(split(event.data))
            elif isinstance(event, Dial):
                assert not self.out
            elif isinstance(event, Opened):
                assert not self.opened
                self.opened = True
            elif isinstance(event, Established):
                assert self.opened
                assert not self.established
                self.established = True
            elif isinstance(event, Told):
                assert self.established
            elif isinstance(event, Ended):
                assert event.was_established == self.established
                assert isinstance(events[-2], Disconnect)
                self.ended = True
            else:
                assert isinstance(event, Disconnect | Ignored)

    def judge(self, messages: list[bytes]) -> None:
        """What is sent is one OPEN, then KEEPALIVEs once the peer's OPEN is there, then at most one NOTIFICATION."""
        assert messages
        for one in messages:
            assert len(one) <= 4096
            assert self.out or one[18] == OPEN
            assert not any(before[18] == NOTIFICATION for before in self.out)
            if one[18] == OPEN:
                assert not self.out
            elif one[18] == KEEPALIVE:
                assert one == ALIVE
                assert self.heard[18:19] == bytes((OPEN,))
            else:
                assert one[18] == NOTIFICATION
                assert 1 <= one[19] <= 7
            self.out.append(one)

    @rule()
    def connected(self) -> None:
        self.up = True
        self.take(self.session.connected(self.now))

    @rule(seldom=st.integers(0, 4))
    def disconnected(self, seldom: int) -> None:
        if not seldom:
            self.take(self.session.disconnected(self.now, "connection reset by peer"))

    @rule(seldom=st.integers(0, 4), subcode=st.sampled_from(CeaseSubcode), text=st.text(max_size=300))
    def stop(self, seldom: int, subcode: CeaseSubcode, text: str) -> None:
        if not seldom:
            self.take(self.session.stop(self.now, subcode, text))

    @rule(seldom=st.integers(0, 4))
    def abandon(self, seldom: int) -> None:
        before = len(self.out)
        if not seldom:
            self.take(self.session.abandon())
        assert len(self.out) == before

    @rule()
    def probe(self) -> None:
        self.take(self.session.probe())

    @rule(seconds=st.floats(0.0, 100.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def tick(self) -> None:
        self.take(self.session.tick(self.now))
        deadline = self.session.deadline()
        assert deadline is None or deadline > self.now

    @rule(messages=st.lists(st.sampled_from(GOOD), min_size=1, max_size=4))
    def peer_says(self, messages: list[bytes]) -> None:
        self.on_the_way += b"".join(messages)

    @rule()
    def peer_does_as_it_should(self) -> None:
        self.on_the_way += message(OPEN, open_body(ROUTER)) + ALIVE

    @rule(one=st.sampled_from(BAD))
    def peer_says_what_is_wrong(self, one: bytes) -> None:
        self.on_the_way += one

    @rule(at=st.integers(0, 200), octet=st.integers(0, 255))
    def a_fault_on_the_way(self, at: int, octet: int) -> None:
        if at < len(self.on_the_way):
            self.on_the_way = self.on_the_way[:at] + bytes((octet,)) + self.on_the_way[at + 1 :]

    @rule(octets=st.one_of(st.just(1), st.integers(1, 80), st.just(1 << 20)))
    def tcp_delivers(self, octets: int) -> None:
        if not self.up:
            return
        piece, self.on_the_way = self.on_the_way[:octets], self.on_the_way[octets:]
        self.heard += piece
        self.take(self.session.receive(piece, self.now))

    @invariant()
    def an_ended_session_wants_nothing(self) -> None:
        if hasattr(self, "session"):
            assert self.ended == (self.session.state is State.IDLE)
            assert self.established or self.session.state is not State.ESTABLISHED
            if self.ended:
                assert self.session.deadline() is None


AnyEvents.TestCase.settings = settings(deadline=None, max_examples=250, stateful_step_count=40)
TestAnyEvents = AnyEvents.TestCase
