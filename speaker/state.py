"""How is something kept over a restart? Small JSON files in `state_dir`, each whole or not there."""

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

#: Octets of a file that is believed. 1000 nodes are 0.5 MB, the lanes of 4000 prefixes 0.2.
MOST = 64 * 1024 * 1024


def write(path: Path, body: object) -> None:
    """Whole or not at all. Raises OSError."""
    part = path.with_suffix(".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with part.open("w") as file:
        json.dump(body, file)
        file.flush()
        # Without it a host that loses its power may keep the new name with no content (ext4, xfs).
        os.fsync(file.fileno())
    part.replace(path)


def read(path: Path) -> Any:
    """What was written, or None where nothing that can be read is there. What it holds is not certain."""
    try:
        return None if path.stat().st_size > MOST else json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def age(path: Path) -> float | None:
    """Seconds since it was written or refreshed last, by the wall clock; None where it is not there."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return None


def refresh(path: Path) -> None:
    """What it says is still so."""
    with contextlib.suppress(OSError):  # it will be written when it changes, and a failure told then
        os.utime(path)
