"""A router's summary is read for what it has of our sessions."""

from pathlib import Path

import pytest

from speaker.routers.lines import Dialect
from speaker.routers.shown import read
from speaker.routers.summary import ESTABLISHED, Neighbor, Ours, Summary, Trouble, judge

SUMMARIES = Path(__file__).parent / "summaries"
US = "192.168.3.10"


def neighbors(name: str) -> list[tuple[str, str, str, int | None]]:
    """Of a file: address, AS, state, received; in the ends of lines of any system."""
    text = (SUMMARIES / f"{name}.txt").read_text()
    one, other = read(text).summary, read(text.replace("\n", "\r\n")).summary
    assert one is not None
    assert one == other
    return [(n.address, n.asn, n.state, n.received) for n in one.neighbors]


@pytest.mark.parametrize("path", sorted(SUMMARIES.glob("frr*")), ids=lambda path: path.stem)
def test_every_form_of_frr_says_the_same(path: Path) -> None:
    """As FRR printed them here: text, wide text, and JSON of one family and of all."""
    assert neighbors(path.stem)[:3] == [
        (US, "64512", ESTABLISHED, 4),
        ("192.168.3.77", "64512", "Idle (Admin)", None),
        ("192.168.3.78", "65001", "Idle", None),
    ]


def test_edgeos_is_read_in_the_form_that_edgerouters_print() -> None:
    """Also where a long address runs into the column behind it."""
    assert neighbors("edgeos show ip bgp summary") == [
        (US, "64512", ESTABLISHED, 2),
        ("192.168.3.11", "64512", ESTABLISHED, 1),
        ("192.168.3.12", "64512", "Connect", None),
        ("2001:db8::ffff:ffff:ffff:ffff", "64497", "Connect", None),
    ]


def test_families_are_told_apart() -> None:
    """An FRR with both has a table of each."""
    shown = read((SUMMARIES / "frr-8.4.4 show bgp summary.txt").read_text()).summary
    assert shown is not None
    assert [n.family for n in shown.neighbors] == ["ipv4"] * 3 + ["ipv6"] * 2
    assert shown.neighbors[-1].address == "fd00:3:aaaa:bbbb:cccc:dddd:eeee:ffff"


def test_a_summary_and_a_table_of_routes_come_in_one_stream() -> None:
    """Neither is taken for the other."""
    table = (Path(__file__).parent / "shown" / "edgeos show ip bgp.txt").read_text()
    text = (SUMMARIES / "edgeos show ip bgp summary.txt").read_text()
    for stream in (table + text, text + table):
        found = read(stream)
        assert (found.bgp, found.summary) == (read(table).bgp, read(text).summary)


UP = Neighbor(US, "64512", "ipv4", ESTABLISHED, 4)
CASES = [
    (UP, None, []),
    (None, Trouble.NO_LINE, ["set protocols bgp 64512 neighbor 192.168.3.10 remote-as 64512"]),
    (
        Neighbor(US, "65001", "", "Idle", None),
        Trouble.WRONG_AS,
        ["set protocols bgp 64512 neighbor 192.168.3.10 remote-as 64512"],
    ),
    (
        Neighbor(US, "64512", "", "Idle (Admin)", None),
        Trouble.SHUT_DOWN,
        ["delete protocols bgp 64512 neighbor 192.168.3.10 shutdown"],
    ),
    (Neighbor(US, "64512", "", "Connect", None), Trouble.NOT_UP, []),
    (Neighbor(US, "64512", "ipv4", ESTABLISHED, 3), Trouble.FEWER, []),
    (Neighbor(US, "64512", "ipv4", ESTABLISHED, 5), Trouble.MORE, []),
    (Neighbor(US, "64512", "", ESTABLISHED, 1), None, []),  # the one path of IPv6
]


@pytest.mark.parametrize(("row", "trouble", "typed"), CASES, ids=lambda case: case if isinstance(case, str) else None)
def test_each_trouble_has_its_name_and_what_to_type(
    row: Neighbor | None, trouble: Trouble | None, typed: list[str]
) -> None:
    """Here in EdgeOS' words; of a session that has 4 paths of IPv4 and 1 of IPv6."""
    ours = Ours(US, 64512, 64512, {"ipv4": 4, "ipv6": 1})
    (found,) = judge(Summary(Dialect.EDGEOS, (row,) if row else ()), [ours])
    assert (found.trouble, list(found.type_in)) == (trouble, typed)
