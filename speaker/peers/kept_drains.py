"""Which nodes did a person drain? Kept in `state_dir`: a node that is taken out stays out over a restart of ours."""

from pathlib import Path

import structlog

from speaker import state
from speaker.log import LogEvent
from speaker.net.sockets import reason
from speaker.peers.orders import Said, words

FILE = "drained.json"
VERSION = 2


class KeptDrains:
    """The file: what was said of each node."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE

    def load(self) -> Said:
        """What was kept."""
        body = state.read(self._path)
        if not isinstance(body, dict) or body.get("version") != VERSION or not isinstance(body.get("nodes"), dict):
            return {}
        try:
            words(body["nodes"])
        except (TypeError, ValueError):
            return {}
        return dict(body["nodes"])

    def save(self, said: Said) -> None:
        """Keep these."""
        try:
            state.write(self._path, {"version": VERSION, "nodes": said})
        except OSError as error:
            structlog.get_logger().warning(LogEvent.STATE_UNSAVED, folder=str(self._path.parent), why=reason(error))
