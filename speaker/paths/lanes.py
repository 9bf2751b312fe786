"""K plain sessions, from K addresses, carry K paths: ECMP on a router without ADD-PATH.

Measured with FRR: four paths over one plain session leave one next hop in the kernel, over four sessions four. Lane i
is session i; a prefix has at most one path on each, and never the same next hop on two. seats.py keeps a path on its
lane while it lives.

A lane carries one seat. Where there are fewer seats than lanes (`max_paths`, spread.py), the others are spare: one of
them takes over the seat of a lane that falls.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from speaker.paths.base import May, ModeName, NotPlaced, PathMode, Placement, may_all
from speaker.paths.seats import Move, Seats
from speaker.rib.source import Source
from speaker.rib.table import Change, Table


class Lanes(PathMode):
    """One path of each prefix on each of `seats` lanes."""

    name = ModeName.LANES
    picks = True

    full: ClassVar[NotPlaced] = NotPlaced.LANES_FULL

    def __init__(self, table: Table, seats: int, may: May = may_all) -> None:
        super().__init__(table)
        self._count = seats
        self._seats = Seats(table, seats, self.full, may)
        self._lane_of: dict[int, int] = {}
        self._spare: set[int] = set()

    def apply(self, changes: Sequence[Change]) -> Iterator[Placement]:
        return self._placements(self._seats.apply(changes))

    def adopt(self, lane: int, next_hops: Mapping[bytes, bytes]) -> None:
        seat = self._seat_for(lane)
        if seat is not None:
            self._seats.adopt(seat, next_hops)

    def carried(self) -> dict[int, dict[bytes, bytes]]:
        return {lane: self._seats.next_hops(seat) for seat, lane in self._lane_of.items()}

    def lanes_up(self, lanes: Sequence[int]) -> Iterator[Placement]:
        seats = []
        for lane in lanes:
            seat = self._seat_of(lane)
            if seat is None and lane not in self._spare and (seat := self._seat_for(lane)) is not None:
                self._lane_of[seat] = lane
            if seat is None:
                self._spare.add(lane)
            else:
                seats.append(seat)
        # All together: what each holds from before is not moved to the one that is filled first.
        if seats:
            yield from self._placements(self._seats.open(seats))

    def lane_down(self, lane: int) -> Iterator[Placement]:
        self._spare.discard(lane)
        seat = self._seat_of(lane)
        if seat is None:
            return
        if self._spare:
            self._lane_of[seat] = min(self._spare)
            self._spare.remove(self._lane_of[seat])
            yield from self._placements(self._seats.open((seat,)))
        else:
            del self._lane_of[seat]
            yield from self._placements(self._seats.close((seat,)))

    def resend(self, lane: int) -> Iterator[Placement]:
        seat = self._seat_of(lane)
        return iter(()) if seat is None else self._placements(self._seats.open((seat,)))

    def where(self, prefix: bytes) -> dict[Source, int | NotPlaced]:
        places = self._seats.where(prefix)
        return {s: p if isinstance(p, NotPlaced) else self._lane_of[p] for s, p in places.items()}

    def _seat_for(self, lane: int) -> int | None:
        """The seat that a lane will carry when it comes up, its own where that is free."""
        free = [seat for seat in range(self._count) if seat not in self._lane_of]
        return None if not free else lane if lane in free else free[0]

    def _seat_of(self, lane: int) -> int | None:
        """The seat that a lane carries."""
        return next((seat for seat, carrier in self._lane_of.items() if carrier == lane), None)

    def _placements(self, moves: Iterator[Move]) -> Iterator[Placement]:
        for prefix, seat, _, path in moves:
            yield Placement(self._lane_of[seat], b"", (prefix,), path)
