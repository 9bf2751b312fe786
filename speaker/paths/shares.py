"""How much does each source hold, and how much should it?

The fair share of a source is what its weight is of all open seats of all prefixes, as if every source had every
prefix; but one seat of each prefix at most, and what is beyond that is the others'. Its limit is SLACK times that.
"""

import math
from collections import Counter
from collections.abc import Iterable

from speaker.paths.groups import score, seed
from speaker.rib.source import Source
from speaker.rib.table import Table

#: How far above its fair share a source's load may be. Lower moves more prefixes away from where their score has them,
#: higher leaves the load uneven: docs/routers.md promises 15 %.
SLACK = 1.1


class Shares:
    """The load and the limit of each source.

    load        how many open seats each source holds
    seeds       what the sources that have any path bring to a score (groups.py)
    weighted    their weights differ, and scores must tell
    above       the sources that may be above their limit
    """

    def __init__(self, table: Table) -> None:
        self.load: Counter[Source] = Counter()
        self.seeds: dict[Source, int] = {}
        self.weighted = False
        self.above: set[Source] = set()
        self._table = table
        self._weights: Counter[int] = Counter()
        self._limits: dict[int, int] = {}  # by weight
        self._seen: dict[int, int] = {}

    def count(self, sources: Iterable[Source], open_seats: int) -> None:
        """Sets the limits anew; `sources` are those that may have come or gone."""
        for source in sources:
            here = bool(self._table.adj_rib_in(source))
            if here and source not in self.seeds:
                self.seeds[source] = seed(source.path_id)
                self._weights[source.weight] += 1
            elif not here and source in self.seeds:
                del self.seeds[source]
                self._weights[source.weight] -= 1
        self._weights = +self._weights
        prefixes, members = len(self._table.prefixes), sum(self._weights.values())
        seats = prefixes * min(open_seats, members)
        weights = sum(weight * number for weight, number in self._weights.items())
        for weight, number in sorted(self._weights.items(), reverse=True):
            fair = seats * weight / weights
            if fair >= prefixes:
                fair = prefixes
                seats, weights = seats - number * prefixes, weights - number * weight
            self._limits[weight] = math.ceil(SLACK * fair - 1e-9)

    def catch_up(self) -> bool:
        """To be called after `count`, when nobody sits any more who is gone. Says whether all scores are others now."""
        if self._limits != self._seen:
            self._seen = dict(self._limits)
            self.load = +self.load
            self.above = {source for source in self.load if self.is_above(source)}
        was, self.weighted = self.weighted, len(self._weights) > 1
        return self.weighted is not was

    def score(self, of: int, source: Source) -> float:
        """The score of a source for the prefix with this seed."""
        return score(of, self.seeds[source], source.weight if self.weighted else None)

    def is_below(self, source: Source) -> bool:
        """Whether the source may take a seat."""
        return self.load[source] < self._limits[source.weight]

    def is_above(self, source: Source) -> bool:
        """Whether the source should give some."""
        return self.load[source] > self._limits[source.weight]

    def sits(self, source: Source) -> None:
        """The source has one open seat more."""
        self.load[source] += 1
        if self.is_above(source):
            self.above.add(source)

    def by_weight(self, source: Source) -> float:
        """The load of a source for each unit of its weight."""
        return self.load[source] / source.weight
