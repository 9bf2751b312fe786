"""Who is dead, who is alive, and of whom is nothing known: rounds of questions without any clock."""

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from speaker.host.pulse import MISSES, Pulse

NODES = [IPv4Address("192.168.3.31") + at for at in range(5)]


def pulse(count: int = 5) -> Pulse:
    """So many nodes, all of which have just answered."""
    made = Pulse()
    made.watch(NODES[:count])
    for node in NODES[:count]:
        made.answered(node)
    return made


def rounds(made: Pulse, count: int, *answering: IPv4Address) -> list[IPv4Address]:
    """So many rounds that only these answer; who is found dead."""
    dead = []
    for _ in range(count):
        for node in answering:
            made.answered(node)
        dead += made.end_round()
    return dead


def test_a_node_that_leaves_three_rounds_without_an_answer_is_dead_once() -> None:
    """Not after two, and not told again."""
    made = pulse()
    assert rounds(made, MISSES - 1, *NODES[1:]) == []
    assert rounds(made, 10, *NODES[1:]) == [NODES[0]]
    assert made.alive(NODES[0]) is False


def test_one_answer_brings_a_node_back_to_life() -> None:
    """And says so."""
    made = pulse()
    rounds(made, MISSES, *NODES[1:])
    assert made.answered(NODES[0])
    assert made.alive(NODES[0]) is True
    assert not made.answered(NODES[0])


def test_an_answer_now_and_then_keeps_a_node_alive() -> None:
    """A lost question or answer is no death."""
    made = pulse()
    for _ in range(20):
        assert rounds(made, MISSES - 1, *NODES[1:]) == []
        made.answered(NODES[0])


def test_a_node_that_never_answered_is_unknown_and_never_dead() -> None:
    """It may be behind a router."""
    made = Pulse()
    made.watch(NODES[:2])
    made.answered(NODES[0])
    assert rounds(made, 10, NODES[0]) == []
    assert made.alive(NODES[1]) is None


def test_when_all_fall_silent_it_is_our_own_cable() -> None:
    """Nobody is dead; they are unknown."""
    made = pulse()
    assert rounds(made, 50) == []
    assert [made.alive(node) for node in NODES] == [None] * 5


def test_the_only_node_is_never_called_dead() -> None:
    """Nobody is there to tell its silence from ours."""
    assert rounds(pulse(1), 50) == []


def test_of_two_nodes_one_can_be_found_dead() -> None:
    """The other one answers, so the cable is whole."""
    assert rounds(pulse(2), MISSES, NODES[0]) == [NODES[1]]


def test_long_dead_nodes_do_not_hide_a_new_death() -> None:
    """Three died one by one; of the two that were left one dies."""
    made = pulse()
    for at in range(3):
        assert rounds(made, MISSES, *NODES[at + 1 :]) == [NODES[at]]
    assert rounds(made, MISSES, NODES[4]) == [NODES[3]]


def test_a_node_that_is_watched_no_more_is_forgotten() -> None:
    """And begins as unknown when it comes back."""
    made = pulse()
    rounds(made, MISSES, *NODES[1:])
    made.watch(NODES[1:])
    made.watch(NODES)
    assert made.alive(NODES[0]) is None


@given(st.lists(st.sets(st.sampled_from(NODES))))
def test_whoever_answered_one_of_the_last_rounds_is_alive_and_no_dead_is_told_twice(
    answers: list[set[IPv4Address]],
) -> None:
    """Whatever the order of answers."""
    made = pulse()
    dead: set[IPv4Address] = set()
    for answering in answers:
        for node in answering:
            assert made.answered(node) == (node in dead)
            dead.discard(node)
        found = made.end_round()
        assert not dead.intersection(found)
        dead.update(found)
        assert not dead & answering
        assert all(made.alive(node) is True for node in answering)
