"""K plain sessions, from K addresses, carry K paths: ECMP on a router without ADD-PATH.

Measured with FRR: four paths over one plain session leave one next hop in the kernel, over four sessions four. Lane i
is session i; a prefix has at most one path on each, and never the same next hop on two. seats.py keeps a path on its
lane while it lives.
"""

from collections.abc import Iterator, Sequence

from speaker.paths.base import ModeName, NotPlaced, PathMode, Placement
from speaker.paths.seats import Move, Seats
from speaker.rib.source import Source
from speaker.rib.table import Change, Table


class Lanes(PathMode):
    """One seat a lane."""

    name = ModeName.LANES

    def __init__(self, table: Table, lanes: int) -> None:
        super().__init__(table)
        self._seats = Seats(table, lanes, NotPlaced.LANES_FULL)

    def apply(self, changes: Sequence[Change]) -> Iterator[Placement]:
        return self._placements(self._seats.apply(changes))

    def lane_up(self, lane: int) -> Iterator[Placement]:
        return self._placements(self._seats.open((lane,)))

    def lane_down(self, lane: int) -> Iterator[Placement]:
        return self._placements(self._seats.close(lane))

    def resend(self, lane: int) -> Iterator[Placement]:
        return self.lane_up(lane)

    def where(self, prefix: bytes) -> dict[Source, int | NotPlaced]:
        return self._seats.where(prefix)

    @staticmethod
    def _placements(moves: Iterator[Move]) -> Iterator[Placement]:
        for prefix, seat, _, path in moves:
            yield Placement(seat, b"", (prefix,), path)
