"""Which sources get the few seats that a prefix has, so that all carry their share and little ever moves?

Each prefix has the same number of seats: the lanes of a router, one with `spread`, `max_paths` with a limit. Rules, in
order of weight:

1 a source holds at most one seat of a prefix, and no next hop is seated twice
2 who sits stays, while the path lives and is as good as the best (decide.py)
3 an open seat never stays empty while an eligible source waits
4 a free seat goes to the waiting source of the highest rendezvous score among those below their fair share of all
  seats, so that every replica picks alike and the load is even
5 a source that waits takes the seat of one that holds more than SLACK times its fair share; at most one seat of a
  prefix changes for it

A seat is closed while its session is down. Who sat there moves to an open seat where one is free, and else keeps it,
so that the same path comes back with the session.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from speaker.paths.base import NotPlaced
from speaker.rib.decide import Path, equal_cost, ranked
from speaker.rib.source import Source
from speaker.rib.table import Change, Paths, Table

#: How far above its fair share a source's load may be before a waiting one takes from it. Lower moves more flows when a
#: node joins, higher leaves the load uneven: 1.15 is the bound that docs/routers.md promises.
SLACK = 1.15

_MASK = (1 << 64) - 1
_MIX = 0x9E3779B97F4A7C15  # odd, so that multiplying permutes; its high bits depend on all bits below


class Move(NamedTuple):
    """Seat `seat` of `prefix` goes from `before` to `path`, either may be None."""

    prefix: bytes
    seat: int
    before: Source | None
    path: Path | None


class Seats:
    """The seats of all prefixes of one table towards one router.

    `full` is the reason given for a path that finds no seat. With `equal_cost_only` paths worse than the best
    are never seated, since the router could not use them beside it.
    """

    def __init__(self, table: Table, count: int, full: NotPlaced, *, equal_cost_only: bool = True) -> None:
        self._table = table
        self._count = count
        self._full = full
        self._equal_cost_only = equal_cost_only
        self._open: set[int] = set()
        self._seated: dict[bytes, list[Path | None]] = {}
        self._load: dict[Source, int] = {}
        self._seeds: dict[object, int] = {}
        self._share = 0.0

    # --- what happens ---

    def apply(self, changes: Sequence[Change]) -> Iterator[Move]:
        """What follows from these changes of the table."""
        touched = dict.fromkeys(prefix for change in changes for prefix in change.prefixes)
        self._settle_shares()
        for prefix in touched:
            yield from self._reseat(prefix)

    def open(self, seats: Iterable[int]) -> Iterator[Move]:
        """These seats' sessions are up, and empty: who sits there is told again."""
        opened = set(seats)
        self._open |= opened
        self._settle_shares()
        for prefix in list(self._table.prefixes):
            for seat, held in enumerate(self._seated.get(prefix, ())):
                if held is not None and seat in opened:
                    yield Move(prefix, seat, None, held)
            yield from self._reseat(prefix)

    def close(self, seat: int) -> Iterator[Move]:
        """This seat's session is down."""
        self._open.discard(seat)
        self._settle_shares()
        for prefix, seats in list(self._seated.items()):
            if seats[seat] is not None:
                yield from self._reseat(prefix)

    def close_all(self) -> None:
        """All sessions are down. Who sits keeps the seat."""
        self._open.clear()

    def where(self, prefix: bytes) -> dict[Source, int | NotPlaced]:
        """For each path of a prefix its open seat, or why it has none."""
        paths = self._table.paths(prefix)
        seats = self._seated.get(prefix, ())
        seated = {held[0]: seat for seat, held in enumerate(seats) if held is not None and seat in self._open}
        good = self._good(paths)
        eligible = self._eligible(paths, seats)

        def place(source: Source) -> int | NotPlaced:
            if source in seated:
                return seated[source]
            if source not in good:
                return NotPlaced.NOT_EQUAL_COST
            if source not in eligible:
                return NotPlaced.SAME_NEXT_HOP
            return self._full if self._open else NotPlaced.SESSION_DOWN

        return {source: place(source) for source in paths}

    def load(self) -> dict[Source, int]:
        """How many seats each source holds."""
        return dict(self._load)

    # --- one prefix ---

    def _reseat(self, prefix: bytes) -> Iterator[Move]:
        """Applies the rules to one prefix."""
        paths = self._table.paths(prefix)
        seats = self._seated.get(prefix)
        if seats is None:
            seats = self._seated[prefix] = [None] * self._count
        before = list(seats)
        eligible = self._eligible(paths, seats)
        for seat, held in enumerate(seats):
            if held is not None:
                attributes = eligible.get(held[0])
                if attributes is None:
                    self._stand(seats, seat)
                elif attributes is not held[1]:
                    seats[seat] = (held[0], attributes)
        self._fill(prefix, seats, eligible)
        if not paths:
            del self._seated[prefix]
        for seat, (old, new) in enumerate(zip(before, seats, strict=True)):
            if old != new and seat in self._open:
                yield Move(prefix, seat, old[0] if old else None, new)

    def _fill(self, prefix: bytes, seats: list[Path | None], eligible: Paths) -> None:
        seated = {held[0] for seat, held in enumerate(seats) if held is not None and seat in self._open}
        if len(seated) == len(eligible):
            return
        waiting = [source for source in eligible if source not in seated]
        for seat in sorted(self._open):
            if seats[seat] is None and waiting:
                source = self._pick(prefix, waiting)
                waiting.remove(source)
                self._leave_closed(seats, source)
                self._sit(seats, seat, (source, eligible[source]))
        if waiting:
            self._relieve(prefix, seats, waiting, eligible)

    def _relieve(self, prefix: bytes, seats: list[Path | None], waiting: list[Source], eligible: Paths) -> None:
        """Rule 5: the most loaded of those above the slack gives its seat to one below its share."""
        over = [
            (self._load[held[0]] / held[0].weight, seat)
            for seat, held in enumerate(seats)
            if held is not None and seat in self._open and self._load[held[0]] > math.ceil(SLACK * self._fair(held[0]))
        ]
        below = [s for s in waiting if self._load.get(s, 0) < math.floor(self._fair(s))]
        if over and below:
            _, seat = max(over)
            source = self._pick(prefix, below)
            self._stand(seats, seat)
            self._leave_closed(seats, source)
            self._sit(seats, seat, (source, eligible[source]))

    def _leave_closed(self, seats: list[Path | None], source: Source) -> None:
        for seat, held in enumerate(seats):
            if held is not None and held[0] is source:
                self._stand(seats, seat)

    def _sit(self, seats: list[Path | None], seat: int, path: Path) -> None:
        seats[seat] = path
        self._load[path[0]] = self._load.get(path[0], 0) + 1

    def _stand(self, seats: list[Path | None], seat: int) -> None:
        held = seats[seat]
        assert held is not None
        seats[seat] = None
        self._load[held[0]] -= 1
        if not self._load[held[0]]:
            del self._load[held[0]]

    # --- who may sit ---

    def _eligible(self, paths: Paths, seats: Sequence[Path | None]) -> Paths:
        """Good enough to be seated, one source for each next hop; who sits already goes first."""
        good = self._good(paths)
        if len({attributes.next_hop for attributes in good.values()}) == len(good):
            return good
        seated = {held[0] for held in seats if held is not None}
        chosen: dict[bytes, Source] = {}
        for source in sorted(good, key=lambda s: (s not in seated, s.address.version, int(s.address))):
            chosen.setdefault(good[source].next_hop, source)
        return {source: good[source] for source in good if chosen[good[source].next_hop] is source}

    def _good(self, paths: Paths) -> Paths:
        if self._equal_cost_only:
            return dict(equal_cost(paths))
        if len(paths) <= self._count:
            return paths
        # The better ones, and all that tie with the last of them: rule 4 chooses among equals.
        order = ranked(paths)
        best = dict(order[: self._count])
        last = dict([order[self._count - 1]])
        return {
            **best,
            **{s: a for s, a in order[self._count :] if len(equal_cost({**last, s: a})) > 1},
        }

    # --- who should sit ---

    def _settle_shares(self) -> None:
        """What one unit of weight should hold, if all prefixes were to be had from all sources."""
        sources = list(self._table.sources())
        weight = sum(source.weight for source in sources)
        seats = min(max(1, len(self._open)), len(sources))
        self._share = len(self._table.prefixes) * seats / weight if weight else 0.0

    def _fair(self, source: Source) -> float:
        return self._share * source.weight

    def _pick(self, prefix: bytes, waiting: list[Source]) -> Source:
        """Rule 4. Where all have their share already, the one with the least for its weight."""
        if len(waiting) == 1:
            return waiting[0]
        below = [s for s in waiting if self._load.get(s, 0) < math.ceil(self._fair(s))]
        if not below:
            least = min(self._load.get(s, 0) / s.weight for s in waiting)
            below = [s for s in waiting if self._load.get(s, 0) / s.weight == least]
        return max(below, key=lambda s: (self._score(prefix, s), s.path_id))

    def _score(self, prefix: bytes, source: Source) -> float:
        """Weighted rendezvous: the highest of -weight / ln(u), u the hash as a fraction."""
        mixed = (self._seed(prefix, prefix) ^ self._seed(source, source.path_id)) * _MIX & _MASK
        return -source.weight / math.log((mixed + 1) / (_MASK + 2))

    def _seed(self, key: object, name: bytes) -> int:
        seed = self._seeds.get(key)
        if seed is None:
            if len(self._seeds) > 2 * (len(self._seated) + len(self._load)) + 1024:
                self._seeds.clear()
            digest = hashlib.blake2b(name, digest_size=8).digest()
            seed = self._seeds[key] = int.from_bytes(digest, "big")
        return seed
