"""Which mode fits a router, for IPv4 and IPv6 alike."""

import pytest

from speaker.bgp.iana import Family
from speaker.paths.base import ModeName
from speaker.paths.choose import choose
from tests.paths.receiver import negotiated

PLAIN, MANY = negotiated(), negotiated(add_path=True)


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize(
    ("offers", "lanes", "configured", "mode", "reason"),
    [
        ([MANY], 1, None, ModeName.ADDPATH, "takes ADD-PATH"),
        ([MANY], 4, None, ModeName.ADDPATH, "takes ADD-PATH"),
        ([PLAIN], 1, None, ModeName.SPREAD, "one line"),
        ([PLAIN], 4, None, ModeName.LANES, "4 local addresses"),
        ([PLAIN, MANY], 4, None, ModeName.LANES, "4 local addresses"),
        ([MANY], 1, ModeName.SPREAD, ModeName.SPREAD, "configured"),
        ([MANY], 4, ModeName.LANES, ModeName.LANES, "configured"),
        ([MANY], 1, ModeName.ADDPATH, ModeName.ADDPATH, "configured"),
        ([PLAIN], 1, ModeName.ADDPATH, ModeName.SPREAD, "does not take it"),
    ],
)
def test_the_mode_follows_the_offer_and_the_lines(offers, lanes, configured, mode, reason, family: Family) -> None:
    """The router's offer first, then the number of lines; what is configured before both, where it can be."""
    choice = choose(family, offers, lanes, configured)
    assert choice.mode is mode
    assert reason in choice.reason


def test_each_family_is_chosen_for_itself() -> None:
    """A router may take ADD-PATH for IPv4 alone."""
    offer = negotiated(add_path=True, families=(Family.IPV4,))
    assert choose(Family.IPV4, [offer], 1, None).mode is ModeName.ADDPATH
    assert choose(Family.IPV6, [offer], 1, None).mode is ModeName.SPREAD
