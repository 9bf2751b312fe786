"""Who has what? The Adj-RIB-In of every source, the paths of every prefix, and what changed since last asked.

One `Table` holds one family. Attribute sets are compared by identity (bgp/attributes.py).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from speaker.bgp.attributes import Attributes
from speaker.bgp.iana import Family
from speaker.rib.source import Source

Paths = dict[Source, Attributes]


class Change(NamedTuple):
    """These prefixes of `source` now have `attributes`, or are gone where that is None."""

    source: Source
    prefixes: list[bytes]
    attributes: Attributes | None


class Refused(NamedTuple):
    """A path kept out by the guard: what it came with and why it was refused."""

    attributes: Attributes
    reason: str


class Table:
    """The routes of one family."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._in: dict[Source, dict[bytes, Attributes]] = {}
        self._refused: dict[Source, dict[bytes, Refused]] = {}
        self._prefixes: dict[bytes, Paths] = {}
        self._changes: list[Change] = []

    # --- what is there ---

    @property
    def prefixes(self) -> Mapping[bytes, Paths]:
        """Every prefix with its paths, at least one each."""
        return self._prefixes

    def paths(self, prefix: bytes) -> Paths:
        """The paths of a prefix; empty where there is none. Not to be changed by the caller."""
        return self._prefixes.get(prefix, {})

    def sources(self) -> Iterator[Source]:
        """Those that have announced something that stands."""
        return iter(self._in)

    def adj_rib_in(self, source: Source) -> Mapping[bytes, Attributes]:
        """The accepted paths of a source."""
        return self._in.get(source, {})

    def by_attributes(self, source: Source) -> Iterator[tuple[Attributes, list[bytes]]]:
        """The accepted paths of a source, those with the same attributes together. Nearly every node has one set."""
        rib = self._in.get(source, {})
        sets = dict.fromkeys(rib.values())
        if len(sets) == 1:
            yield next(iter(sets)), list(rib)
            return
        groups: dict[Attributes, list[bytes]] = {attributes: [] for attributes in sets}
        for prefix, attributes in rib.items():
            groups[attributes].append(prefix)
        yield from groups.items()

    def refused(self, source: Source) -> Mapping[bytes, Refused]:
        """The refused paths of a source."""
        return self._refused.get(source, {})

    def count(self, source: Source) -> int:
        """Paths of a source, accepted and refused: what max_prefixes limits."""
        return len(self._in.get(source, ())) + len(self._refused.get(source, ()))

    def path_count(self) -> int:
        """Accepted paths in all."""
        return sum(map(len, self._in.values()))

    # --- what happens ---

    def announce(self, source: Source, prefixes: list[bytes], attributes: Attributes) -> None:
        """The source has these, accepted; they replace what it said of them before."""
        rib = self._in.get(source, {})
        if not rib.keys().isdisjoint(prefixes):
            prefixes = [prefix for prefix in prefixes if rib.get(prefix) is not attributes]
        if not prefixes:
            return
        self._in[source] = rib
        rib.update(dict.fromkeys(prefixes, attributes))
        by_prefix = self._prefixes
        for prefix in prefixes:
            paths = by_prefix.get(prefix)
            if paths is None:
                by_prefix[prefix] = {source: attributes}
            else:
                paths[source] = attributes
        self._forget_refused(source, prefixes)
        self._changes.append(Change(source, prefixes, attributes))

    def refuse(self, source: Source, prefixes: Iterable[bytes], refused: Refused) -> None:
        """The source has said these and may not; what it said of them before is gone."""
        prefixes = list(prefixes)
        self.withdraw(source, prefixes)
        self._refused.setdefault(source, {}).update(dict.fromkeys(prefixes, refused))

    def withdraw(self, source: Source, prefixes: Iterable[bytes]) -> None:
        """The source has these no more. Those it never had are left aside."""
        prefixes = list(prefixes)
        self._forget_refused(source, prefixes)
        rib = self._in.get(source)
        if rib is None:
            return
        gone = [prefix for prefix in prefixes if rib.pop(prefix, None) is not None]
        if not rib:
            del self._in[source]
        if gone:
            self._unlink(source, gone)

    def drop(self, source: Source) -> None:
        """The source is gone with all it had."""
        self._refused.pop(source, None)
        rib = self._in.pop(source, None)
        if rib:
            self._unlink(source, list(rib))

    def change_count(self) -> int:
        """How many paths `take_changes` would tell of."""
        return sum(len(change.prefixes) for change in self._changes)

    def take_changes(self) -> list[Change]:
        """What changed since last asked, in order; applying all gives the present state."""
        changes, self._changes = self._changes, []
        return changes

    def _unlink(self, source: Source, prefixes: list[bytes]) -> None:
        by_prefix = self._prefixes
        for prefix in prefixes:
            paths = by_prefix[prefix]
            del paths[source]
            if not paths:
                del by_prefix[prefix]
        self._changes.append(Change(source, prefixes, None))

    def _forget_refused(self, source: Source, prefixes: Iterable[bytes]) -> None:
        refused = self._refused.get(source)
        if refused:
            for prefix in prefixes:
                refused.pop(prefix, None)
            if not refused:
                del self._refused[source]
