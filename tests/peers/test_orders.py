"""Which nodes are drained is known to all replicas, whichever was told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.peers.orders import MEMORY, Orders

NODES = ("n1", "n2")
WORDS = st.tuples(st.integers(0, 2), st.sampled_from(NODES), st.sampled_from([None, False, True]))
TALKS = st.tuples(st.integers(0, 2), st.integers(0, 2))


@given(st.lists(st.one_of(WORDS, TALKS)))
def test_whatever_is_said_to_whom_in_the_end_all_know_the_same(steps: list[tuple]) -> None:
    """Three replicas; their clocks differ by a minute. A word counts until a newer one that its hearer knew of."""
    replicas, now = [Orders() for _ in range(3)], 1000.0
    for step in steps:
        now += 1
        if len(step) == 3:
            who, node, force = step
            replicas[who].give(node, force, now + 60 * who)
            assert replicas[who].drained().get(node) == force
        else:
            one, other = step
            replicas[one].learn(json.loads(json.dumps(replicas[other].said())), now)
    for _ in range(2):
        for one in replicas:
            for other in replicas:
                one.learn(other.said(), now)
    assert replicas[0].said() == replicas[1].said() == replicas[2].said()


def test_a_node_that_was_let_in_is_not_drained_by_one_who_has_not_heard_of_it() -> None:
    """A replica that was away comes back with what it knew."""
    here, back = Orders(), Orders()
    here.give("n3", force=True, now=100.0)
    back.learn(here.said(), 100.0)
    here.give("n3", force=None, now=101.0)
    assert not here.learn(back.said(), 102.0)
    assert back.learn(here.said(), 102.0)
    assert here.drained() == back.drained() == {}


def test_the_same_word_again_is_no_news() -> None:
    """`--wait` says it ten times a second."""
    orders = Orders()
    assert orders.give("n3", force=False, now=100.0)
    assert not orders.give("n3", force=False, now=101.0)
    assert orders.give("n3", force=True, now=102.0)


def test_that_a_node_was_let_in_is_forgotten_some_day() -> None:
    """A drained one is not."""
    orders = Orders()
    orders.give("n1", force=None, now=100.0)
    orders.give("n2", force=False, now=100.0)
    orders.learn({}, 100.0 + MEMORY)
    assert orders.said() == {"n2": [False, 100.0]}


@pytest.mark.parametrize("word", [[False], ["yes", 1.0], [None, "now"], [1, 1.0], 7])
def test_what_makes_no_sense_is_refused(word: object) -> None:
    """A file that a person has touched, a replica of another version."""
    with pytest.raises((TypeError, ValueError)):
        Orders().learn({"n1": word}, 1.0)
