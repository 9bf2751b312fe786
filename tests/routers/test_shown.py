"""What a router printed is read for what it holds."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.routers.compare import Difference, Verdict, differences
from speaker.routers.shown import read
from speaker.routers.terminal import UnreadableText

SHOWN = Path(__file__).parent / "shown"
SENT = {
    "192.168.30.1/32": frozenset({"192.168.3.31", "192.168.3.32", "192.168.3.33"}),
    "192.168.30.22/32": frozenset({"192.168.3.33"}),
}
PIECES = (
    "B>* ",
    "*>i",
    "   Network          Next Hop  ",
    "Codes: K",
    "10.0.0.0",
    "10.1.1.1/32",
    " via ",
    "\n",
    "{",
    "}",
)
WORDS = (
    ' "routes": ',
    "[",
    "]",
    "(recursive)",
    "::1",
    '{"10.0.0.0/8": [{"protocol": "bgp", "nexthops": [1]}]}',
    "--More--",
)


@pytest.mark.parametrize("path", sorted(SHOWN.iterdir()), ids=lambda path: path.stem)
def test_every_table_of_every_router_is_read_alike(path: Path) -> None:
    """FRR's as it printed them here, EdgeOS' in the form that an ER-4 printed; on any system's ends of lines."""
    for text in (path.read_text(), path.read_text().replace("\n", "\r\n")):
        found = read(text)
        assert (found.route if "route bgp" in path.stem else found.bgp) == SENT


def test_several_tables_come_in_one_stream() -> None:
    """Text and JSON in any order."""
    names = ("frr-8.4.4 show ip bgp json", "edgeos show ip bgp", "frr-8.4.4 show ip route bgp")
    found = read("".join((SHOWN / f"{name}.txt").read_text() for name in names))
    assert (found.bgp, found.route) == (SENT, SENT)


def test_an_empty_table_is_an_answer() -> None:
    """All that was sent is missing then."""
    found = read("No BGP prefixes displayed, 0 exist\n")
    assert found.bgp == {}
    assert {one.verdict for one in differences(SENT, found.bgp)} == {Verdict.PREFIX_MISSING}


def test_a_long_prefix_has_a_line_of_its_own() -> None:
    """So IPv6 is shown."""
    text = "   Network          Next Hop            Metric\n"
    text += "*>ifd00:30:0:1::1234:5678/128\n                    fd00:3::31   0 i\n"
    assert read(text).bgp == {"fd00:30:0:1::1234:5678/128": frozenset({"fd00:3::31"})}


def test_how_a_next_hop_is_reached_is_no_next_hop() -> None:
    """FRR shows it below one that is recursive."""
    text = (
        "B>  192.168.30.1/32 [200/0] via 192.168.3.31 (recursive), weight 1, 00:00:02\n"
        "  *                           via 10.0.0.1, eth0, weight 1, 00:00:02\n"
        "                              via 192.168.3.32 (recursive), weight 1, 00:00:02\n"
    )
    assert read(text).route == {"192.168.30.1/32": frozenset({"192.168.3.31", "192.168.3.32"})}


def test_what_is_missing_and_what_is_too_much_are_told_apart() -> None:
    """Prefixes that were not sent are others' business."""
    held = {
        "192.168.30.1/32": frozenset({"192.168.3.31", "192.168.3.33", "192.168.3.99"}),
        "0.0.0.0/0": frozenset({"1.1.1.1"}),
    }
    assert differences(SENT, held) == [
        Difference("192.168.30.1/32", "192.168.3.32", Verdict.MISSING),
        Difference("192.168.30.1/32", "192.168.3.99", Verdict.EXTRA),
        Difference("192.168.30.22/32", "192.168.3.33", Verdict.PREFIX_MISSING),
    ]


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES + WORDS)).map("".join)))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing else is ever raised."""
    with contextlib.suppress(UnreadableText):
        read(text)
