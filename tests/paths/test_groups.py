"""Rendezvous scores: the same on every replica, well mixed, and in proportion to weights."""

from collections import Counter
from operator import itemgetter

import pytest

from speaker.paths.groups import Group, score, seed
from speaker.rib.decide import cost
from tests.paths.world import host_routes, paths_of, source

PREFIXES = host_routes(4000)


def test_scores_are_the_same_in_every_process_and_version() -> None:
    """Replicas of two releases must pick alike: these figures may not change."""
    assert seed(b"\x20\xc0\xa8\x1e\x01") == 4035585913
    assert score(seed(b"\x20\xc0\xa8\x1e\x01"), seed(b"\xc0\xa8\x03\x1f"), None) == 3785745504


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", [3, 40, 200])
def test_a_group_ranks_its_sources_by_their_scores(weighted: bool, size: int) -> None:
    """All at once, or one by one: the same figures, the highest first."""
    sources = [source(number, weight=1 + number % 5) for number in range(1, size + 1)]
    seeds = {one: seed(one.path_id) for one in sources}
    paths = {one: paths_of(one) for one in sources}
    group = Group(paths, cost(*next(iter(paths.items()))), seeds, weighted=weighted)
    for prefix in PREFIXES[:50]:
        alone = [(score(seed(prefix), seeds[one], one.weight if weighted else None), one) for one in sources]
        assert list(group.ranked(seed(prefix))) == sorted(alone, key=itemgetter(0), reverse=True)


@pytest.mark.parametrize("nodes", [2, 3, 10, 50])
def test_scores_are_well_mixed(nodes: int) -> None:
    """Neighboring addresses, neighboring prefixes: each node wins as often as chance would have it, five sigma."""
    wins = Counter(winners([source(number) for number in range(1, nodes + 1)]))
    mean = len(PREFIXES) / nodes
    assert all(abs(wins[number] - mean) <= 5 * mean**0.5 for number in range(1, nodes + 1))


def test_a_weight_is_a_share() -> None:
    """Weights 1, 2, 3, 4: a tenth to four tenths of the prefixes."""
    wins = Counter(winners([source(number, weight=number) for number in range(1, 5)]))
    assert all(abs(wins[number] / len(PREFIXES) - number / 10) <= 0.025 for number in range(1, 5))


def winners(sources: list) -> list[int]:
    """The node of the highest score for each prefix."""
    seeds = [(seed(one.path_id), one.weight, at) for at, one in enumerate(sources, start=1)]
    return [max((score(seed(p), own, weight), at) for own, weight, at in seeds)[1] for p in PREFIXES]
