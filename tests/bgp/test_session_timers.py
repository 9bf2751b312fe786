"""When a session wants to be called, and what it does then. The clock is the test's."""

from dataclasses import replace

import pytest
from bgp_sessions import TO_NODE, end_of, established, refusal, sent
from bgp_wire import ALIVE, OPEN, PLAIN, TRAEFIK, message, open_body, update
from hypothesis import given
from hypothesis import strategies as st

from speaker.bgp.events import Cause, Transmit
from speaker.bgp.session import Session, State


def test_nobody_waits_for_an_address_that_does_not_answer() -> None:
    """10 s, where Linux itself would try for 130."""
    session = Session(TO_NODE, 64512, lambda: 1.0)
    session.dial(100.0)
    assert session.deadline() == 110.0
    assert session.tick(109.9) == []
    assert end_of(session.tick(110.0)).cause is Cause.CONNECTION_FAILED


def test_a_caller_that_never_says_open_is_dismissed() -> None:
    """RFC 4271 8.2.2: a large hold time, 4 minutes, until its OPEN is there."""
    session = Session(TO_NODE, 64512, lambda: 1.0)
    session.accept(100.0)
    assert session.deadline() == 340.0
    events = session.tick(340.0)
    assert refusal(events) == "4/0"
    assert end_of(events).text == "nothing heard for 240 s"


@pytest.mark.parametrize(("hold_time", "jitter", "interval"), [(90, 1.0, 30.0), (90, 0.75, 22.5), (3, 1.0, 1.0)])
def test_keepalives_go_out_three_times_in_a_hold_time(hold_time: int, jitter: float, interval: float) -> None:
    """RFC 4271 4.4 and 10: a third of the hold time, shortened by up to a quarter so that peers do not beat in time."""
    session = Session(TO_NODE, 64512, lambda: jitter)
    session.accept(0.0)
    session.receive(message(OPEN, open_body(hold_time=hold_time)) + ALIVE, 0.0)
    now = 0.0
    for _ in range(10):
        assert session.deadline() == pytest.approx(now + interval)
        now += interval
        assert session.receive(ALIVE, now - 0.1) == []
        assert session.tick(now) == [Transmit(ALIVE)]


@pytest.mark.parametrize("octets", [ALIVE, update(PLAIN, TRAEFIK), update()], ids=["KEEPALIVE", "UPDATE", "End-of-RIB"])
def test_who_says_something_is_there(octets: bytes) -> None:
    """RFC 4271 8.2.2: KEEPALIVE and UPDATE restart the hold timer."""
    session = established()
    session.receive(octets, 80.0)
    session.tick(169.9)
    assert session.state is State.ESTABLISHED
    assert end_of(session.tick(170.0)).cause is Cause.HOLD_TIMER


def test_half_a_message_is_no_sign_of_life() -> None:
    """A peer that hangs in the middle of an UPDATE is gone after the hold time like any other."""
    session = established()
    session.receive(update(PLAIN, TRAEFIK)[:-1], 80.0)
    assert end_of(session.tick(90.0)).text == "nothing heard for 90 s"


def test_the_hold_timer_runs_from_open_on() -> None:
    """A peer that says OPEN and no KEEPALIVE must not hold the session for ever."""
    session = Session(TO_NODE, 64512, lambda: 1.0)
    session.accept(0.0)
    session.receive(message(OPEN, open_body(hold_time=9)), 5.0)
    assert session.state is State.OPEN_CONFIRM
    session.tick(13.9)
    assert session.state is State.OPEN_CONFIRM
    assert refusal(session.tick(14.0)) == "4/0"


def test_an_hour_of_sleep_is_followed_by_one_keepalive_and_the_truth() -> None:
    """A host that was suspended has missed its timers; it must not send what it had not."""
    events = established().tick(3600.0)
    assert [one[18] for one in sent(events)] == [4, 3]
    assert end_of(events).cause is Cause.HOLD_TIMER


@given(
    st.lists(st.tuples(st.floats(0.0, 40.0), st.booleans()), max_size=30),
    st.sampled_from([3, 9, 90, 65535]),
    st.floats(0.75, 1.0),
)
def test_whatever_the_clock_does_the_next_call_lies_ahead(
    steps: list[tuple[float, bool]], hold_time: int, jitter: float
) -> None:
    """Otherwise the owner would spin; and a session is ended by silence only, never by a late owner."""
    session = established(replace(TO_NODE, hold_time=hold_time), hold_time=hold_time)
    now = heard = 0.0
    for step, alive in steps:
        now += step
        silent = now - heard >= hold_time
        session.tick(now)
        assert (session.state is State.IDLE) == silent
        if silent:
            assert session.deadline() is None
            return
        deadline = session.deadline()
        assert deadline is not None
        assert now < deadline <= now + hold_time
        if alive:
            session.receive(ALIVE, now)
            heard = now
