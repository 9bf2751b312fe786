"""Ages and counts as people write them."""

import pytest

from speaker.cli.words import age, carried, count


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),  # a clock that was set back
        (0, "0s"),
        (0.9, "0s"),
        (12, "12s"),
        (59.9, "59s"),
        (60, "1m"),
        (250, "4m10s"),
        (3600, "1h"),
        (3659, "1h"),
        (3660, "1h1m"),
        (86399, "23h59m"),
        (86400 * 3 + 3600 * 4, "3d4h"),
        (86400 * 400, "400d"),
    ],
)
def test_an_age_has_its_two_largest_units(seconds: float, text: str) -> None:
    """Enough for a glance."""
    assert age(seconds) == text


def test_one_is_not_many() -> None:
    """1 node, 2 nodes."""
    assert [count(number, "node") for number in (0, 1, 2)] == ["0 nodes", "1 node", "2 nodes"]


def test_only_families_that_carry_something_are_named() -> None:
    """Most clusters have one."""
    assert carried({"ipv4": 3, "ipv6": 0}, {"ipv4": 1, "ipv6": 0}) == "3 ipv4 paths to 1 prefix"
    assert (
        carried({"ipv4": 1, "ipv6": 4}, {"ipv4": 1, "ipv6": 2}) == "1 ipv4 path to 1 prefix, 4 ipv6 paths to 2 prefixes"
    )
    assert carried({"ipv4": 0}, {"ipv4": 0}) == "none"
