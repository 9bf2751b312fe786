"""nodes.yaml: what it gives, what is told about it, and that a broken one never empties the roster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from speaker.cluster import Node, Roster, RosterProblem
from speaker.cluster.file import FileRoster, read_roster
from speaker.config import SettingsError, load

SETTINGS = """\
asn: 64512
listen: {addresses: [192.168.3.10]}
routers:
  - address: 192.168.3.1
nodes: {file: nodes.yaml, asn: 64513}
guard: {prefixes: [192.168.30.0/24]}
"""
GOOD = """\
nodes:
  - {name: leviathan1, addresses: [192.168.3.31]}
  - {name: leviathan2, addresses: [192.168.3.32]}
"""

Roll = Callable[[str], Roster]


@pytest.fixture
def roll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Roll:
    """The roster that a text gives beside SETTINGS."""
    monkeypatch.chdir(tmp_path)
    Path("onepeer.yaml").write_text(SETTINGS)

    def read(text: str) -> Roster:
        Path("nodes.yaml").write_text(text)
        return read_roster(load(Path("onepeer.yaml")))[0]

    return read


def test_a_node_is_found_by_each_of_its_addresses(roll: Roll) -> None:
    roster = roll("nodes: [{name: a, addresses: [192.168.3.31, fd00::31], asn: 64514}]")
    node = Node("a", (ip_address("192.168.3.31"), ip_address("fd00::31")), 64514)
    assert roster.by_address == {ip_address("192.168.3.31"): node, ip_address("fd00::31"): node}
    assert roster.by_name == {"a": node}


def test_what_a_node_does_not_say_is_said_for_all(roll: Roll) -> None:
    """AS and password come from `nodes` of the settings."""
    Path("all").write_text("for all\n")
    Path("one").write_text("for one\n")
    Path("onepeer.yaml").write_text(SETTINGS.replace("64513}", "64513, password_file: all}"))
    roster = roll(GOOD.replace("32]}", "32], password_file: one}"))
    assert [(node.asn, node.password) for node in roster.nodes] == [(64513, b"for all"), (64513, b"for one")]
    assert "for" not in repr(roster)


def test_a_node_has_weight_1_unless_it_says_another(roll: Roll) -> None:
    """255 is the most; a change of the weight is a change of the roster."""
    heavy = roll(GOOD.replace("32]}", "32], weight: 255}"))
    assert [node.weight for node in heavy.nodes] == [1, 255]
    assert roll(GOOD) != heavy


def test_the_order_of_the_file_is_no_change(roll: Roll) -> None:
    lines = GOOD.splitlines(keepends=True)
    assert roll(GOOD) == roll(lines[0] + lines[2] + lines[1])


def test_an_empty_roster_is_accepted_and_remarked_on(roll: Roll) -> None:
    assert roll("nodes: []").remark == "the roster is empty: no node may peer"
    assert roll(GOOD).remark is None


def test_onepeer_may_run_on_a_node(roll: Roll) -> None:
    """Its speaker dials from our own listen address; only the identifiers must differ."""
    Path("onepeer.yaml").write_text(SETTINGS + "router_id: 192.0.2.1\n")
    assert len(roll("nodes: [{name: a, addresses: [192.168.3.10]}]").nodes) == 1


MISTAKES = [
    ("", [": the file is empty; write `key: value` lines"]),
    ("nodes:\n", [":1: nodes: nothing is not a list; write a list: [a, b]"]),
    ("nodes: [{}]\n", [":1: nodes[0].name: is missing", ":1: nodes[0].addresses: is missing"]),
    ("nodes: [{name: a, addresses: []}]\n", [":1: nodes[0].addresses: is empty"]),
    ("nodes: [{name: a, address: [10.0.0.1]}]\n", [":1: nodes[0].address: is not a key"]),
    (GOOD.replace("leviathan2", "leviathan1"), [":3: nodes[1].name: leviathan1 is given twice"]),
    (GOOD.replace("32]", "31]"), [":3: nodes[1].addresses[0]: 192.168.3.31 is given twice"]),
    (GOOD.replace("32]", "1]"), [":3: nodes[1].addresses[0]: 192.168.3.1 is a router's"]),
    (GOOD.replace("32]", "10]"), [":3: nodes[1].addresses[0]: 192.168.3.10 is our own router_id"]),
    (GOOD.replace("3.32]", "30.2]"), [":3: nodes[1].addresses[0]: 192.168.30.2 is not safe: it lies in"]),
    (GOOD.replace("192.168.3.32", "fd00::32"), [":3: nodes[1].addresses: has IPv6 alone"]),
    (GOOD.replace("192.168.3.32", "fe80::32"), [":3: nodes[1].addresses[0]: fe80::32 is a link-local"]),
    (GOOD.replace("32]}", "32], asn: 0}"), [":3: nodes[1].asn: 0 is not to be used"]),
    (GOOD.replace("32]}", "32], weight: 0}"), [":3: nodes[1].weight: 0 is too small: the least is 1; use 1"]),
    (GOOD.replace("32]}", "32], weight: 256}"), [":3: nodes[1].weight: 256 is too large: the most is 255; use 255"]),
    (GOOD.replace("32]}", "32], weight: 1.5}"), [":3: nodes[1].weight: 1.5 is not a whole number"]),
    (GOOD.replace("32]}", "32], password_file: no}"), [":3: nodes[1].password_file: no cannot be read"]),
]


@pytest.mark.parametrize(("text", "starts"), MISTAKES)
def test_a_mistake_is_named_with_its_line(roll: Roll, text: str, starts: list[str]) -> None:
    with pytest.raises(SettingsError) as refused:
        roll(text)
    told = [str(problem) for problem in refused.value.problems]
    assert len(told) == len(starts)
    for line, start in zip(told, starts, strict=True):
        assert line.startswith(f"nodes.yaml{start}")


Next = Callable[[], Roster | RosterProblem]


@pytest.fixture
def following(roll: Roll) -> Iterator[Next]:
    """What comes next out of a FileRoster that has given the roster of GOOD."""
    first = roll(GOOD)
    stream = FileRoster(load(Path("onepeer.yaml")), every=0.01).watch()

    async def step() -> Roster | RosterProblem:
        async with asyncio.timeout(10):
            return await anext(stream)

    with asyncio.Runner() as runner:
        assert runner.run(step()) == first
        yield lambda: runner.run(step())


def test_a_node_added_to_the_file_is_in_the_next_roster(following: Next) -> None:
    Path("nodes.yaml").write_text(GOOD + "  - {name: leviathan3, addresses: [192.168.3.33]}\n")
    roster = following()
    assert isinstance(roster, Roster)
    assert [node.name for node in roster.nodes] == ["leviathan1", "leviathan2", "leviathan3"]


@pytest.mark.parametrize("broken", ["", "nodes:\n  - {name: levia", None], ids=["empty", "half", "gone"])
def test_a_broken_file_is_a_problem_and_its_repair_a_roster(roll: Roll, following: Next, broken: str | None) -> None:
    """No roster comes between, so the sessions stay; the repair is told although nothing changed."""
    file = Path("nodes.yaml")
    file.unlink() if broken is None else file.write_text(broken)
    problem = following()
    assert isinstance(problem, RosterProblem)
    assert problem.lines[0].startswith("nodes.yaml")
    repaired = roll(GOOD)
    assert following() == repaired


def test_a_password_put_into_its_file_is_the_repair(following: Next) -> None:
    """The roster names a password file that is not there yet; only that file changes then."""
    Path("nodes.yaml").write_text(GOOD.replace("31]}", "31], password_file: secret}"))
    assert isinstance(following(), RosterProblem)
    for password in (b"one", b"two"):
        Path("secret").write_bytes(password)
        roster = following()
        assert isinstance(roster, Roster)
        assert roster.by_name["leviathan1"].password == password


def test_a_configmap_swap_is_a_change(following: Next) -> None:
    """The kubelet swaps the symbolic link `..data`; the link that bears the file's name stays the same."""
    for folder, text in (("..1", GOOD + "  - {name: c, addresses: [192.168.3.33]}\n"), ("..2", "nodes: []\n")):
        Path(folder).mkdir()
        Path(folder, "nodes.yaml").write_text(text)
    Path("..data").symlink_to("..1")
    Path("link").symlink_to("..data/nodes.yaml")
    Path("link").replace("nodes.yaml")
    roster = following()
    assert isinstance(roster, Roster)
    assert len(roster.nodes) == 3
    Path("next").symlink_to("..2")
    Path("next").replace("..data")
    assert following() == Roster()
