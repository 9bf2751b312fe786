"""Every state with everything that can happen in it: what is sent, and which state follows (RFC 4271 8.2.2).

Active is left out: it lasts as long as `accept` itself.
"""

from collections.abc import Callable

import pytest
from bgp_sessions import TO_NODE, established, sent
from bgp_wire import ALIVE, NOTIFICATION, OPEN, PLAIN, ROUTE_REFRESH, TRAEFIK, message, open_body, update

from speaker.bgp.events import Event
from speaker.bgp.iana import CeaseSubcode
from speaker.bgp.session import Session, State

OPENED = message(OPEN, open_body())


def fresh() -> Session:
    """A session of which nothing is known yet."""
    return Session(TO_NODE, 64512, lambda: 1.0)


def dialing() -> Session:
    """We have called, nobody has answered."""
    session = fresh()
    session.dial(0.0)
    return session


def open_sent() -> Session:
    """A node has called, our OPEN is out."""
    session = fresh()
    session.accept(0.0)
    return session


def open_confirm() -> Session:
    """Both OPENs are out, and our KEEPALIVE."""
    session = open_sent()
    session.receive(OPENED, 0.0)
    return session


STATES: dict[str, Callable[[], Session]] = {
    "Idle": fresh,
    "Connect": dialing,
    "OpenSent": open_sent,
    "OpenConfirm": open_confirm,
    "Established": established,
}

HAPPENINGS: dict[str, Callable[[Session], list[Event]]] = {
    "we dial": lambda session: session.dial(1.0),
    "TCP is up": lambda session: session.connected(1.0),
    "TCP is down": lambda session: session.disconnected(1.0, "connection refused"),
    "we stop": lambda session: session.stop(1.0, CeaseSubcode.ADMINISTRATIVE_SHUTDOWN),
    "we probe": lambda session: session.probe(),
    "we abandon": lambda session: session.abandon(),
    "9 s pass": lambda session: session.tick(9.0),
    "10 s pass": lambda session: session.tick(10.0),
    "30 s pass": lambda session: session.tick(30.0),
    "90 s pass": lambda session: session.tick(90.0),
    "240 s pass": lambda session: session.tick(240.0),
    "OPEN": lambda session: session.receive(OPENED, 1.0),
    "KEEPALIVE": lambda session: session.receive(ALIVE, 1.0),
    "UPDATE": lambda session: session.receive(update(PLAIN, TRAEFIK), 1.0),
    "REFRESH": lambda session: session.receive(message(ROUTE_REFRESH, b"\0\1\0\1"), 1.0),
    "NOTIFICATION": lambda session: session.receive(message(NOTIFICATION, b"\6\2"), 1.0),
    "nonsense": lambda session: session.receive(b"GET / HTTP/1.1\r\nHost: onepeer", 1.0),
}

# What is sent (O = OPEN, K = KEEPALIVE, code/subcode = NOTIFICATION), then the next state; "-" is nothing at all.
TABLE = """
             | Idle      | Connect    | OpenSent      | OpenConfirm   | Established
we dial      | - Connect | -          | -             | -             | -
TCP is up    | -         | O OpenSent | -             | -             | -
TCP is down  | -         | - Idle     | - Idle        | - Idle        | - Idle
we stop      | -         | - Idle     | 6/2 Idle      | 6/2 Idle      | 6/2 Idle
we probe     | -         | -          | -             | -             | K
we abandon   | -         | - Idle     | - Idle        | - Idle        | - Idle
9 s pass     | -         | -          | -             | -             | -
10 s pass    | -         | - Idle     | -             | -             | -
30 s pass    | -         | - Idle     | -             | K             | K
90 s pass    | -         | - Idle     | -             | K 4/0 Idle    | K 4/0 Idle
240 s pass   | -         | - Idle     | 4/0 Idle      | K 4/0 Idle    | K 4/0 Idle
OPEN         | -         | -          | K OpenConfirm | 5/2 Idle      | 5/3 Idle
KEEPALIVE    | -         | -          | 5/1 Idle      | - Established | -
UPDATE       | -         | -          | 5/1 Idle      | 5/2 Idle      | -
REFRESH      | -         | -          | 5/1 Idle      | 5/2 Idle      | -
NOTIFICATION | -         | -          | - Idle        | - Idle        | - Idle
nonsense     | -         | -          | 1/1 Idle      | 1/1 Idle      | 1/1 Idle
"""
_HEAD, *_LINES = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip("\n").splitlines()]
ROWS = [(state, line[0], cell) for line in _LINES for state, cell in zip(_HEAD[1:], line[1:], strict=True)]


def spoken(messages: list[bytes]) -> list[str]:
    """Messages as the table writes them."""
    letters = {1: "O", 4: "K"}
    return [letters.get(one[18]) or f"{one[19]}/{one[20]}" for one in messages]


@pytest.mark.parametrize(("state", "happening", "cell"), ROWS, ids=[f"{row[0]}: {row[1]}" for row in ROWS])
def test_what_follows_is_what_the_table_says(state: str, happening: str, cell: str) -> None:
    """RFC 6608 has the answer to a message that a state does not expect; anything else is left aside."""
    session = STATES[state]()
    assert session.state.value == state
    events = HAPPENINGS[happening](session)
    *words, last = cell.split()
    after = last if last in _HEAD else state
    expected = [word for word in (*words, last) if word not in ("-", after)]
    assert spoken(sent(events)) == expected
    assert session.state.value == after
    if session.state is State.IDLE:
        assert session.deadline() is None


def test_the_table_has_every_state_and_everything_that_can_happen() -> None:
    """A happening that is added must be asked of every state."""
    assert [line[0] for line in _LINES] == list(HAPPENINGS)
    assert _HEAD[1:] == list(STATES) == [state.value for state in State if state is not State.ACTIVE]
