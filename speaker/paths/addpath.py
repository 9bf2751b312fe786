"""All paths over one line, each under its own path identifier (RFC 7911).

A source's identifier never changes, so its routes go out as they came in, whatever the other nodes do: a change of
one node touches nothing of another's. With `max_paths` it is the seats of seats.py that say which.
"""

from collections.abc import Iterator, Sequence

from speaker.bgp.attributes import Attributes
from speaker.paths.base import ModeName, NotPlaced, PathMode, Placement
from speaker.paths.seats import Move, Seats
from speaker.rib.source import Source
from speaker.rib.table import Change, Table


class AddPath(PathMode):
    """Every path of every prefix, on the first of the lanes that are up."""

    name = ModeName.ADDPATH

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._up: set[int] = set()

    def apply(self, changes: Sequence[Change]) -> Iterator[Placement]:
        if not self._up:
            return
        lane = min(self._up)
        for source, prefixes, attributes in changes:
            path = None if attributes is None else (source, attributes)
            yield Placement(lane, source.path_id, prefixes, path)

    def lane_up(self, lane: int) -> Iterator[Placement]:
        before = min(self._up, default=None)
        self._up.add(lane)
        if before is None or lane < before:
            yield from self._whole(lane)
            if before is not None:
                for source in self.table.sources():
                    yield Placement(before, source.path_id, list(self.table.adj_rib_in(source)), None)

    def lane_down(self, lane: int) -> Iterator[Placement]:
        carried = lane == min(self._up, default=None)
        self._up.discard(lane)
        if carried and self._up:
            yield from self._whole(min(self._up))

    def resend(self, lane: int) -> Iterator[Placement]:
        return self._whole(lane) if lane == min(self._up, default=None) else iter(())

    def where(self, prefix: bytes) -> dict[Source, int | NotPlaced]:
        return dict.fromkeys(self.table.paths(prefix), min(self._up, default=NotPlaced.SESSION_DOWN))

    def _whole(self, lane: int) -> Iterator[Placement]:
        for source in self.table.sources():
            by_set: dict[Attributes, list[bytes]] = {}
            for prefix, attributes in self.table.adj_rib_in(source).items():
                by_set.setdefault(attributes, []).append(prefix)
            for attributes, prefixes in by_set.items():
                yield Placement(lane, source.path_id, prefixes, (source, attributes))


class LimitedAddPath(PathMode):
    """At most `max_paths` paths of each prefix."""

    name = ModeName.ADDPATH

    def __init__(self, table: Table, max_paths: int) -> None:
        super().__init__(table)
        self._max_paths = max_paths
        self._seats = Seats(table, max_paths, NotPlaced.MAX_PATHS, equal_cost_only=False)

    def apply(self, changes: Sequence[Change]) -> Iterator[Placement]:
        return self._placements(self._seats.apply(changes))

    def lane_up(self, lane: int) -> Iterator[Placement]:
        return self._placements(self._seats.open(range(self._max_paths)))

    def lane_down(self, lane: int) -> Iterator[Placement]:
        self._seats.close_all()
        return iter(())

    def resend(self, lane: int) -> Iterator[Placement]:
        return self.lane_up(lane)

    def where(self, prefix: bytes) -> dict[Source, int | NotPlaced]:
        return {s: p if isinstance(p, NotPlaced) else 0 for s, p in self._seats.where(prefix).items()}

    @staticmethod
    def _placements(moves: Iterator[Move]) -> Iterator[Placement]:
        for prefix, _, before, path in moves:
            if path is not None:
                yield Placement(0, path[0].path_id, (prefix,), path)
            if before is not None and (path is None or before is not path[0]):
                yield Placement(0, before.path_id, (prefix,), None)
