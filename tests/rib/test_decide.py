"""Which path is better, by which step, and which are equally good: RFC 4271 9.1.2.2 and RFC 4456 9."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.bgp.iana import GRACEFUL_SHUTDOWN, Origin
from speaker.rib.decide import Path, Step, compare, cost_classes, equal_cost, ranked
from tests.rib.paths import as_set, node, octets, sequence, via

IBGP, OTHER = node("10.0.0.1"), node("10.0.0.2")
AS1, AS1_TOO, AS2 = (node(f"10.0.1.{n}", asn=asn) for n, asn in ((1, 65001), (2, 65001), (3, 65002)))
HOP = "10.0.0.1"

#: A better path, a worse one, and the step that tells them apart.
STEPS = {
    "what stays before what is about to go, whatever follows": (
        (AS2, via(HOP, as_path=sequence(2, 3))),
        (AS1, via(HOP, as_path=sequence(1), communities=(GRACEFUL_SHUTDOWN,))),
        Step.GRACEFUL_SHUTDOWN,
    ),
    "a shorter AS_PATH": (
        (AS1, via(HOP, as_path=sequence(1))),
        (AS2, via(HOP, as_path=sequence(2, 3))),
        Step.AS_PATH_LENGTH,
    ),
    "an AS_SET counts as one": (
        (AS1, via(HOP, as_path=as_set(1, 2, 3))),
        (AS2, via(HOP, as_path=sequence(2, 3))),
        Step.AS_PATH_LENGTH,
    ),
    "a shorter AS_PATH, whatever follows": (
        (IBGP, via(HOP, origin=Origin.INCOMPLETE, med=9)),
        (AS1, via(HOP, as_path=sequence(65001))),
        Step.AS_PATH_LENGTH,
    ),
    "IGP before EGP": ((IBGP, via(HOP)), (OTHER, via(HOP, origin=Origin.EGP)), Step.ORIGIN),
    "EGP before INCOMPLETE": (
        (IBGP, via(HOP, origin=Origin.EGP)),
        (OTHER, via(HOP, origin=Origin.INCOMPLETE)),
        Step.ORIGIN,
    ),
    "a lower MED": ((IBGP, via(HOP, med=1)), (OTHER, via(HOP, med=2)), Step.MED),
    "no MED counts as 0": ((IBGP, via(HOP)), (OTHER, via(HOP, med=1)), Step.MED),
    "a lower MED of the same neighboring AS": (
        (AS1, via(HOP, as_path=sequence(65001), med=1)),
        (AS1_TOO, via(HOP, as_path=sequence(65001), med=2)),
        Step.MED,
    ),
    "MED is not compared between two ASes": (
        (AS1, via(HOP, as_path=sequence(65001), med=2)),
        (AS2, via(HOP, as_path=sequence(65002), med=1)),
        Step.PEER_ADDRESS,
    ),
    "eBGP before iBGP": (
        (AS1, via(HOP, as_path=sequence(65001))),
        (IBGP, via(HOP, as_path=sequence(65001))),
        Step.EBGP,
    ),
    "a lower ORIGINATOR_ID": (
        (OTHER, via(HOP, originator_id=octets("1.0.0.1"))),
        (IBGP, via(HOP, originator_id=octets("1.0.0.2"))),
        Step.ROUTER_ID,
    ),
    "a shorter CLUSTER_LIST": (
        (OTHER, via(HOP)),
        (IBGP, via(HOP, cluster_list=(octets("1.1.1.1"),))),
        Step.CLUSTER_LIST,
    ),
    "a lower peer address": ((IBGP, via(HOP)), (OTHER, via(HOP)), Step.PEER_ADDRESS),
    "10.0.0.9 before 10.0.0.10": (
        (node("10.0.0.9"), via(HOP)),
        (node("10.0.0.10"), via(HOP)),
        Step.PEER_ADDRESS,
    ),
    "IPv4 before IPv6": ((node("240.0.0.1"), via(HOP)), (node("::1"), via(HOP)), Step.PEER_ADDRESS),
}

#: What differs up to step 4 is not equal in cost; what differs later is.
COST = {Step.GRACEFUL_SHUTDOWN, Step.AS_PATH_LENGTH, Step.ORIGIN, Step.MED, Step.EBGP}


@pytest.mark.parametrize(("better", "worse", "step"), STEPS.values(), ids=STEPS.keys())
def test_the_better_path_wins_and_the_step_is_named(better: Path, worse: Path, step: Step) -> None:
    """Each step decides both ways round, and says that it did."""
    assert compare(better, worse).sign < 0
    assert compare(worse, better).sign > 0
    assert compare(better, worse).step is compare(worse, better).step is step


@pytest.mark.parametrize(("better", "worse", "step"), STEPS.values(), ids=STEPS.keys())
def test_ecmp_may_use_both_only_where_the_cost_is_equal(better: Path, worse: Path, step: Step) -> None:
    """Steps 1 to 4 leave one path, the others only put two in order."""
    for paths in (dict([better, worse]), dict([worse, better])):
        assert list(equal_cost(paths)) == [better[0]] if step in COST else set(equal_cost(paths)) == set(paths)


def test_every_step_has_a_row() -> None:
    """A new step needs a row above."""
    assert {step for _, _, step in STEPS.values()} == set(Step)


@pytest.mark.parametrize(("step", "word"), [(Step.MED, "med"), (Step.AS_PATH_LENGTH, "as-path-length")])
def test_steps_are_printed_as_the_docs_have_them(step: Step, word: str) -> None:
    """`onepeer routes` prints this word."""
    assert str(step) == word


def test_paths_of_equal_cost_are_ranked_alike_in_every_order_of_arrival() -> None:
    """Six paths, 720 orders, one ranking."""
    ladder = [
        (IBGP, via(HOP)),
        (OTHER, via(HOP)),
        (AS1, via(HOP, as_path=sequence(65001))),
        (AS2, via(HOP, as_path=sequence(65002))),
        (AS1_TOO, via(HOP, as_path=sequence(65001), origin=Origin.EGP)),
        (node("10.0.0.7"), via(HOP, as_path=sequence(1, 2, 3))),
    ]
    assert all(ranked(dict(order)) == ladder for order in permutations(ladder))


def test_med_among_several_ases_gives_one_ranking_in_every_order_of_arrival() -> None:
    """The cycle of RFC 4451 3.1.1: A beats B by MED, B beats C and C beats A by router ID."""
    a = (AS1, via(HOP, as_path=sequence(65001), med=1, originator_id=octets("0.0.0.3")))
    b = (AS1_TOO, via(HOP, as_path=sequence(65001), med=2, originator_id=octets("0.0.0.1")))
    c = (AS2, via(HOP, as_path=sequence(65002), med=5, originator_id=octets("0.0.0.2")))
    assert [compare(a, b).sign, compare(b, c).sign, compare(c, a).sign] == [-1, -1, -1]
    assert all(ranked(dict(order)) == [c, a, b] for order in permutations([a, b, c]))
    assert all(set(equal_cost(dict(order))) == {AS1, AS2} for order in permutations([a, b, c]))


def test_a_med_that_another_as_hides_does_not_come_back() -> None:
    """RFC 4271 9.1.2.2 eliminates step by step: what MED removed stays removed, whatever a later step leaves."""
    low = (IBGP, via(HOP, as_path=sequence(65001), med=1))
    high = (AS1, via(HOP, as_path=sequence(65001), med=2))
    other = (AS2, via(HOP, as_path=sequence(65002)))
    classes = [set(paths) for paths in cost_classes(dict([low, high, other]))]
    assert classes == [{AS2}, {IBGP}, {AS1}]


def test_no_path_has_no_ranking() -> None:
    """A prefix without a path is no mistake."""
    assert ranked({}) == []
    assert equal_cost({}) == {}


SOURCES = [*(node(f"10.0.2.{n}", asn=asn) for n, asn in enumerate((64512, 64512, 65001, 65001, 65002, 65003)))]
MANY = st.lists(st.sampled_from(SOURCES), min_size=1, unique=True).flatmap(
    lambda sources: st.tuples(
        *(
            st.tuples(
                st.just(source),
                st.builds(
                    lambda length, origin, med, router, clusters, asn=source.asn: via(
                        HOP,
                        as_path=sequence(*[asn] * length) if length else (),
                        origin=origin,
                        med=med,
                        originator_id=router,
                        cluster_list=(b"\1\1\1\1",) * clusters,
                    ),
                    st.integers(0, 2),
                    st.sampled_from(Origin),
                    st.sampled_from([None, 0, 1, 2]),
                    st.sampled_from([None, b"\0\0\0\1", b"\0\0\0\2"]),
                    st.integers(0, 2),
                ),
            )
            for source in sources
        )
    )
)


@given(paths=MANY, data=st.data())
def test_the_order_of_arrival_never_matters(paths: tuple[Path, ...], data: st.DataObject) -> None:
    """Any paths, any MEDs, any neighboring ASes."""
    shuffled = data.draw(st.permutations(paths))
    assert ranked(dict(paths)) == ranked(dict(shuffled))
    assert [set(c) for c in cost_classes(dict(paths))] == [set(c) for c in cost_classes(dict(shuffled))]


@given(paths=MANY)
def test_the_order_is_total_among_paths_of_one_neighboring_as(paths: tuple[Path, ...]) -> None:
    """Every two are in order, and a path that is better than a better one is better."""
    order = ranked({source: attributes.but(as_path=sequence(7)) for source, attributes in paths})
    assert all(compare(one, other).sign < 0 for at, one in enumerate(order) for other in order[at + 1 :])


@given(paths=MANY)
def test_the_best_is_of_equal_cost_with_itself_and_every_path_is_in_one_class(
    paths: tuple[Path, ...],
) -> None:
    """The classes of equal cost are a partition, and the best path is in the first."""
    classes = list(cost_classes(dict(paths)))
    assert [source for paths in classes for source in paths] != []
    assert sorted(str(s) for c in classes for s in c) == sorted(str(s) for s, _ in paths)
    assert ranked(dict(paths))[0][0] in classes[0]
    assert classes[0] == equal_cost(dict(paths))
