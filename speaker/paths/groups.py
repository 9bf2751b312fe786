"""How do the sources that want one seat of a prefix rank among each other? Rendezvous scores, a group at a time.

A score depends on the prefix, the source's path identifier and its weight only: whichever sources are there, in
whatever order they came, on whichever replica, the same one has the highest. A source of weight 2 has it for twice as
many prefixes as one of weight 1.

The hash is the middle 32 bits of a product of two seeds of 32 bits each; the seeds are BLAKE2b. That is one
multiplication of long integers for a whole group: 250 scores take 4 us, one by one 23 us. (CRC-32 and a hash of a tuple
are as fast, but mix badly: over 20,000 prefixes the busiest of ten nodes had 1.6 times the mean, here 1.02.)
"""

import hashlib
import math
import struct
from collections.abc import Iterable, Iterator
from operator import attrgetter, itemgetter

from speaker.rib.decide import Cost, Paths
from speaker.rib.source import Source

#: Below every score.
NEVER = -math.inf

_SEED = 4  # octets
_LANE = 2 * _SEED  # octets from one seed to the next: a product of two seeds never runs over
_MIXED = struct.Struct("<2xI2x")  # in such a product, what a score is made of
_HIGHEST_OCTET = 5  # of that
_LARGE = 48  # sources from which on it pays to look for the highest
_points = itemgetter(0)
_BITS = 0xFFFFFFFF
_RANGE = 1 << 32


def seed(name: bytes) -> int:
    """What a prefix or a path identifier brings to a score: 32 bits, the lowest of them set, so that none is lost in a
    product."""
    return int.from_bytes(hashlib.blake2b(name, digest_size=_SEED).digest(), "big") | 1


def score(one: int, other: int, weight: int | None) -> float:
    """The score of two seeds. With a weight it may be held against those of other weights, without one (None)
    against those without."""
    mixed = one * other >> 16 & _BITS
    return mixed if weight is None else _weigh(mixed, weight)


class Group:
    """Sources that want the same seats: paths of one cost, each with a next hop of its own."""

    def __init__(self, paths: Paths, cost: Cost, seeds: dict[Source, int], *, weighted: bool) -> None:
        self.paths = paths
        self.cost = cost
        self.sources = list(paths)
        self.by_next_hop = dict(zip(map(attrgetter("next_hop"), paths.values()), paths, strict=True))
        self._weights = [source.weight for source in paths] if weighted else None
        self._seeds_of = seeds
        octets = b"".join([seeds[source].to_bytes(_LANE, "little") for source in paths])
        self._seeds = int.from_bytes(octets, "little")

    def only(self, sources: set[Source]) -> "Group":
        """Those of the group that are among these."""
        paths = {source: attributes for source, attributes in self.paths.items() if source in sources}
        return Group(paths, self.cost, self._seeds_of, weighted=self._weights is not None)

    def ranked(self, of: int) -> Iterator[tuple[float, Source]]:
        """What `score` gives for this seed and each of the sources, the highest first.

        Of a large group few are ever asked for. So only those are made numbers: they are found by their highest octet.
        """
        octets = (self._seeds * of).to_bytes(_LANE * len(self.sources), "little")
        if self._weights is not None or len(self.sources) < _LARGE:
            scores: Iterable[float] = [mixed for (mixed,) in _MIXED.iter_unpack(octets)]
            if self._weights is not None:
                scores = map(_weigh, scores, self._weights)
            yield from sorted(zip(scores, self.sources, strict=True), key=_points, reverse=True)
            return
        highest_octets = octets[_HIGHEST_OCTET::_LANE]
        for octet in range(0xFF, -1, -1):
            at = highest_octets.find(octet)
            alike: list[tuple[float, Source]] = []
            while at >= 0:
                alike.append((_MIXED.unpack_from(octets, at * _LANE)[0], self.sources[at]))
                at = highest_octets.find(octet, at + 1)
            if len(alike) > 1:
                alike.sort(key=_points, reverse=True)
            yield from alike


def _weigh(mixed: float, weight: int) -> float:
    """Weighted rendezvous: the highest of -weight / ln(u) has each source in proportion to its weight."""
    return -weight / math.log((mixed + 0.5) / _RANGE)
