"""Which nodes are taken out on purpose? Their paths are kept from the routers while another node has the prefix.

A node that is drained goes on forwarding, and its paths go in two steps. First they are made the least preferred, by
the community GRACEFUL_SHUTDOWN and what follows from it (RFC 8326; decide.py, reflection.py): seats go to other nodes,
and a router takes any other path, also one of another cluster that a neighbor of its own has kept to itself until then.
Later they are withdrawn, when nobody uses them any more. Who drains says when (peers/drains.py).

The last path of a prefix stays, the least preferred, and goes when another node announces it; `force` lets it go, too.
What is kept out stays in the table beside the rest, and is back when the drain is over.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from speaker.bgp.attributes import Attributes
from speaker.bgp.iana import GRACEFUL_SHUTDOWN, Family
from speaker.rib.decide import is_leaving
from speaker.rib.guard import Reason
from speaker.rib.source import Source
from speaker.rib.table import Change, Refused, Table


class Drain(NamedTuple):
    """How a source is drained: with its last paths if `force`; `leaving`, they are not withdrawn yet."""

    force: bool
    leaving: bool = False


class Drained:
    """The drained sources of these tables. False where there are none."""

    def __init__(self, tables: Mapping[Family, Table]) -> None:
        self._tables = tables
        self._drains: dict[Source, Drain] = {}
        self._marked: dict[Attributes, Attributes] = {}
        self._plain: dict[Attributes, Attributes] = {}

    def __bool__(self) -> bool:
        return bool(self._drains)

    def set(self, source: Source, drain: Drain | None) -> None:
        """Drained, and how; None = not any more, and its paths are back as they were."""
        if drain is not None:
            self._drains[source] = drain
        elif self._drains.pop(source, None) is not None:
            self._let_in(source, everything=True)
            for table in self._tables.values():
                self._unmark(source, table)
            if not self._drains:
                self._marked.clear()
                self._plain.clear()

    def settle(self) -> None:
        """What follows for the paths that the tables have now. To be called before a flush."""
        for source, drain in self._drains.items():
            self._let_in(source, everything=False)
            for table in self._tables.values():
                for attributes, prefixes in list(table.by_attributes(source)):
                    out = [] if drain.leaving else [p for p in prefixes if self._goes(drain, table, p)]
                    stay = prefixes if not out else list(set(prefixes).difference(out))
                    if out:
                        refused = Refused(self._plain.get(attributes, attributes), Reason.DRAINED)
                        table.refuse(source, out, refused)
                    if stay and not is_leaving(attributes):
                        table.announce(source, stay, self._mark(attributes))

    def kept(self, source: Source) -> list[tuple[Family, bytes]]:
        """The paths of a drained source that stay, since nobody else has the prefix."""
        drain = self._drains.get(source)
        if drain is None:
            return []
        return [
            (family, prefix)
            for family, table in self._tables.items()
            for prefix in table.adj_rib_in(source)
            if not self._goes(drain, table, prefix)
        ]

    def news(self, changes: Sequence[Change]) -> Sequence[Change]:
        """These without what was only made the least preferred: no node has said anything."""
        return [change for change in changes if change.attributes not in self._plain] if self._plain else changes

    def _goes(self, drain: Drain, table: Table, prefix: bytes) -> bool:
        return drain.force or self._others(table, prefix)

    def _mark(self, attributes: Attributes) -> Attributes:
        found = self._marked.get(attributes)
        if found is None:
            found = attributes.but(communities=(*attributes.communities, GRACEFUL_SHUTDOWN))
            self._marked[attributes], self._plain[found] = found, attributes
        return found

    def _unmark(self, source: Source, table: Table) -> None:
        for attributes, prefixes in list(table.by_attributes(source)):
            table.announce(source, prefixes, self._plain.get(attributes, attributes))
        for prefix, (attributes, reason) in list(table.refused(source).items()):  # marked, and refused since
            if attributes in self._plain:
                table.refuse(source, [prefix], Refused(self._plain[attributes], reason))

    def _let_in(self, source: Source, *, everything: bool) -> None:
        for table in self._tables.values():
            back: dict[Attributes, list[bytes]] = {}
            for prefix, refused in table.refused(source).items():
                needed = everything or not self._goes(self._drains[source], table, prefix)
                if refused.reason is Reason.DRAINED and needed:
                    back.setdefault(refused.attributes, []).append(prefix)
            for attributes, prefixes in back.items():
                table.announce(source, prefixes, attributes)

    def _others(self, table: Table, prefix: bytes) -> bool:
        """Whether a node that is not drained has the prefix."""
        return any(source not in self._drains for source in table.paths(prefix))
