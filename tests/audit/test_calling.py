"""Who calls and gets no further: by first segments alone, and never of one that was answered."""

from ipaddress import ip_address

import pytest

from speaker.audit.calling import MOST, RECENT, Calling, Keys, why_unanswered
from speaker.audit.reasons import Reason
from speaker.net.calls import Call

NODE, US = ip_address("192.168.3.33"), ip_address("192.168.3.10")
SET, NOT_SET = Keys(True, True), Keys(False, True)


def call(at: float, port: int = 1790, *, signed: bool = False) -> Call:
    return Call(at, NODE, US, port, signed)


def heard(*times: float, port: int = 1790) -> Calling:
    calling = Calling()
    for at in times:
        calling.hear(call(at, port))
    return calling


@pytest.mark.parametrize(
    ("times", "called_at", "now", "unanswered"),
    [
        ((), 0, 10, False),
        ((1,), 0, 10, False),  # it may be answered any moment
        ((1, 2, 4), 0, 10, True),  # a segment that is sent again, a second later and two more
        ((1, 2, 4), 4.1, 10, False),  # we were told of the last
        ((1, 2, 4, 8), 3, 10, True),  # of those since
        ((1, 2, 4), 0, 4 + RECENT, False),  # long ago
        (tuple(range(60)), 0, 60, True),
    ],
)
def test_a_node_whose_calls_come_to_nothing_has_called_several_times(
    times: tuple[float, ...], called_at: float, now: float, unanswered: bool
) -> None:
    """And nobody told us of any."""
    found = heard(*times).unanswered(NODE, 1790, called_at, now)
    assert (found is not None) is unanswered
    assert found is None or found.at == times[-1]


def test_a_call_to_another_port_counts_where_none_comes_to_ours() -> None:
    """BGP's own, as a rule."""
    assert heard(1, port=179).elsewhere(NODE, 1790, 10) == 179
    assert heard(1, port=179).elsewhere(NODE, 1790, 1 + RECENT) is None
    calling = heard(1, port=179)
    calling.hear(call(2))
    assert calling.elsewhere(NODE, 1790, 10) is None


def test_little_is_remembered_and_of_those_that_may_peer_alone() -> None:
    """However long they call."""
    calling = heard(*range(1000))
    assert sum(len(calls) for calls in calling._calls.values()) == MOST
    calling.keep([])
    assert calling.unanswered(NODE, 1790, 0, 1000) is None


@pytest.mark.parametrize(
    ("signed", "keys", "reason", "word"),
    [
        (True, NOT_SET, Reason.WRONG_PASSWORD, "we have no password"),
        (False, SET, Reason.WRONG_PASSWORD, "not signed"),
        (True, SET, Reason.WRONG_PASSWORD, "another password"),
        (True, Keys(True, False), Reason.BLOCKED, "not answered"),
        (False, NOT_SET, Reason.BLOCKED, "not answered"),
    ],
)
def test_the_signature_says_why_a_call_is_not_answered(signed: bool, keys: Keys, reason: Reason, word: str) -> None:
    """Where it is as it should be, a firewall is left."""
    why, detail = why_unanswered(call(1, signed=signed), keys)
    assert why is reason
    assert word in detail
