"""What the lanes carried is kept over a restart, and nothing that is in the file can do harm."""

import os
import time
from pathlib import Path

import pytest

from speaker.bgp.iana import Family
from speaker.peers.kept_lanes import EVERY, FILE, Held, KeptLanes

ONE, TWO = bytes((32, 192, 168, 30, 1)), bytes((128,)) + bytes.fromhex("fd000030" + "0" * 23 + "1")
HELD: dict[str, Held] = {
    "edge": [{Family.IPV4: {ONE: bytes((192, 168, 3, 31))}}, {Family.IPV6: {TWO: bytes(15) + b"\1"}}, {}]
}


def kept(folder: Path, held: dict[str, Held]) -> KeptLanes:
    return KeptLanes(folder, 120.0, lambda: held)


def test_what_each_lane_carried_is_there_after_a_restart(tmp_path: Path) -> None:
    """By router, lane, family and prefix."""
    kept(tmp_path / "state", HELD).save()
    assert kept(tmp_path / "state", {}).load() == HELD


def test_nothing_is_written_over_it_while_the_routers_are_away(tmp_path: Path) -> None:
    """Onepeer ends a second time before a router was back."""
    kept(tmp_path, HELD).save()
    kept(tmp_path, {}).save()
    assert kept(tmp_path, {}).load() == HELD


def test_it_is_forgotten_when_the_router_has_dropped_our_routes(tmp_path: Path) -> None:
    """After restart_time no router holds anything."""
    kept(tmp_path, HELD).save()
    long_ago = time.time() - 120 - EVERY - 1
    os.utime(tmp_path / FILE, (long_ago, long_ago))
    assert kept(tmp_path, {}).load() == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 2, "routers": {}}',
        '{"version": 1, "routers": {"edge": [{"ipv5": {}}]}}',
        '{"version": 1, "routers": {"edge": [{"ipv4": {"192.168.30.1/33": "192.168.3.31"}}]}}',
        '{"version": 1, "routers": {"edge": [{"ipv4": ["192.168.30.1/32"]}]}}',
        '{"version": 1, "routers": {"edge": 7}}',
    ],
)
def test_a_file_that_makes_no_sense_is_no_file(tmp_path: Path, text: str) -> None:
    """Torn, of another version, or not ours."""
    (tmp_path / FILE).write_text(text)
    assert kept(tmp_path, {}).load() == {}


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else suffers."""
    (tmp_path / "state").write_text("a file where the folder would be")
    held: dict[str, Held] = dict(HELD)
    one = kept(tmp_path / "state", held)
    one.save()
    held["other"] = []
    one.save()
    assert capsys.readouterr().out.count("state_unsaved") == 1
