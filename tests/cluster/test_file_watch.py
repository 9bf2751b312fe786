"""A change of a file is told once, when the file has settled, and none is missed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from speaker.cluster import Node, Roster
from speaker.cluster.watch import FileWatch


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("one")
    return path


def test_a_change_is_told_once_at_the_second_look_that_finds_it(path: Path) -> None:
    watch = FileWatch([path])
    assert watch.look() == ()
    path.write_text("two!")
    assert [watch.look() for _ in range(4)] == [(), (path,), (), ()]


def test_a_file_that_is_still_written_is_left_alone(path: Path) -> None:
    """An editor empties it and then writes: only the whole is worth reading."""
    watch = FileWatch([path])
    for size in (0, 1, 2, 3):
        path.write_text("x" * size + "y" * 9)
        os.utime(path, ns=(size, size))
        assert watch.look() == ()
    assert watch.look() == (path,)


def test_a_file_that_is_written_back_as_it_was_is_no_change(path: Path) -> None:
    watch = FileWatch([path])
    before = path.stat()
    path.write_text("two!")
    assert watch.look() == ()
    path.write_text("one")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [watch.look(), watch.look()] == [(), ()]


def test_a_file_that_goes_and_comes_is_told_both_times(path: Path) -> None:
    watch = FileWatch([path])
    path.unlink()
    assert [watch.look(), watch.look()] == [(), (path,)]
    path.write_text("one")
    assert [watch.look(), watch.look()] == [(), (path,)]


def test_another_file_under_the_same_name_is_a_change(path: Path) -> None:
    """Same size, same time: the inode tells."""
    watch = FileWatch([path])
    other = path.with_name("other")
    other.write_text("two")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    assert [watch.look(), watch.look()] == [(), (path,)]


def test_a_file_followed_later_is_told_once_and_a_dropped_one_no_more(path: Path) -> None:
    """Between its reading and `follow` it may have changed."""
    watch = FileWatch([path])
    later = path.with_name("later")
    later.write_text("x")
    watch.follow([later])
    path.write_text("two!")
    assert [watch.look(), watch.look(), watch.look()] == [(later,), (), ()]


def test_a_change_not_yet_settled_survives_follow(path: Path) -> None:
    watch = FileWatch([path])
    path.write_text("two!")
    assert watch.look() == ()
    watch.follow([path])
    assert watch.look() == (path,)


def test_two_nodes_cannot_share_a_name() -> None:
    """Whatever source makes a roster, its lookups are never ambiguous."""
    with pytest.raises(ValueError, match="two nodes of one name"):
        Roster((Node("a", (), 1), Node("a", (), 2)))
