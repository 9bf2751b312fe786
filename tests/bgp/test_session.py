"""One connection from its first octet to its last: what is refused, what is told, and how it ends."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from bgp_sessions import ROUTER, TO_NODE, TO_ROUTER, end_of, established, refusal, sent
from bgp_wire import (
    ALIVE,
    GITEA,
    HOP4,
    IPV4,
    IPV6,
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
    update,
)

from speaker.bgp.events import (
    Announced,
    Cause,
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
from speaker.bgp.iana import CeaseSubcode, Family
from speaker.bgp.opening import Offer
from speaker.bgp.session import Session, State

V4, V6, AS4 = METALLB


def answered(body: bytes, offer: Offer = TO_NODE, peer_asn: int = 64512) -> tuple[Session, list[Event]]:
    """A session that has taken a call and then got this OPEN."""
    session = Session(offer, peer_asn, lambda: 1.0)
    session.accept(0.0)
    return session, session.receive(message(OPEN, body), 1.0)


def test_a_session_that_we_dial_comes_up_in_this_order() -> None:
    """Dial, OPEN, the peer's OPEN, KEEPALIVE both ways, routes."""
    session = Session(TO_NODE, 64512, lambda: 1.0)
    assert session.dial(0.0) == [Dial()]
    (opening,) = sent(session.connected(1.0))
    assert opening[18] == OPEN
    opened, alive = session.receive(message(OPEN, open_body()), 2.0)
    assert isinstance(opened, Opened)
    assert alive == Transmit(ALIVE)
    assert session.negotiated is not None
    assert session.receive(ALIVE, 3.0) == [Established(session.negotiated)]
    (announced,) = session.receive(update(PLAIN, TRAEFIK), 4.0)
    assert isinstance(announced, Announced)


def test_all_at_once_is_as_good_as_one_by_one() -> None:
    """A node's first segment may hold its OPEN, KEEPALIVE and whole table."""
    session = Session(TO_NODE, 64512, lambda: 1.0)
    session.accept(0.0)
    events = session.receive(message(OPEN, open_body()) + ALIVE + update(PLAIN, TRAEFIK) + update(PLAIN, GITEA), 1.0)
    assert [type(event) for event in events] == [Opened, Transmit, Established, Announced]


OPEN_FAULTS = [
    ("another AS than configured", "2/2", open_body(asn=65010, capabilities=(V4, capability(65, "0000fdf2")))),
    ("AS 0", "2/2", open_body(asn=0, capabilities=(V4,))),
    ("AS_TRANS without the capability", "2/2", open_body(asn=23456, capabilities=(V4,))),
    ("router ID 0.0.0.0", "2/3", open_body(router_id="00000000")),
    ("our own router ID", "2/3", open_body(router_id="c0a8030a")),
    ("a hold time of 1 s", "2/6", open_body(hold_time=1)),
    ("a hold time of 2 s", "2/6", open_body(hold_time=2)),
    ("BGP-3", "2/1 0004", open_body(version=3)),
    ("an unknown optional parameter", "2/4", open_body([])[:9] + bytes.fromhex("03 630100")),
]


@pytest.mark.parametrize(("what", "answer", "body"), OPEN_FAULTS, ids=[row[0] for row in OPEN_FAULTS])
def test_an_open_that_is_refused_is_told_why(what: str, answer: str, body: bytes) -> None:
    """RFC 4271 6.2; nothing follows the NOTIFICATION."""
    session, events = answered(body)
    assert refusal(events) == answer
    assert end_of(events).cause is Cause.NOTIFICATION_SENT
    assert end_of(events).text
    assert session.state is State.IDLE


def test_a_peer_without_a_family_of_ours_is_told_which_we_have() -> None:
    """RFC 5492 5: Unsupported Capability has the missing ones as data."""
    _, events = answered(open_body([capability(1, "00010080"), AS4]))
    assert refusal(events) == "2/7 010400010001010400020001"
    assert end_of(events).text == "no address family in common"


def test_another_as_may_have_our_router_id() -> None:
    """RFC 6286: it is unique within an AS."""
    body = open_body((V4, capability(65, "0000fdf2")), asn=65010, router_id="c0a8030a")
    session, _ = answered(body, peer_asn=65010)
    assert session.state is State.OPEN_CONFIRM


@pytest.mark.parametrize(("ours", "theirs"), [(0, 90), (90, 0), (0, 0)])
def test_a_hold_time_of_0_means_no_timers(ours: int, theirs: int) -> None:
    """RFC 4271 4.4: then no KEEPALIVE is sent periodically, and silence is no fault."""
    session = established(replace(TO_NODE, hold_time=ours), hold_time=theirs)
    assert session.deadline() is None
    assert session.tick(1e9) == []
    assert session.state is State.ESTABLISHED


ENDS: list[tuple[str, Callable[[Session], list[Event]], Cause, str]] = [
    ("stop", lambda s: s.stop(1.0, CeaseSubcode.PEER_DECONFIGURED), Cause.STOPPED, "6/3 Cease / Peer De-configured"),
    (
        "stop with a reason",
        lambda s: s.stop(1.0, CeaseSubcode.ADMINISTRATIVE_SHUTDOWN, "planned work"),
        Cause.STOPPED,
        '6/2 Cease / Administrative Shutdown: "planned work"',
    ),
    (
        "collision",
        lambda s: s.stop(1.0, CeaseSubcode.CONNECTION_COLLISION_RESOLUTION),
        Cause.COLLISION,
        "6/7 Cease / Connection Collision Resolution",
    ),
    (
        "their reason",
        lambda s: s.receive(message(NOTIFICATION, b"\6\2\2ok"), 1.0),
        Cause.NOTIFICATION_RECEIVED,
        '6/2 Cease / Administrative Shutdown: "ok"',
    ),
    ("silence", lambda s: s.tick(90.0), Cause.HOLD_TIMER, "4/0 Hold timer expired"),
    ("abandon", lambda s: s.abandon(), Cause.STOPPED, "closed for a graceful restart"),
    (
        "TCP",
        lambda s: s.disconnected(1.0, "connection reset by peer"),
        Cause.CONNECTION_LOST,
        "connection reset by peer",
    ),
    (
        "nonsense",
        lambda s: s.receive(bytes(19), 1.0),
        Cause.NOTIFICATION_SENT,
        "1/1 Message header error / Connection Not Synchronized",
    ),
]


@pytest.mark.parametrize(("what", "end", "cause", "told"), ENDS, ids=[row[0] for row in ENDS])
def test_an_end_is_told_with_its_cause_and_its_words(
    what: str, end: Callable[[Session], list[Event]], cause: Cause, told: str
) -> None:
    """What `onepeer nodes` prints of a session that is gone; TCP is closed after the last word."""
    events = end(established())
    *_, disconnect, ended = events
    assert disconnect == Disconnect()
    assert isinstance(ended, Ended)
    assert (ended.cause, ended.was_established) == (cause, True)
    assert str(ended.notification or ended.text) == told


@pytest.mark.parametrize(
    ("end", "cause", "text"),
    [
        (lambda s: s.disconnected(1.0, "connection refused"), Cause.CONNECTION_FAILED, "connection refused"),
        (lambda s: s.tick(10.0), Cause.CONNECTION_FAILED, "no answer in 10 s"),
        (lambda s: s.stop(1.0, CeaseSubcode.ADMINISTRATIVE_SHUTDOWN), Cause.STOPPED, "stopped"),
    ],
)
def test_a_call_that_nobody_took_ends_without_a_word(
    end: Callable[[Session], list[Event]], cause: Cause, text: str
) -> None:
    """Before our OPEN there is nobody to be told."""
    session = Session(TO_NODE, 64512, lambda: 1.0)
    session.dial(0.0)
    assert end(session) == [Disconnect(), Ended(cause, False, text=text)]


def test_nothing_that_follows_an_end_is_heard_or_answered() -> None:
    """FRR sends two NOTIFICATIONs on SIGTERM; a node may have an UPDATE under way when we stop."""
    session = established()
    events = session.receive(
        message(NOTIFICATION, b"\6\3") + message(NOTIFICATION, b"\6\2") + update(PLAIN, TRAEFIK), 1.0
    )
    assert [type(event) for event in events] == [Disconnect, Ended]
    assert session.receive(update(PLAIN, TRAEFIK) + bytes(99), 2.0) == []
    assert session.disconnected(2.0, "closed") == []
    assert session.stop(2.0, CeaseSubcode.ADMINISTRATIVE_SHUTDOWN) == []
    assert session.abandon() == session.probe() == session.tick(1e9) == []


def test_what_came_before_a_fault_counts() -> None:
    """The route is told, then the end of the session that takes it away."""
    events = established().receive(update(PLAIN, TRAEFIK) + bytes(19), 1.0)
    assert [type(event) for event in events] == [Announced, Transmit, Disconnect, Ended]


REFRESHES = [
    ("IPv4", "00010001", RefreshRequested(Family.IPV4)),
    ("IPv6", "00020001", RefreshRequested(Family.IPV6)),
    ("a family that we do not speak", "00010080", Ignored("ROUTE-REFRESH subtype 0 for None")),
    ("the peer's own begin of RIB", "00010101", Ignored("ROUTE-REFRESH subtype 1 for ipv4")),
    ("a subtype that nobody knows", "00010901", Ignored("ROUTE-REFRESH subtype 9 for ipv4")),
    ("with an ORF behind it", "00010001 01400000", Ignored("ROUTE-REFRESH of 8 octets")),
]


@pytest.mark.parametrize(("what", "body", "event"), REFRESHES, ids=[row[0] for row in REFRESHES])
def test_a_router_asks_for_its_table_again(what: str, body: str, event: Event) -> None:
    """RFC 2918 and RFC 7313; whatever we cannot answer is told and ends nothing."""
    session = established(TO_ROUTER, ROUTER)
    assert session.receive(message(ROUTE_REFRESH, bytes.fromhex(body)), 1.0) == [event]


def test_without_enhanced_refresh_the_reserved_octet_says_nothing() -> None:
    """RFC 2918 3: ignored by the receiver."""
    session = established(TO_ROUTER, (*METALLB, capability(2)))
    assert session.receive(message(ROUTE_REFRESH, b"\0\1\7\1"), 1.0) == [RefreshRequested(Family.IPV4)]


def test_a_node_that_asks_for_a_refresh_gets_nothing() -> None:
    """We have offered it none, and have nothing for it."""
    assert established().receive(message(ROUTE_REFRESH, b"\0\1\0\1"), 1.0) == []


@pytest.mark.parametrize("size", [5, 4000, 65516])
def test_a_mark_of_the_wrong_length_is_sent_back(size: int) -> None:
    """RFC 7313 5: with the whole message as data, as far as 4096 octets go."""
    wrong = message(ROUTE_REFRESH, b"\0\1\1\1".ljust(size, b"\0"))
    events = established(TO_ROUTER, ROUTER).receive(wrong, 1.0)
    assert refusal(events) == f"7/1 {wrong[:4075].hex()}"


TOLD: list[tuple[str, bytes, list[Event]]] = [
    ("a withdrawal", update(withdrawn=TRAEFIK + GITEA), [Withdrawn(Family.IPV4, [TRAEFIK, GITEA])]),
    ("an IPv6 withdrawal", update(mp_unreach(TRAEFIK6)), [Withdrawn(Family.IPV6, [TRAEFIK6])]),
    ("End-of-RIB", update(), [EndOfRib(Family.IPV4)]),
    ("End-of-RIB of IPv6", update(mp_unreach(b"")), [EndOfRib(Family.IPV6)]),
    ("End-of-RIB of IPv4, as IPv6 has it", update(mp_unreach(b"", IPV4)), [EndOfRib(Family.IPV4)]),
    ("attributes of no route", update(PLAIN), []),
    ("routes without attributes", update(b"", TRAEFIK), [Withdrawn(Family.IPV4, [TRAEFIK], "ORIGIN: missing")]),
    (
        "multicast",
        update(ORIGIN + as_path() + mp_reach(TRAEFIK, HOP4, b"\0\1\2")),
        [Ignored("routes of a family that was not agreed on: unknown to us")],
    ),
    (
        "End-of-RIB of multicast",
        update(mp_unreach(b"", b"\0\1\2")),
        [Ignored("routes of a family that was not agreed on: unknown to us")],
    ),
]


@pytest.mark.parametrize(("what", "octets", "told"), TOLD, ids=[row[0] for row in TOLD])
def test_an_update_is_told_as(what: str, octets: bytes, told: list[Event]) -> None:
    """RFC 4271 4.3, RFC 4760, RFC 4724 2."""
    assert established().receive(octets, 1.0) == told


def test_routes_of_a_family_that_was_not_agreed_on_are_left_aside() -> None:
    """RFC 4760 8: and the session goes on."""
    session = established(capabilities=(V4, AS4))
    assert session.receive(update(ORIGIN + as_path() + mp_reach(TRAEFIK6)), 1.0) == [
        Ignored("routes of a family that was not agreed on: ipv6")
    ]


@pytest.mark.parametrize(("size", "family"), [(4, IPV4), (16, IPV6)])
def test_the_link_local_next_hop_is_left_aside(size: int, family: bytes) -> None:
    """RFC 2545 3: the global address stands first, and the router must reach it."""
    hop = bytes(range(1, 17))[:size]
    prefix = TRAEFIK if family == IPV4 else TRAEFIK6
    both = hop if family == IPV4 else hop + bytes.fromhex("fe80000000000000000000fffe000301")
    (announced,) = established().receive(update(ORIGIN + as_path() + mp_reach(prefix, both, family)), 1.0)
    assert isinstance(announced, Announced)
    assert announced.attributes.next_hop == hop


def test_a_prefix_withdrawn_and_announced_in_one_update_is_there() -> None:
    """RFC 4271 4.3 asks to read it as if the withdrawal were not there."""
    withdrawn, announced = established().receive(update(PLAIN, TRAEFIK, TRAEFIK), 1.0)
    assert isinstance(withdrawn, Withdrawn)
    assert isinstance(announced, Announced)


def test_the_same_attributes_are_the_same_object() -> None:
    """The table asks "has this path changed?" by identity (rib/table.py)."""
    session = established()
    first, second, third = (
        event
        for octets in (
            update(PLAIN, TRAEFIK),
            update(PLAIN, GITEA),
            update(PLAIN + attribute(0x80, 4, bytes(4)), GITEA),
        )
        for event in session.receive(octets, 1.0)
    )
    assert isinstance(first, Announced)
    assert isinstance(second, Announced)
    assert isinstance(third, Announced)
    assert first.attributes is second.attributes is not third.attributes


def test_a_node_with_ever_new_attributes_costs_bounded_memory() -> None:
    """Past a thousand sets all are forgotten; what is announced stays right."""
    session = established()
    for number in range(3000):
        med = attribute(0x80, 4, number.to_bytes(4, "big"))
        (event,) = session.receive(update(PLAIN + med, TRAEFIK), 1.0)
        assert isinstance(event, Announced)
        assert event.attributes.med == number


@pytest.mark.parametrize(
    ("subcode", "restart", "said"),
    [
        (CeaseSubcode.PEER_DECONFIGURED, "4078 00010180", "6/9 0603"),
        (CeaseSubcode.PEER_DECONFIGURED, "0078 00010180", "6/3"),
        (CeaseSubcode.OTHER_CONFIGURATION_CHANGE, "4078 00010180", "6/6"),
    ],
)
def test_a_router_taken_from_the_settings_drops_our_routes(subcode: CeaseSubcode, restart: str, said: str) -> None:
    """With the N bit on both sides any NOTIFICATION but a Hard Reset would leave them standing (RFC 8538 4)."""
    session = established(TO_ROUTER, (*METALLB, capability(64, restart)))
    assert refusal(session.stop(1.0, subcode)) == said
