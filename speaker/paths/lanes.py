"""K plain sessions, from K addresses, carry K paths: ECMP on a router without ADD-PATH.

Measured with FRR: four paths over one plain session leave one next hop in the kernel, over four sessions four. Lane i
is session i; a prefix has at most one path on each, and never the same next hop on two. seats.py keeps a path on its
lane while it lives.

A lane carries one seat. Where there are fewer seats than lanes (`max_paths`, spread.py), the others are spare: one of
them takes over the seat of a lane that falls.
"""

from collections.abc import Iterator, Sequence

from speaker.paths.base import ModeName, NotPlaced, PathMode, Placement
from speaker.paths.seats import Move, Seats
from speaker.rib.source import Source
from speaker.rib.table import Change, Table


class Lanes(PathMode):
    """One path of each prefix on each of `seats` lanes."""

    name = ModeName.LANES
    picks = True

    def __init__(self, table: Table, seats: int, full: NotPlaced = NotPlaced.LANES_FULL) -> None:
        super().__init__(table)
        self._count = seats
        self._seats = Seats(table, seats, full)
        self._lane_of: dict[int, int] = {}
        self._spare: set[int] = set()

    def apply(self, changes: Sequence[Change]) -> Iterator[Placement]:
        return self._placements(self._seats.apply(changes))

    def lane_up(self, lane: int) -> Iterator[Placement]:
        free = [seat for seat in range(self._count) if seat not in self._lane_of]
        if lane in self._lane_of.values() or lane in self._spare:
            return self.resend(lane)
        if not free:
            self._spare.add(lane)
            return iter(())
        return self._carry(lane if lane in free else free[0], lane)

    def lane_down(self, lane: int) -> Iterator[Placement]:
        self._spare.discard(lane)
        seats = [seat for seat, carrier in self._lane_of.items() if carrier == lane]
        for seat in seats:
            if self._spare:
                spare = min(self._spare)
                self._spare.remove(spare)
                yield from self._carry(seat, spare)
            else:
                del self._lane_of[seat]
                yield from self._placements(self._seats.close((seat,)))

    def resend(self, lane: int) -> Iterator[Placement]:
        return self._placements(self._seats.open([s for s, carrier in self._lane_of.items() if carrier == lane]))

    def where(self, prefix: bytes) -> dict[Source, int | NotPlaced]:
        places = self._seats.where(prefix)
        return {s: p if isinstance(p, NotPlaced) else self._lane_of[p] for s, p in places.items()}

    def _carry(self, seat: int, lane: int) -> Iterator[Placement]:
        self._lane_of[seat] = lane
        return self._placements(self._seats.open((seat,)))

    def _placements(self, moves: Iterator[Move]) -> Iterator[Placement]:
        for prefix, seat, _, path in moves:
            yield Placement(self._lane_of[seat], b"", (prefix,), path)
