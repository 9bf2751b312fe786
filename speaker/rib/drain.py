"""Which nodes are taken out on purpose? Their paths are kept from the routers while another node has the prefix.

A node that is drained goes on forwarding, and the routers have the other nodes' paths already: so nothing is made less
preferred first (RFC 8326), its paths just go. The last path of a prefix stays, and goes when another node announces it;
`force` lets it go, too. What is kept out stays in the table beside the rest, and is back when the drain is over.
"""

from collections.abc import Mapping

from speaker.bgp.attributes import Attributes
from speaker.bgp.iana import Family
from speaker.rib.guard import Reason
from speaker.rib.source import Source
from speaker.rib.table import Refused, Table


class Drained:
    """The drained sources of these tables. False where there are none."""

    def __init__(self, tables: Mapping[Family, Table]) -> None:
        self._tables = tables
        self._force: dict[Source, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._force)

    def set(self, source: Source, force: bool | None) -> None:
        """Drained, with or without `force`; None = not any more, and its paths are back."""
        if force is not None:
            self._force[source] = force
        elif self._force.pop(source, None) is not None:
            self._let_in(source, everything=True)

    def settle(self) -> None:
        """What follows for the paths that the tables have now. To be called before a flush."""
        for source, force in self._force.items():
            self._let_in(source, everything=False)
            for table in self._tables.values():
                out: dict[Attributes, list[bytes]] = {}
                for prefix, attributes in table.adj_rib_in(source).items():
                    if force or self._others(table, prefix):
                        out.setdefault(attributes, []).append(prefix)
                for attributes, prefixes in out.items():
                    table.refuse(source, prefixes, Refused(attributes, Reason.DRAINED))

    def kept(self, source: Source) -> list[tuple[Family, bytes]]:
        """The paths of a drained source that stay, since nobody else has the prefix."""
        return [(family, prefix) for family, table in self._tables.items() for prefix in table.adj_rib_in(source)]

    def _let_in(self, source: Source, *, everything: bool) -> None:
        for table in self._tables.values():
            back: dict[Attributes, list[bytes]] = {}
            for prefix, refused in table.refused(source).items():
                needed = everything or not (self._force[source] or self._others(table, prefix))
                if refused.reason is Reason.DRAINED and needed:
                    back.setdefault(refused.attributes, []).append(prefix)
            for attributes, prefixes in back.items():
                table.announce(source, prefixes, attributes)

    def _others(self, table: Table, prefix: bytes) -> bool:
        """Whether a node that is not drained has the prefix."""
        return any(source not in self._force for source in table.paths(prefix))
