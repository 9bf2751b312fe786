"""Where do the lines of the journal lie? In files of a folder, the oldest of which goes when a new one begins.

    STATE_DIR/journal/00000007.jsonl    the newest, appended to
                      00000006.jsonl    ... PARTS in all

Lines are only ever appended. A crash, or a disk that fills up, may leave the last one torn: the next append begins on
a line of its own, and who reads leaves the torn one out. Nothing is synced: a host that loses its power loses seconds.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PARTS: Final = 4
"""Files in all: when the oldest goes, three quarters of the journal stay."""


class Segments:
    """The files of one folder, for the one that writes them. Every method may raise OSError."""

    def __init__(self, folder: Path, size: int) -> None:
        """`size`: octets of all files together, at most, give or take a batch of lines."""
        self._folder = folder
        self._each = size // PARTS
        self._lock: int | None = None

    def append(self, data: bytes) -> None:
        """Whole lines, to the newest file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._hold()
        paths = _paths(self._folder)
        path = paths[-1] if paths else _numbered(self._folder, 1)
        if paths and path.stat().st_size + len(data) > self._each:
            path = _numbered(self._folder, _number(path) + 1)
            for old in paths[: max(0, len(paths) - PARTS + 1)]:
                old.unlink()
        with path.open("ab+", buffering=0) as file:
            if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                data = b"\n" + data
            while data:
                data = data[file.write(data) :]

    def close(self) -> None:
        """Others may write here now."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _hold(self) -> None:
        """Two that write one file would each throw away what the other needs."""
        if self._lock is None:
            lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                raise OSError(f"another Onepeer keeps its journal in {self._folder}") from None
            except OSError:
                os.close(lock)
                raise
            self._lock = lock


def newest_first(folder: Path) -> Iterator[bytes]:
    """All lines, the last one first. A file that goes meanwhile is left out; other trouble raises OSError."""
    for path in reversed(_paths(folder)):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        yield from reversed(data.splitlines())


def _paths(folder: Path) -> list[Path]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names) if name.endswith(".jsonl") and name[:-6].isdigit()]


def _numbered(folder: Path, number: int) -> Path:
    return folder / f"{number:08}.jsonl"


def _number(path: Path) -> int:
    return int(path.stem)
