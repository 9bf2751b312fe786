"""When a peer is called again, whose call is taken, and which of two connections is kept. The clock is the test's."""

from ipaddress import IPv4Address

import pytest
from bgp_sessions import OURS, ROUTER, TO_NODE, TO_ROUTER
from bgp_wire import ALIVE, METALLB, OPEN, message, open_body

from speaker.bgp import codec
from speaker.bgp.events import Cause, Ended
from speaker.bgp.peer import RETRY_FIRST, RETRY_LAST, STABLE, Connect, Peer, Refused
from speaker.bgp.session import Session, State


def peer(connect: Connect = Connect.BOTH, jitter: float = 1.0) -> Peer:
    """A peer that we want a session with from time 0 on."""
    one = Peer(OURS, 64512, connect, lambda: jitter)
    one.start(0.0)
    return one


def session(state: State = State.OPEN_SENT, *, graceful: bool = False) -> Session:
    """A connection in this state; `graceful` where both sides have agreed on graceful restart."""
    one = Session(TO_ROUTER if graceful else TO_NODE, 64512, lambda: 1.0)
    one.accept(0.0)
    opening = message(OPEN, open_body(ROUTER if graceful else METALLB))
    if state is not State.OPEN_SENT:
        one.receive(opening, 0.0)
    if state is State.ESTABLISHED:
        one.receive(ALIVE, 0.0)
    assert one.state is state
    return one


FAILED = Ended(Cause.CONNECTION_FAILED, False, text="connection refused")
LOST = Ended(Cause.CONNECTION_LOST, True, text="connection reset by peer")
OUR_WORD = Ended(Cause.NOTIFICATION_SENT, False)


def redial(one: Peer, now: float, ended: Ended = FAILED) -> float:
    """Dials at `now`, fails, and says when it is to be tried again."""
    assert one.wants_to_dial(now)
    attempt = session()
    one.dialing(attempt)
    assert not one.wants_to_dial(now)
    one.ended(attempt, ended, now)
    deadline = one.deadline()
    assert deadline is not None
    return deadline


@pytest.mark.parametrize("jitter", [1.0, 0.75])
def test_a_router_that_is_away_is_called_ever_more_seldom(jitter: float) -> None:
    """Each time twice as long as before, up to ten seconds: a dial costs one SYN, every second without it counts."""
    one, now, waits = peer(jitter=jitter), 0.0, []
    for _ in range(12):
        again = redial(one, now)
        waits.append(again - now)
        assert not one.wants_to_dial(again - 0.01)
        now = again
    assert waits == pytest.approx([jitter * min(RETRY_FIRST * 2**times, RETRY_LAST) for times in range(12)])
    assert waits[-1] == jitter * RETRY_LAST


@pytest.mark.parametrize(("seconds", "failures"), [(STABLE - 1.0, 3), (STABLE, 0)])
def test_a_session_that_stood_clears_the_record(seconds: float, failures: int) -> None:
    """One that flaps does not: three failures before it count on."""
    one, now = peer(), 0.0
    for _ in range(3):
        now = redial(one, now)
    up = session(State.ESTABLISHED)
    one.dialing(up)
    one.came_up(now)
    assert one.deadline() is None
    one.ended(up, LOST, now + seconds)
    assert one.deadline() == pytest.approx(now + seconds + RETRY_FIRST * 2**failures)


def test_a_peer_that_we_had_to_refuse_is_refused_before_an_open_for_a_while() -> None:
    """MetalLB dials again with no delay after an OPEN of ours; each time it is held off for twice as long."""
    one, now, waits = peer(Connect.PASSIVE), 0.0, []
    for _ in range(8):
        assert one.refuses(now) is None
        call = session()
        one.accepting(call)
        one.ended(call, OUR_WORD, now)
        wait = 1.0
        while one.refuses(now + wait - 0.01) is Refused.HELD_OFF and one.refuses(now + wait) is not None:
            wait += 1.0
        waits.append(wait)
        now += wait
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


@pytest.mark.parametrize(
    "ended", [FAILED, LOST, Ended(Cause.NOTIFICATION_RECEIVED, True), Ended(Cause.HOLD_TIMER, True)]
)
def test_who_ends_without_a_fault_may_call_at_once(ended: Ended) -> None:
    """A node's speaker that restarts must be back within the second."""
    one = peer(Connect.PASSIVE)
    call = session()
    one.accepting(call)
    one.ended(call, ended, 5.0)
    assert one.refuses(5.0) is None


def test_we_do_not_call_whom_we_hold_off() -> None:
    """Its fault would be the same."""
    one, now = peer(), 0.0
    for _ in range(5):
        now = redial(one, now, OUR_WORD)
    assert redial(one, now, OUR_WORD) - now == 32.0


def test_a_passive_peer_is_never_called() -> None:
    """`connect: passive`, and every node."""
    one = peer(Connect.PASSIVE)
    assert not one.wants_to_dial(1e9)
    assert one.deadline() is None
    call = session()
    one.accepting(call)
    one.ended(call, LOST, 5.0)
    assert one.deadline() is None


def test_an_active_peer_is_never_heard() -> None:
    """`connect: active`."""
    assert peer(Connect.ACTIVE).refuses(0.0) is Refused.ACTIVE_ONLY
    assert peer(Connect.ACTIVE).wants_to_dial(0.0)


@pytest.mark.parametrize("which", ["dialed", "accepted"])
def test_a_second_session_is_refused_before_an_open(which: str) -> None:
    """The one that carries routes stays; nothing is dialed beside it."""
    one, up = peer(), session(State.ESTABLISHED)
    one.dialing(up) if which == "dialed" else one.accepting(up)
    assert one.established is up
    assert one.refuses(1.0) is Refused.ALREADY_UP
    assert not one.wants_to_dial(1.0)
    assert one.deadline() is None


@pytest.mark.parametrize("which", ["dialed", "accepted"])
def test_a_graceful_peer_that_calls_again_has_lost_the_session_before(which: str) -> None:
    """RFC 4724 4.2: the old one gives way, without a NOTIFICATION."""
    one, up, call = peer(), session(State.ESTABLISHED, graceful=True), session()
    one.dialing(up) if which == "dialed" else one.accepting(up)
    assert one.refuses(1.0) is None
    assert one.accepting(call) == [up]
    assert (one.dialed, one.accepted) == (None, call)


def test_of_two_calls_the_later_counts() -> None:
    """A caller that calls again before it was answered has given up on the call before."""
    one, first, second = peer(), session(), session()
    assert one.accepting(first) == []
    assert one.accepting(second) == [first]
    one.ended(first, LOST, 1.0)
    assert one.accepted is second


def test_a_call_replaces_all_that_the_caller_has_lost() -> None:
    """An established session and a call that was never answered: neither may be left behind."""
    one, up, call, later = peer(), session(State.OPEN_CONFIRM, graceful=True), session(), session()
    one.dialing(up)
    one.accepting(call)
    up.receive(ALIVE, 0.0)
    assert one.refuses(1.0) is None
    assert set(one.accepting(later)) == {up, call}
    assert (one.dialed, one.accepted) == (None, later)


COLLISIONS = [
    ("ours is higher", "192.168.3.9", 64512, "accepted"),
    ("theirs is higher", "192.168.3.11", 64512, "dialed"),
    ("as numbers, not as text", "192.168.30.1", 64512, "dialed"),
    ("the same, their AS is higher (RFC 6286)", "192.168.3.10", 64513, "dialed"),
    ("the same, our AS is higher", "192.168.3.10", 64511, "accepted"),
]


@pytest.mark.parametrize("second", ["dialed", "accepted"])
@pytest.mark.parametrize(("what", "router_id", "asn", "loser"), COLLISIONS, ids=[row[0] for row in COLLISIONS])
def test_of_two_connections_that_of_the_higher_router_id_stays(
    what: str, router_id: str, asn: int, loser: str, second: str
) -> None:
    """RFC 4271 6.8: both sides come to the same, whichever OPEN comes last."""
    one = peer()
    both = {"dialed": session(State.OPEN_CONFIRM), "accepted": session(State.OPEN_CONFIRM)}
    one.dialing(both["dialed"])
    one.accepting(both["accepted"])
    body = open_body(METALLB[:2], asn=asn, router_id=IPv4Address(router_id).packed.hex())
    assert one.opened(both[second], codec.decode_open(body)) is both[loser]


@pytest.mark.parametrize("router_id", ["c0a80309", "c0a8030b"])
def test_an_established_session_is_never_given_up_for_a_new_one(router_id: str) -> None:
    """RFC 4271 6.8: whoever's router ID is higher."""
    one, up, late = peer(), session(State.ESTABLISHED), session(State.OPEN_CONFIRM)
    one.dialing(late)
    one.accepting(up)
    assert one.opened(late, codec.decode_open(open_body(router_id=router_id))) is late


def test_a_connection_alone_has_nothing_to_collide_with() -> None:
    """Nor has one whose rival has not said who it is."""
    one, first = peer(), session(State.OPEN_CONFIRM)
    one.dialing(first)
    heard = codec.decode_open(open_body())
    assert one.opened(first, heard) is None
    one.accepting(session(State.OPEN_SENT))
    assert one.opened(first, heard) is None


def test_losing_a_collision_costs_nothing() -> None:
    """No back-off and no hold-off: the other connection is the session."""
    one, loser = peer(), session()
    one.dialing(loser)
    one.accepting(session(State.ESTABLISHED))
    one.ended(loser, Ended(Cause.COLLISION, False), 1.0)
    assert one.deadline() is None
    one.ended(one.accepted or loser, LOST, 2.0)
    assert one.deadline() == 2.0 + RETRY_FIRST
