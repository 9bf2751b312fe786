"""One BFD session: the table of RFC 5880 6.8.6, its timers, and any packets in any order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.bfd.packet import Control, Diagnostic, State, parse
from speaker.bfd.session import INTERVAL, MULTIPLIER, Session
from tests.bfd.test_packet import CONTROLS

MINE, THEIRS = 7, 9
ADMIN, DOWN, INIT, UP = State

TABLE = {
    # ours: what it becomes by AdminDown, Down, Init, Up
    DOWN: (DOWN, INIT, UP, DOWN),
    INIT: (DOWN, INIT, UP, UP),
    UP: (DOWN, DOWN, UP, UP),
}
"""RFC 5880 6.8.6, written down once more."""
TO = {DOWN: (), INIT: (DOWN,), UP: (DOWN, UP)}


def said(state: State, **more: int) -> Control:
    """A packet of a node that sends each 100 ms, three times."""
    return Control(
        **{
            "state": state,
            "mine": THEIRS,
            "yours": MINE,
            "multiplier": 3,
            "transmit": 100_000,
            "receive": 100_000,
            **more,
        }
    )


def session(*heard: State, now: float = 0.0) -> Session:
    """A session that has heard this."""
    made = Session(MINE, 0.1, now)
    for state in heard:
        made.hear(said(state), now)
    return made


def sent(one: Session, now: float, chance: float = 0.0) -> Control | None:
    octets = one.send(now, chance)
    if octets is None:
        return None
    control = parse(octets)
    assert isinstance(control, Control)
    return control


@pytest.mark.parametrize("ours", TABLE)
@pytest.mark.parametrize("theirs", State)
def test_every_state_by_every_received_state(ours: State, theirs: State) -> None:
    one = session(*TO[ours])
    assert one.state is ours
    one.hear(said(theirs), 1.0)
    assert one.state is TABLE[ours][theirs]


def test_a_session_that_the_node_ends_says_so_and_is_no_gone_node() -> None:
    """Down and AdminDown alike (RFC 5882 4.2)."""
    for word in (DOWN, ADMIN):
        one = session(*TO[UP])
        one.hear(said(word), 1.0)
        assert (one.diagnostic, one.gone) == (Diagnostic.NEIGHBOR_SIGNALED_SESSION_DOWN, False)


def test_silence_is_measured_by_the_nodes_multiplier_and_the_agreed_interval() -> None:
    """The larger of what it sends and what we take (RFC 5880 6.8.4)."""
    for transmit, interval in ((50_000, 0.1), (100_000, 0.1), (300_000, 0.3)):
        one = session(*TO[UP])
        one.hear(said(UP, transmit=transmit), 1.0)
        assert one.detection_time == pytest.approx(3 * interval)
        assert not one.silent(0.99 + 3 * interval)
        assert one.silent(1.01 + 3 * interval)


def test_a_node_that_fell_silent_is_gone_until_it_is_heard() -> None:
    one = session(*TO[UP])
    one.expire(1.0)
    assert (one.state, one.gone) == (DOWN, True)
    assert one.diagnostic is Diagnostic.CONTROL_DETECTION_TIME_EXPIRED
    one.hear(said(UP), 2.0)
    assert (one.state, one.gone) == (DOWN, False)


def test_nothing_is_said_before_the_node_has_spoken_nor_after_it_fell_silent() -> None:
    """The passive role (RFC 5880 6.1, 6.8.7)."""
    assert sent(session(), 5.0) is None
    one = session(*TO[UP])
    one.expire(5.0)
    assert sent(one, 9.0) is None


def test_we_send_seldom_so_that_a_pause_of_ours_ends_no_session() -> None:
    """A packet a second, of which ten may be missing: by the node's clock we are gone after 10 s."""
    one = session(*TO[UP])
    first = sent(one, 0.0)
    assert first is not None
    assert first.multiplier * first.transmit / 1e6 == MULTIPLIER * INTERVAL == 10
    assert (first.state, first.yours, first.receive) == (UP, THEIRS, 100_000)
    assert sent(one, 0.99 * INTERVAL) is None
    assert sent(one, INTERVAL) is not None
    assert sent(one, 1.75 * INTERVAL, chance=1.0) is None


def test_a_change_is_said_at_once_and_the_pause_varies_by_a_quarter() -> None:
    one = session(*TO[INIT])
    assert sent(one, 0.0, chance=1.0) is not None
    one.hear(said(UP), 0.1)
    assert sent(one, 0.1, chance=1.0) == sent(one, 0.86)
    assert one.state is UP


def test_a_poll_is_answered_at_once_and_once() -> None:
    one = session(*TO[UP])
    sent(one, 0.0)
    one.hear(said(UP, poll=True), 0.1)
    assert one.wake_at == 0.1
    answer = sent(one, 0.1)
    assert answer is not None
    assert answer.final
    assert sent(one, 0.2) is None


def test_a_node_that_wants_no_packets_gets_none_but_answers() -> None:
    """Required Min RX Interval 0, and Demand mode when both are Up (RFC 5880 6.8.7)."""
    for word in (said(UP, receive=0), said(UP, demand=True)):
        one = session(*TO[UP])
        one.hear(word, 0.0)
        assert sent(one, 50.0) is None


def test_a_packet_for_the_session_before_is_left_aside_and_told_that_it_is_no_more() -> None:
    """An Onepeer that crashed: the node still counts itself Up."""
    one = session()
    assert not one.hear(said(UP, yours=MINE + 1), 0.0)
    answer = sent(one, 0.0)
    assert answer is not None
    assert (answer.state, answer.yours) == (DOWN, THEIRS)


def test_who_closes_says_that_it_is_on_purpose() -> None:
    one = session(*TO[UP])
    octets = one.close()
    assert octets is not None
    last = parse(octets)
    assert isinstance(last, Control)
    assert (last.state, last.diagnostic) == (ADMIN, Diagnostic.ADMINISTRATIVELY_DOWN)
    assert session().close() is None


@given(st.lists(st.tuples(CONTROLS, st.floats(0, 3))), st.floats(0, 1))
def test_any_packets_at_any_time(packets: list[tuple[Control, float]], chance: float) -> None:
    """Up is never reached but by a packet for this session, and who is due next is never in the past for long."""
    one, now = Session(MINE, 0.1, 0.0), 0.0
    for control, pause in packets:
        now += pause
        before = one.state
        taken = one.hear(control, now)
        assert taken or one.state is before
        if one.silent(now):
            one.expire(now)
        one.send(now, chance)
        assert one.wake_at >= now
        assert one.state is not ADMIN
