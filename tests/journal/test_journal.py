"""The journal on a real disk: what is told is found again, whatever happens in between."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from speaker import log
from speaker.bgp import nlri
from speaker.bgp.iana import Family
from speaker.journal.history import history
from speaker.journal.journal import Journal
from speaker.journal.segments import PARTS
from speaker.log import LogEvent
from speaker.rib.source import Source
from speaker.rib.table import Change
from speaker.serve.views import HistoryQuery
from tests.rib.paths import via

Opened = Callable[..., Journal]


@cache
def node(number: int) -> Source:
    """leviathan`number`."""
    address = ip_address(f"192.168.3.{30 + number}")
    return Source(f"leviathan{number}", address, address.packed, 64512, True, frozenset((address.packed,)), 1)


def change(number: int, *hosts: int, there: bool = True) -> Change:
    """Services of a node that came or went."""
    prefixes = [nlri.from_network(ip_network(f"192.168.30.{host}")) for host in hosts]
    return Change(node(number), prefixes, via("192.168.3.31") if there else None)


def texts(journal: Journal, **query: object) -> list[str]:
    found = journal.history(HistoryQuery.model_validate(query)).records
    return [f"{record.node or record.router}: {record.text}" for record in found]


def up(journal: Journal, number: int) -> None:
    journal.event(LogEvent.SESSION_ESTABLISHED, {"node": f"leviathan{number}", "address": f"192.168.3.{30 + number}"})


def test_one_turn_of_the_loop_is_one_record_for_each_node(opened: Opened) -> None:
    """Whatever came and went within it counts once, and what is there in the end is what is said."""
    journal = opened()
    journal.paths({Family.IPV4: [change(1, 1, 2, 3), change(2, 1), change(1, 3, there=False), change(1, 9)]})
    assert texts(journal) == [
        "leviathan1: announced 192.168.30.1-192.168.30.2, 192.168.30.9/32; withdrew 192.168.30.3/32",
        "leviathan2: announced 192.168.30.1/32",
    ]


def test_what_the_audit_has_found_is_found_again_in_words(opened: Opened) -> None:
    """Of nodes, of Services by their address, and of routers."""
    journal = opened()
    away = {"node": "leviathan3", "reason": "never-dialed", "detail": "", "addresses": 2}
    nobody = {"service": "default/web", "reason": "no-node", "detail": "192.168.30.7", "addresses": 1}
    for keys in (away, nobody, {"router": "edge", "reason": "router-session-down", "detail": "never up"}):
        journal.event(LogEvent.PATHS_MISSING, keys)
    journal.event(LogEvent.PATHS_BACK, {"service": "default/web", "reason": "no-node"})
    assert texts(journal) == [
        "leviathan3: missing: never-dialed",
        "None: no node announces default/web (192.168.30.7): no-node",
        "edge: missing: router-session-down (never up)",
        "None: no longer missing: default/web (was no-node)",
    ]
    assert len(texts(journal, prefix="192.168.30.7")) == 1


def test_it_is_asked_by_node_by_prefix_by_time_and_by_count(opened: Opened) -> None:
    """Each alone or together."""
    journal = opened()
    up(journal, 1)
    up(journal, 2)
    journal.paths({Family.IPV4: [change(1, 1, 22), change(2, 1)]})
    journal.event(LogEvent.ROSTER_CHANGED, {"added": [], "removed": ["leviathan2"], "nodes": 1})
    assert len(texts(journal, node="leviathan2")) == 3
    assert len(texts(journal, node="192.168.3.32")) == 2
    assert texts(journal, prefix="192.168.30.22") == ["leviathan1: announced 192.168.30.1/32, 192.168.30.22/32"]
    assert texts(journal, last=1) == ["None: roster of 1: removed leviathan2"]
    assert texts(journal, since=4e9) == []
    assert journal.history(HistoryQuery(last=1)).more
    with pytest.raises(ValueError, match="neither an address nor a prefix"):
        texts(journal, prefix="leviathan1")


def test_it_survives_a_restart_and_a_torn_last_line(opened: Opened, tmp_path: Path) -> None:
    """What a crash has cut is left out, and the next record begins on a line of its own."""
    up(opened(), 1)
    opened()  # the first is closed, and all it was told is written
    [path] = (tmp_path / "journal").iterdir()
    with path.open("ab") as file:
        file.write(b'{"at":1.0,"kind":"sess')
    journal = opened()
    up(journal, 2)
    assert texts(journal) == ["leviathan1: session up", "leviathan2: session up"]
    assert [record.node for record in journal.recent(9)] == ["leviathan2", "leviathan1"]


def test_it_never_takes_more_than_it_may(opened: Opened, tmp_path: Path) -> None:
    """The oldest goes, in quarters; the newest stays."""
    journal = opened(100_000)
    for number in range(2000):
        up(journal, number % 200)
        if number % 20 == 0:
            journal.write()
    sizes = [path.stat().st_size for path in (tmp_path / "journal").iterdir()]
    journal.write()
    assert len(sizes) == PARTS
    assert 60_000 < sum(sizes) <= 100_000
    assert texts(journal, last=1) == ["leviathan199: session up"]


def test_a_refusal_is_kept_once_until_the_session_changes(opened: Opened) -> None:
    """A router that is off for a month must not be all there is."""
    journal = opened()
    failed = {"router": "edge", "lane": 1, "text": "connection refused", "retry_in": 5.0}
    for retry in range(5):
        journal.event(LogEvent.DIAL_FAILED, {**failed, "retry_in": float(retry)})
    journal.event(LogEvent.DIAL_FAILED, {**failed, "text": "timed out"})
    journal.event(LogEvent.SESSION_ESTABLISHED, {"router": "edge", "lane": 1})
    journal.event(LogEvent.DIAL_FAILED, failed)
    said = [text.removeprefix("edge: ") for text in texts(journal)]
    refused = "cannot be reached: connection refused"
    assert said == [refused, "cannot be reached: timed out", "session up", refused]


def test_the_log_feeds_it_whatever_the_level(opened: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    """With what was bound, and nothing but what is to be kept."""
    journal = opened()
    log.configure("error", "json")
    log.record_to(journal.event)
    try:
        said = log.structlog.get_logger().bind(router="edge", lane=2)
        said.info(LogEvent.MODE_CHOSEN, family="ipv4", mode="addpath", reason="the router takes ADD-PATH")
        said.warning(LogEvent.MESSAGE_IGNORED, what="ROUTE-REFRESH")
    finally:
        log.record_to(None)
    assert texts(journal) == ["edge: ipv4 by addpath: the router takes ADD-PATH"]
    assert capsys.readouterr().err == ""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 kB at the place of the journal's folder."""
    folder = tmp_path / "journal"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", folder], check=False)
    if done.returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_costs_the_journal_alone_and_is_told_once(
    small_disk: Path, opened: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    """What happens meanwhile is still answered from memory, and written when there is room again."""
    log.configure("info", "json")
    journal = opened()
    (small_disk / "filler").write_bytes(bytes(128 * 1024 - 4096))
    for number in range(1, 30):
        journal.paths({Family.IPV4: [change(number, *range(1, 250, 2))]})
        journal.write()
    assert capsys.readouterr().err.count('"event": "journal_unwritten"') == 1
    assert len(texts(journal)) == 29
    (small_disk / "filler").unlink()
    up(journal, 1)
    journal.write()
    found = history(small_disk, HistoryQuery()).records
    assert [record.node for record in found] == [*(f"leviathan{number}" for number in range(1, 30)), "leviathan1"]


def test_two_that_are_given_one_folder_do_not_write_into_each_other(
    opened: Opened, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second says who has it, and works without."""
    log.configure("info", "json")
    first = opened()
    up(first, 1)
    first.write()
    second = Journal(tmp_path, 1_000_000)
    second.start()
    up(second, 2)
    second.write()
    assert "another onepeer keeps its journal in" in capsys.readouterr().err
    assert len(history(tmp_path / "journal", HistoryQuery()).records) == 1
    second.close()


def test_a_folder_that_is_taken_away_is_made_again(opened: Opened, tmp_path: Path) -> None:
    """Somebody tidies up."""
    journal = opened()
    up(journal, 1)
    journal.write()
    shutil.rmtree(tmp_path / "journal")
    up(journal, 2)
    assert texts(journal) == ["leviathan2: session up"]


def test_without_a_size_nothing_is_written(opened: Opened, tmp_path: Path) -> None:
    """And the newest records can still be looked at."""
    journal = opened(0)
    up(journal, 1)
    assert [record.node for record in journal.recent(5)] == ["leviathan1"]
    assert not (tmp_path / "journal").exists()
