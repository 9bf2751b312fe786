"""Which nodes did a person drain? Kept in `state_dir`: a node that is taken out stays out over a restart of ours."""

from collections.abc import Mapping
from pathlib import Path

import structlog

from speaker import state
from speaker.log import LogEvent
from speaker.net.sockets import reason

FILE = "drained.json"
VERSION = 1


class KeptDrains:
    """The file: by the name of the node, whether its last paths go, too."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE

    def load(self) -> dict[str, bool]:
        """What was kept."""
        body = state.read(self._path)
        if not isinstance(body, dict) or body.get("version") != VERSION or not isinstance(body.get("nodes"), dict):
            return {}
        return {str(node): force is True for node, force in body["nodes"].items()}

    def save(self, drained: Mapping[str, bool]) -> None:
        """Keep these."""
        try:
            state.write(self._path, {"version": VERSION, "nodes": dict(drained)})
        except OSError as error:
            structlog.get_logger().warning(LogEvent.STATE_UNSAVED, folder=str(self._path.parent), why=reason(error))
