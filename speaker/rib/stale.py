"""Which paths are remembered and not heard? Those of a source whose session was lost, until they are heard again or
dropped.

They stay in the tables as they are, so that no router sees the loss: what RFC 4724 4.2 calls stale. Nothing here costs
anything while no source is stale.
"""

from collections.abc import Iterable, Mapping

from speaker.bgp.attributes import Attributes
from speaker.bgp.iana import Family
from speaker.rib.source import Source
from speaker.rib.table import Table


class Stale:
    """What is stale in these tables. False where nothing is."""

    def __init__(self, tables: Mapping[Family, Table]) -> None:
        self._tables = tables
        self._left: dict[Source, dict[Family, set[bytes]]] = {}

    def __bool__(self) -> bool:
        return bool(self._left)

    def __contains__(self, source: Source) -> bool:
        return source in self._left

    def count(self, source: Source) -> int:
        """Stale paths of a source, accepted and refused."""
        return sum(map(len, self._left.get(source, {}).values()))

    def has(self, source: Source, family: Family, prefix: bytes) -> bool:
        """Whether this path is stale."""
        return prefix in self._left.get(source, {}).get(family, ())

    def mark(self, source: Source) -> None:
        """The session is lost: all that the source has said is stale."""
        left = {family: {*table.adj_rib_in(source), *table.refused(source)} for family, table in self._tables.items()}
        if any(left.values()):
            self._left[source] = left

    def heard(self, source: Source, family: Family, prefixes: Iterable[bytes]) -> None:
        """The source has said something of these, whatever it is."""
        left = self._left.get(source)
        if left is not None:
            left[family].difference_update(prefixes)
            if not any(left.values()):
                del self._left[source]

    def same(self, source: Source, attributes: Attributes) -> Attributes:
        """The set that a stale path has, where it says the same as this one: then the path has not changed."""
        if source in self._left:
            for table in self._tables.values():
                for kept in dict.fromkeys(table.adj_rib_in(source).values()):
                    if kept.says(attributes):
                        return kept
        return attributes

    def drop(self, source: Source, *, but_last: bool = False) -> int:
        """What is stale of the source is withdrawn, `but_last` leaves what no other source has; how many paths went."""
        dropped = 0
        for family, prefixes in self._left.get(source, {}).items():
            table = self._tables[family]
            gone = [prefix for prefix in prefixes if not (but_last and list(table.paths(prefix)) == [source])]
            table.withdraw(source, gone)
            dropped += len(gone)
            self.heard(source, family, gone)
        return dropped

    def forget(self, source: Source) -> None:
        """The source is gone."""
        self._left.pop(source, None)
