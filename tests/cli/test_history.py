"""`onepeer history`: what has happened, from the running Onepeer or from its files."""

import json
from datetime import datetime
from pathlib import Path

from speaker.journal.journal import Journal
from speaker.log import LogEvent
from tests.cli.command import ask, run
from tests.cli.test_answers import rows
from tests.config.good_settings import GOOD
from tests.serve.example import NOW, RECORDS, Example


def clock(ago: float) -> str:
    """As this machine's people write it."""
    return f"{datetime.fromtimestamp(NOW - ago):%Y-%m-%d %H:%M:%S}"


def test_it_tells_what_happened_the_newest_last() -> None:
    """With the time from which on the journal knows."""
    done = ask(Example(), "history")
    assert rows(done.out) == [
        f"The journal has what happened since {clock(4 * 86400)}.",
        "TIME WHO LANE WHAT",
        f"{clock(4 * 86400)} - - Onepeer 0.1.0 started",
        f"{clock(3600)} leviathan1 - session up",
        f"{clock(3599)} leviathan1 - announced 192.168.30.1/32",
        f"{clock(120)} spare 1 session down: hold-timer-expired",
    ]
    assert (done.status, done.err) == (0, "")


def test_of_a_node_it_ends_with_since_when_things_stand_as_they_do() -> None:
    """Its session and its paths."""
    said = rows(ask(Example(), "history", "--node", "leviathan1").out)
    assert said[-2].startswith("leviathan1: session up, ")
    assert said[-1].startswith("leviathan1: announced 192.168.30.1/32, ")
    assert said[-1].endswith(" ago and nothing since")


def test_what_is_not_in_it_is_said() -> None:
    """And that older records were left out."""
    assert "Nothing of what was asked for is in it." in ask(Example(), "history", "--node", "leviathan9").out
    assert "Older ones are left out" in ask(Example(), "history", "--last", "1").out


def test_programs_get_the_records_whole() -> None:
    """With prefixes and details."""
    view = json.loads(ask(Example(), "history", "--prefix", "192.168.30.1", "-o", "json").out)
    assert [record["announced"] for record in view["records"]] == [["192.168.30.1/32"]]
    assert view["begins"] == RECORDS[0].at


def test_a_time_that_is_none_is_told_with_the_way_out() -> None:
    """As is a prefix that is none."""
    done = run("history", "--since", "yesterday")
    assert (done.status, done.out) == (1, "")
    assert "write one like 90m, 2h, 3d, 2026-11-26" in done.err
    done = ask(Example(), "history", "--prefix", "leviathan1")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "neither an address nor a prefix" in done.err


def test_while_onepeer_is_down_the_files_are_read(tmp_path: Path) -> None:
    """No socket, only the settings: what happened is where they say."""
    (tmp_path / "onepeer.yaml").write_text(GOOD + "state_dir: state\n")
    journal = Journal(tmp_path / "state", 1_000_000)
    journal.start()
    journal.event(LogEvent.SESSION_ENDED, {"node": "leviathan3", "cause": "hold-timer-expired"})
    journal.close()
    settings = ("-c", str(tmp_path / "onepeer.yaml"))
    assert "leviathan3  session down: hold-timer-expired" in run("history", *settings).out
    assert "leviathan3" in run("history", *settings, "--since", "1h").out
    assert "leviathan3" not in run("history", *settings, "--since", "2099-01-01").out
