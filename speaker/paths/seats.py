"""Which sources get the few seats that a prefix has, so that all carry their share and little ever moves?

Each prefix has the same number of seats: the lanes of a router, one with `spread`, `max_paths` with a limit.

1 Eligible are the paths that the router may see, of the best cost (decide.py); with `worse_too` also those of the next
  costs, until there are as many as seats. Of one next hop one path is eligible, before others that which sits.
2 Who sits stays while its path is eligible. Only a better cost unseats it, or rule 6.
3 An open seat is empty only where no eligible path waits.
4 A free seat goes to a path with the next hop that left it, so that no flow moves. Else to the better cost, then to
  the highest rendezvous score (groups.py) among the sources below their limit (shares.py). So every replica picks
  alike, and so does one that restarts.
5 Where all that wait have reached their limit, it goes to the one with the least for its weight.
6 A source that comes, and is below its limit, takes one seat of a prefix: that of a source above its own limit, or
  else the one with the lowest score where its own is higher. So a node that joins moves its share and no more.

A seat is closed while its session is down. Who sat there goes to an open seat where one is free, and else keeps it,
so that the same path comes back with the session.

The choice should cost little beside reading the paths, which takes 0.6 us each (tests/bench has the shares). So
nothing is computed for a path that changes nothing: a row keeps the cost and the lowest score that sit, and what
comes is held against both (`_contenders`); what goes matters only where it sat. Prefixes with the same paths share a
group. Where many sources come at once, a prefix is looked at once for all of them (`_seat_crowd`): measured, 247
nodes that follow 3 on four lanes take 15 ms so, and 100 one by one.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from speaker.bgp.attributes import Attributes
from speaker.paths.base import May, NotPlaced, may_all
from speaker.paths.groups import NEVER, Group, score, seed
from speaker.paths.shares import Shares
from speaker.rib.decide import Cost, Path, Paths, cost_classes, equal_cost, neighbor_as
from speaker.rib.decide import cost as path_cost
from speaker.rib.source import Source
from speaker.rib.table import Change, Table

#: Attribute sets whose cost is remembered. A node has a handful; past it all are computed anew.
REMEMBERED = 1 << 14


#: The cost of what the router may not see: above all others.
UNSEEN: Cost = (True, 1 << 32, 0, 0, True)


class Move(NamedTuple):
    """Seat `seat` of `prefix` goes from `before` to `path`, either may be None."""

    prefix: bytes
    seat: int
    before: Source | None
    path: Path | None


class _Row:
    """The seats of one prefix.

    seats       who sits, or None; closed seats too
    points      the scores of those who sit
    seed        the prefix in a rendezvous score
    contested   the open seats of the worst cost that sits, which rule 6 may take; empty while an open seat is
    cost        that cost, None while nothing is contested
    floor       the lowest score that sits in a contested seat
    weakest     that seat
    """

    __slots__ = ("contested", "cost", "floor", "points", "seats", "seed", "weakest")

    def __init__(self, prefix: bytes, count: int) -> None:
        self.seats: list[Path | None] = [None] * count
        self.points = [NEVER] * count
        self.seed = seed(prefix)
        self.contested: list[int] = []
        self.cost: Cost | None = None
        self.floor = NEVER
        self.weakest = 0

    def find_weakest(self) -> None:
        """Sets `floor` and `weakest`, which follow from the contested seats."""
        self.floor, self.weakest = min([(self.points[seat], seat) for seat in self.contested])


class Seats:
    """The seats of all prefixes of one table towards one router.

    crowd   so many sources that come at once are seated prefix by prefix, for that is cheaper then

    `full` is the reason given for a path that finds no seat; `may` tells what the router may see. Without `worse_too`
    paths worse than the best are never seated, since the router could not use them beside it.
    """

    crowd = 16

    def __init__(
        self, table: Table, count: int, full: NotPlaced, may: May = may_all, *, worse_too: bool = False
    ) -> None:
        self._table = table
        self._count = count
        self._full = full
        self._may = may
        self._worse_too = worse_too
        self._open: list[int] = []
        self._rows: dict[bytes, _Row] = {}
        self._held: dict[Source, set[bytes]] = {}  # where each source sits, also in closed seats
        self._shares = Shares(table)
        self._costs: dict[Attributes, Cost] = {}
        self._same_costs: dict[Cost, Cost] = {}
        self._unseen = False  # some path was met that the router may not see
        self._neighbors: set[int | None] = set()
        self._any_med = False
        self._mixed_med = False  # then what a path is worth may depend on third ones: no short cuts
        self._last: tuple[list[Source], list[Attributes], list[Group]] | None = None

    # --- what happens ---

    def apply(self, changes: Sequence[Change]) -> Iterator[Move]:
        """What follows from these changes of the table, which are all since last asked."""
        touched = {change.source for change in changes}
        crowd = touched.difference(self._shares.seeds) if self._open else set()
        if len(crowd) < self.crowd:
            crowd = set()
        self._shares.count(touched, len(self._open))
        for source, prefixes, attributes in changes:
            if attributes is None or not self._open:
                held = self._held.get(source, ())
                for prefix in [p for p in prefixes if p in held or self._mixed_med]:
                    yield from self._settle(prefix)
        # From here on nobody sits who is gone.
        self._catch_up()
        if crowd:
            yield from self._seat_crowd(crowd)
        new: set[bytes] = set()  # prefixes first met here: settled with all that the table has by now
        for source, prefixes, attributes in changes:
            if attributes is None or not self._open or source in crowd or source not in self._shares.seeds:
                continue
            if new.issuperset(prefixes):
                continue
            if self._shares.above:
                yield from self._relieve(source, prefixes)
            for prefix in self._contenders(source, prefixes, attributes):
                if prefix in self._rows:
                    if prefix not in new:
                        yield from self._arrive(prefix, source, self._rows[prefix])
                elif prefix not in new:
                    new.add(prefix)
                    yield from self._settle(prefix)

    def open(self, seats: Iterable[int]) -> Iterator[Move]:
        """These seats' sessions are up, and empty: who sits there is told again."""
        told = list(seats)
        for seat in set(told).difference(self._open):
            self._shares.load.update(path[0] for row in self._rows.values() if (path := row.seats[seat]) is not None)
        self._open = sorted({*self._open, *told})
        self._shares.count(self._table.sources(), len(self._open))
        self._catch_up()
        for prefix in list(self._table.prefixes):
            row = self._rows.get(prefix)
            for seat in told if row else ():
                path = row.seats[seat] if row else None
                if path is not None:
                    yield Move(prefix, seat, None, path)
            yield from self._settle(prefix)

    def adopt(self, seat: int, next_hops: Mapping[bytes, bytes]) -> None:
        """A closed seat is held by these next hops at the router, by prefix: who still announces one sits there.

        So little moves where another process, or another replica, has chosen before.
        """
        assert seat not in self._open
        self._shares.count(self._table.sources(), len(self._open))
        for prefix, next_hop in next_hops.items():
            paths = self._table.paths(prefix)
            found = next((path for path in paths.items() if path[1].next_hop == next_hop), None)
            if found is None or prefix in self._held.get(found[0], ()):
                continue
            row = self._rows.get(prefix)
            if row is None:
                row = self._rows[prefix] = _Row(prefix, self._count)
            if row.seats[seat] is None:
                row.seats[seat] = found
                row.points[seat] = self._shares.score(row.seed, found[0])
                self._held.setdefault(found[0], set()).add(prefix)

    def close(self, seats: Iterable[int]) -> Iterator[Move]:
        """These seats' sessions are down."""
        gone = set(seats).intersection(self._open)
        self._open = [seat for seat in self._open if seat not in gone]
        left = [(prefix, path[0]) for prefix, row in self._rows.items() for s in gone if (path := row.seats[s])]
        self._shares.load.subtract(source for _, source in left)
        self._shares.count(self._table.sources(), len(self._open))
        self._catch_up()
        for prefix in dict(left):
            yield from self._settle(prefix)

    def where(self, prefix: bytes) -> dict[Source, int | NotPlaced]:
        """For each path of a prefix its open seat, or why it has none."""
        paths = self._table.paths(prefix)
        self._shares.count(paths, len(self._open))
        row = self._rows.get(prefix) or _Row(prefix, self._count)
        groups = self._eligible(row, paths)
        seen = {source: attributes for source, attributes in paths.items() if self._may(attributes)}
        usable = seen if self._worse_too else equal_cost(seen)
        next_hops = {next_hop for group in groups for next_hop in group.by_next_hop}
        seated = self._seated(row)

        def place(source: Source, attributes: Attributes) -> int | NotPlaced:
            if source in seated:
                return seated[source]
            if source not in usable:
                return NotPlaced.NOT_EQUAL_COST
            if attributes.next_hop in next_hops and not any(source in group.paths for group in groups):
                return NotPlaced.SAME_NEXT_HOP
            return self._full if self._open else NotPlaced.SESSION_DOWN

        return {source: place(source, attributes) for source, attributes in paths.items()}

    def next_hops(self, seat: int) -> dict[bytes, bytes]:
        """Who sits in a seat, by prefix; what `adopt` takes."""
        return {prefix: path[1].next_hop for prefix, row in self._rows.items() if (path := row.seats[seat]) is not None}

    def load(self) -> dict[Source, int]:
        """How many open seats each source holds."""
        return dict(+self._shares.load)

    # --- a path comes ---

    def _contenders(self, source: Source, prefixes: list[bytes], attributes: Attributes) -> list[bytes]:
        """The prefixes in which a path with these attributes may change anything."""
        own, cost = self._shares.seeds[source], self._cost(source, attributes)
        if self._mixed_med:
            return prefixes
        rows, held = self._rows, self._held.get(source, ())
        if self._shares.weighted:
            return [
                prefix
                for prefix in prefixes
                if (row := rows.get(prefix)) is None
                or row.cost is not cost
                or score(row.seed, own, source.weight) > row.floor
                or prefix in held
            ]
        # The same for equal weights, with `score` written out: this is the innermost loop.
        return [
            prefix
            for prefix in prefixes
            if (row := rows.get(prefix)) is None
            or row.cost is not cost
            or (row.seed * own >> 16 & 0xFFFFFFFF) > row.floor
            or prefix in held
        ]

    def _arrive(self, prefix: bytes, source: Source, row: _Row) -> Iterator[Move]:
        """A path is there, new or with other attributes."""
        attributes = self._table.paths(prefix).get(source)
        if attributes is None:
            return  # gone again
        cost, sits = self._cost(source, attributes), prefix in self._held.get(source, ())
        if row.cost is None or sits or cost < row.cost or self._mixed_med:
            groups = yield from self._settle(prefix)
            sits = prefix in self._held.get(source, ())
            if not groups or source not in groups[-1].paths:
                return
        elif cost > row.cost:
            return
        points = self._shares.score(row.seed, source)
        if row.contested and points > row.floor and not sits and self._shares.is_below(source):
            yield from self._take(prefix, row, row.weakest, (source, attributes), points)

    def _seat_crowd(self, crowd: set[Source]) -> Iterator[Move]:
        """Many sources come at once: a look at each prefix is less than one at each path of each of them."""
        group, coming = None, None
        for prefix, paths in list(self._table.prefixes.items()):
            if crowd.isdisjoint(paths):
                continue
            row = self._rows.get(prefix)
            if row is None:
                yield from self._settle(prefix)
                continue
            groups = self._eligible(row, paths) if len(row.contested) == len(self._open) else []
            if len(groups) != 1 or self._mixed_med or row.cost is not groups[0].cost:
                groups = yield from self._settle(prefix)
            if row.contested:
                if coming is None or groups[-1] is not group:
                    group = groups[-1]
                    coming = group.only(crowd)
                yield from self._arrive_together(prefix, row, coming)

    def _arrive_together(self, prefix: bytes, row: _Row, coming: Group) -> Iterator[Move]:
        """Rule 6 for all that come to a prefix."""
        shares = self._shares
        for points, source in coming.ranked(row.seed):
            seat = row.weakest
            if shares.above:
                too_many = [s for s in row.contested if (held := row.seats[s]) and shares.is_above(held[0])]
                seat = min(too_many, key=row.points.__getitem__, default=seat)
            before = row.seats[seat]
            assert before is not None
            if points <= row.floor and not shares.is_above(before[0]):
                return
            if shares.is_below(source) and prefix not in self._held.get(source, ()):
                yield from self._take(prefix, row, seat, (source, coming.paths[source]), points)
                if not shares.is_above(before[0]):
                    shares.above.discard(before[0])

    def _relieve(self, source: Source, prefixes: list[bytes]) -> Iterator[Move]:
        """Rule 6, those above their limit: they give first where the one that comes has the higher score, or almost."""
        shares = self._shares
        for other in sorted(shares.above, key=lambda s: (shares.by_weight(s), s.path_id), reverse=True):
            held = self._held.get(other, set()).intersection(prefixes) - self._held.get(source, set())
            offers = []
            for prefix in held if shares.is_below(source) else ():
                row = self._rows[prefix]
                for seat in row.contested:
                    path = row.seats[seat]
                    if path is not None and path[0] is other:
                        points = shares.score(row.seed, source)
                        offers.append((points - row.points[seat], points, prefix, seat))
            for _, points, prefix, seat in sorted(offers, reverse=True):
                if not shares.is_above(other) or not shares.is_below(source):
                    break
                row, attributes = self._rows[prefix], self._table.paths(prefix).get(source)
                same = attributes is not None and row.cost == self._cost(source, attributes)
                if attributes is not None and same and not self._mixed_med:
                    yield from self._take(prefix, row, seat, (source, attributes), points)
            if not shares.is_above(other):
                shares.above.discard(other)

    def _take(self, prefix: bytes, row: _Row, seat: int, path: Path, points: float) -> Iterator[Move]:
        """One source takes the seat of another, unless its next hop sits already."""
        before = row.seats[seat]
        if before is not None and all(held is None or held[1].next_hop != path[1].next_hop for held in row.seats):
            self._stand(prefix, row, seat)
            self._sit(prefix, row, seat, path, points)
            row.find_weakest()
            yield Move(prefix, seat, before[0], path)

    def _catch_up(self) -> None:
        """The limits are others now, and perhaps all scores."""
        if self._shares.catch_up():
            self._last = None
            for row in self._rows.values():
                row.points = [self._shares.score(row.seed, held[0]) if held else NEVER for held in row.seats]
                if row.contested:
                    row.find_weakest()

    # --- one prefix ---

    def _settle(self, prefix: bytes) -> Generator[Move, None, list[Group]]:
        """Applies rules 1 to 5 to one prefix; gives what `_eligible` gave."""
        paths = self._table.paths(prefix)
        row = self._rows.get(prefix)
        fresh = row is None
        if row is None:
            row = self._rows[prefix] = _Row(prefix, self._count)
        groups = self._eligible(row, paths)
        if fresh and len(groups) == 1 and (chosen := self._first(row, groups[0])):
            yield from self._seat_first(prefix, row, groups[0], chosen)
            return groups
        before = list(row.seats)
        if any(before):
            self._keep(prefix, row, groups)
        # Those that were left just now go first, so that the router has one path replaced by another.
        free = [seat for seat in self._open if row.seats[seat] is None]
        free.sort(key=lambda seat: before[seat] is None)
        for at, group in enumerate(groups):
            self._fill(prefix, row, group, free, groups[-1] if at < len(groups) - 1 else None)
        row.contested, row.cost = [], None
        sitting = [(seat, held[0]) for seat in self._open if (held := row.seats[seat]) is not None]
        if groups and len(sitting) == len(self._open):
            row.contested = [seat for seat, source in sitting if source in groups[-1].paths]
            if row.contested:
                row.cost = groups[-1].cost
                row.find_weakest()
        if not paths:
            del self._rows[prefix]
        for seat in self._open:
            old, new = before[seat], row.seats[seat]
            if old != new:
                yield Move(prefix, seat, old[0] if old else None, new)
        return groups

    def _first(self, row: _Row, group: Group) -> list[tuple[float, Source]]:
        """Who sits, the highest score first, where a prefix is met for the first time and rule 5 has no part: the most
        of a cold start. Else nothing."""
        chosen: list[tuple[float, Source]] = []
        seats, is_below = len(self._open), self._shares.is_below
        if seats and len(group.sources) >= seats:
            for scored in group.ranked(row.seed):
                if is_below(scored[1]):
                    chosen.append(scored)
                    if len(chosen) == seats:
                        return chosen
        return []

    def _seat_first(self, prefix: bytes, row: _Row, group: Group, chosen: list[tuple[float, Source]]) -> list[Move]:
        """Seats them in the open seats, all of which are free."""
        held, load, moves = self._held, self._shares.load, []
        for seat, (points, source) in zip(self._open, chosen, strict=True):
            path = row.seats[seat] = source, group.paths[source]
            row.points[seat] = points
            load[source] += 1
            if source in held:
                held[source].add(prefix)
            else:
                held[source] = {prefix}
            moves.append(Move(prefix, seat, None, path))
        row.contested, row.cost = list(self._open), group.cost
        row.floor, row.weakest = chosen[-1][0], self._open[-1]
        return moves

    def _keep(self, prefix: bytes, row: _Row, groups: list[Group]) -> None:
        """Rule 2, and rule 4 as far as it follows the next hop."""
        left: list[tuple[int, bytes]] = []
        for seat, held in enumerate(row.seats):
            if held is not None:
                source, attributes = held
                now = next((group.paths[source] for group in groups if source in group.paths), None)
                if now is None:
                    self._stand(prefix, row, seat)
                    left.append((seat, attributes.next_hop))
                elif now is not attributes:
                    row.seats[seat] = (source, now)
        for seat, next_hop in left:
            for group in groups if seat in self._open else ():
                heir = group.by_next_hop.get(next_hop)
                if heir is not None and heir not in self._seated(row):
                    self._sit(prefix, row, seat, (heir, group.paths[heir]), self._shares.score(row.seed, heir))

    def _fill(self, prefix: bytes, row: _Row, group: Group, free: list[int], worse: Group | None) -> None:
        """Rules 3 to 5. The paths of a group unseat those of a `worse` one where they need to."""
        seated = self._seated(row)
        waiting = len(group.sources) - len([source for source in seated if source in group.paths])
        if worse is not None and waiting > len(free):
            yielding = [(row.points[seat], seat) for source, seat in seated.items() if source in worse.paths]
            for _, seat in sorted(yielding)[: waiting - len(free)]:
                self._stand(prefix, row, seat)
                free.append(seat)
        if not waiting or not free:
            return
        at_limit: list[tuple[Source, float]] = []
        for points, source in group.ranked(row.seed):
            if source in seated:
                continue
            if self._shares.is_below(source):
                self._sit(prefix, row, free.pop(0), (source, group.paths[source]), points)
                if not free:
                    return
            else:
                at_limit.append((source, points))
        at_limit.sort(key=lambda waits: self._shares.by_weight(waits[0]))
        for source, points in at_limit[: len(free)]:
            self._sit(prefix, row, free.pop(0), (source, group.paths[source]), points)

    def _seated(self, row: _Row) -> dict[Source, int]:
        return {held[0]: seat for seat in self._open if (held := row.seats[seat]) is not None}

    def _sit(self, prefix: bytes, row: _Row, seat: int, path: Path, points: float) -> None:
        source = path[0]
        held = self._held.setdefault(source, set())
        if prefix in held:  # in a closed seat
            row.seats[[other[0] if other else None for other in row.seats].index(source)] = None
        held.add(prefix)
        row.seats[seat] = path
        row.points[seat] = points
        self._shares.sits(source)

    def _stand(self, prefix: bytes, row: _Row, seat: int) -> None:
        held = row.seats[seat]
        assert held is not None
        row.seats[seat] = None
        self._held[held[0]].discard(prefix)
        if not self._held[held[0]]:
            del self._held[held[0]]
        if seat in self._open:
            self._shares.load[held[0]] -= 1

    # --- who may sit ---

    def _eligible(self, row: _Row, paths: Paths) -> list[Group]:
        """Rule 1: the eligible paths, best cost first."""
        sources, sets = list(paths), list(paths.values())
        if self._last is not None and self._last[0] == sources and self._last[1] == sets:
            return self._last[2]
        if not paths:
            return []
        costs = [self._costs.get(attributes) or self._cost(source, attributes) for source, attributes in paths.items()]
        if self._unseen and UNSEEN in costs:
            paths = {source: attributes for source, attributes in paths.items() if self._may(attributes)}
            costs = [cost for cost in costs if cost is not UNSEEN]
            if not paths:
                return []
        alike = costs.count(costs[0]) == len(costs)
        groups = []
        enough = self._count if self._worse_too else 1
        next_hops: set[bytes] = set()
        for equal in (paths,) if alike else cost_classes(paths):
            chosen = _one_each(row, equal, next_hops)
            if chosen:
                cost = self._cost(*next(iter(chosen.items())))
                groups.append(Group(chosen, cost, self._shares.seeds, weighted=self._shares.weighted))
                next_hops.update(groups[-1].by_next_hop)
            if len(next_hops) >= enough:
                break
        if len({attributes.next_hop for attributes in sets}) == len(sets):
            self._last = sources, sets, groups
        return groups

    def _cost(self, source: Source, attributes: Attributes) -> Cost:
        """The cost of a path, one object for each value."""
        known = self._costs.get(attributes)
        if known is None:
            if len(self._costs) >= REMEMBERED:
                self._costs.clear()
                self._same_costs.clear()
            known = path_cost(source, attributes)
            if not self._may(attributes):
                known, self._unseen = UNSEEN, True
            known = self._costs[attributes] = self._same_costs.setdefault(known, known)
            self._neighbors.add(neighbor_as((source, attributes)))
            self._any_med = self._any_med or bool(attributes.med)
            self._mixed_med = self._any_med and len(self._neighbors) > 1
        return known


def _one_each(row: _Row, paths: Paths, taken: set[bytes]) -> Paths:
    """One path for each next hop that is not taken. Who sits with it goes first, in an open seat or not."""
    if not taken and len({attributes.next_hop for attributes in paths.values()}) == len(paths):
        return dict(paths)
    sits = {held[0]: held[1].next_hop for held in row.seats if held is not None}
    chosen: dict[bytes, Source] = {}
    order = sorted(paths, key=lambda s: (sits.get(s) != paths[s].next_hop, s.address.version, int(s.address)))
    for source in order:
        chosen.setdefault(paths[source].next_hop, source)
    return {s: a for s, a in paths.items() if chosen[a.next_hop] is s and a.next_hop not in taken}
