"""Since when is something missing? Kept in `state_dir`: who is missing for 59 days is that after a restart, too.

The journal has it as well, for people, and forgets what is old. This has what is missing now, and nothing else.
"""

from collections.abc import Mapping
from pathlib import Path

import structlog

from speaker import state
from speaker.audit.watch import Key
from speaker.log import LogEvent
from speaker.net.sockets import reason

FILE = "missing.json"
VERSION = 1


class KeptSince:
    """The file: what is missing, and since when."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE
        self._kept: Mapping[Key, float] = {}
        self._trouble = ""

    def load(self) -> dict[Key, float]:
        """What was kept."""
        body = state.read(self._path)
        found: dict[Key, float] = {}
        if not isinstance(body, dict) or body.get("version") != VERSION or not isinstance(body.get("since"), list):
            return found
        for one in body["since"]:
            match one:
                case [[str(), *_] as key, float() | int() as since]:
                    found[tuple(map(str, key))] = float(since)
        self._kept = found
        return found

    def save(self, since: Mapping[Key, float]) -> None:
        """Keep these, unless they are what is kept."""
        if since == self._kept:
            return
        try:
            state.write(self._path, {"version": VERSION, "since": [[list(key), at] for key, at in since.items()]})
        except OSError as error:
            if self._trouble != reason(error):
                self._trouble = reason(error)
                structlog.get_logger().warning(LogEvent.STATE_UNSAVED, folder=str(self._path.parent), why=self._trouble)
        else:
            self._kept, self._trouble = dict(since), ""
