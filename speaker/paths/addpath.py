"""All paths over one line, each under its own path identifier (RFC 7911).

A source's identifier never changes, so its routes go out as they came in, whatever the other nodes do: a change of
one node touches nothing of another's. With `max_paths` it is the seats of seats.py that say which.

Of several lines that are up the oldest carries all, so that a line which comes back moves nothing.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence

from speaker.paths.base import May, ModeName, NotPlaced, PathMode, Placement, may_all
from speaker.paths.seats import Move, Seats
from speaker.rib.source import Source
from speaker.rib.table import Change, Table


class _OneLane(PathMode):
    """Everything on one of the lanes that are up."""

    name = ModeName.ADDPATH

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._up: list[int] = []

    def adopt(self, lane: int, next_hops: Mapping[bytes, bytes]) -> None:
        """A path is named by its identifier, whoever sends it."""

    def lanes_up(self, lanes: Sequence[int]) -> Iterator[Placement]:
        for lane in lanes:
            if lane not in self._up:
                self._up.append(lane)
            yield from self.resend(lane)

    def lane_down(self, lane: int) -> Iterator[Placement]:
        carried = self._up[:1] == [lane]
        if lane in self._up:
            self._up.remove(lane)
        return self._moved() if carried else iter(())

    def resend(self, lane: int) -> Iterator[Placement]:
        return self._whole() if self._up[:1] == [lane] else iter(())

    @abstractmethod
    def _whole(self) -> Iterator[Placement]:
        """All that the lane which carries it should."""

    def _moved(self) -> Iterator[Placement]:
        """The lane that carried all is gone."""
        return self._whole() if self._up else iter(())


class AddPath(_OneLane):
    """Every path of every prefix."""

    def apply(self, changes: Sequence[Change]) -> Iterator[Placement]:
        if not self._up:
            return
        lane = self._up[0]
        for source, prefixes, attributes in changes:
            path = None if attributes is None else (source, attributes)
            yield Placement(lane, source.path_id, prefixes, path)

    def where(self, prefix: bytes) -> dict[Source, int | NotPlaced]:
        return dict.fromkeys(self.table.paths(prefix), self._up[0] if self._up else NotPlaced.SESSION_DOWN)

    def _whole(self) -> Iterator[Placement]:
        lane = self._up[0]
        for source in self.table.sources():
            for attributes, prefixes in self.table.by_attributes(source):
                yield Placement(lane, source.path_id, prefixes, (source, attributes))


class LimitedAddPath(_OneLane):
    """At most `max_paths` paths of each prefix."""

    picks = True

    def __init__(self, table: Table, max_paths: int, may: May = may_all) -> None:
        super().__init__(table)
        self._all = range(max_paths)
        self._seats = Seats(table, max_paths, NotPlaced.MAX_PATHS, may, worse_too=True)

    def apply(self, changes: Sequence[Change]) -> Iterator[Placement]:
        return self._placements(self._seats.apply(changes))

    def where(self, prefix: bytes) -> dict[Source, int | NotPlaced]:
        return {s: p if isinstance(p, NotPlaced) else self._up[0] for s, p in self._seats.where(prefix).items()}

    def _whole(self) -> Iterator[Placement]:
        return self._placements(self._seats.open(self._all))

    def _moved(self) -> Iterator[Placement]:
        return self._whole() if self._up else self._placements(self._seats.close(self._all))

    def _placements(self, moves: Iterator[Move]) -> Iterator[Placement]:
        for prefix, _, before, path in moves:
            lane = self._up[0]
            if path is not None:
                yield Placement(lane, path[0].path_id, (prefix,), path)
            if before is not None and (path is None or before is not path[0]):
                yield Placement(lane, before.path_id, (prefix,), None)
