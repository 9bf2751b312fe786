"""What becomes of the nodes' routes? Node events in, octets for the routers out: the whole way of the data, no I/O.

    node events -> guard -> tables -> path modes -> Adj-RIB-Out -> octets

`app.py` brings the events of the node sessions, asks `flush` once for all changes of a loop turn, and writes what
`RouterPaths.take` gives while a router reads.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from speaker.bgp import nlri
from speaker.bgp.attributes import Attributes
from speaker.bgp.events import Announced, Withdrawn
from speaker.bgp.iana import Family
from speaker.paths.base import ModeName
from speaker.paths.router import RouterPaths
from speaker.rib.drain import Drained
from speaker.rib.guard import Guard, Reason
from speaker.rib.source import Source
from speaker.rib.stale import Stale
from speaker.rib.table import Change, Refused, Table

#: Attribute sets remembered for one node session, as in bgp/routes.py.
_REMEMBERED = 1024


Told = Callable[[Mapping[Family, Sequence[Change]]], None]
"""Is told what changed in the tables, once for each flush."""


class Refusal(NamedTuple):
    """Paths that the guard kept out just now: the reason, how many, and one of them as text."""

    source: Source
    reason: Reason
    paths: int
    example: str


class Reflector:
    """The tables, the guard and the routers. `told` hears of every change of paths."""

    def __init__(self, guard: Guard, told: Told | None = None) -> None:
        self.tables = {family: Table(family) for family in Family}
        self.routers: dict[str, RouterPaths] = {}
        self.stale = Stale(self.tables)
        self.drained = Drained(self.tables)
        self._guard = guard
        self._told = told
        self._imported: dict[Source, dict[Attributes, Attributes | Reason]] = {}
        self._router_ids: dict[Source, bytes] = {}
        self._silent: set[Source] = set()

    # --- routers ---

    def add_router(
        self, name: str, lanes: int, mode: ModeName | None, max_paths: int | None, *, hold: bool = False
    ) -> RouterPaths:
        """A router is configured. See RouterPaths."""
        router = self.routers[name] = RouterPaths(self.tables, lanes, mode, max_paths, hold=hold)
        return router

    def remove_router(self, name: str) -> None:
        """A router is not configured any more."""
        del self.routers[name]

    # --- nodes ---

    def node_up(self, source: Source, router_id: bytes) -> None:
        """A node's session is established; `router_id` is its BGP identifier, 4 octets."""
        self._router_ids[source] = router_id
        self._imported[source] = {}

    def announced(self, source: Source, event: Announced) -> list[Refusal]:
        """A node has announced routes; says what of them was refused."""
        inside, outside = self._guard.admit(event.family, event.prefixes)
        refusals = self._judge(source, event.family, event.attributes, inside, outside)
        if self.stale:
            self.stale.heard(source, event.family, inside + outside)
        return refusals

    def withdrawn(self, source: Source, event: Withdrawn) -> None:
        """A node has withdrawn routes."""
        inside, outside = self._guard.admit(event.family, event.prefixes)
        if self.stale:
            self.stale.heard(source, event.family, inside + outside)
        self.tables[event.family].withdraw(source, inside + outside)

    def node_lost(self, source: Source) -> None:
        """A node's session is gone; its routes stay, stale, until they are heard again or dropped."""
        self._silent.discard(source)
        self.stale.mark(source)

    def drop_stale(self, source: Source, *, but_last: bool = False) -> int:
        """See Stale.drop."""
        return self.stale.drop(source, but_last=but_last)

    def node_down(self, source: Source) -> None:
        """A node is gone, and with it its routes."""
        self.stale.forget(source)
        self.drained.set(source, None)
        self._router_ids.pop(source, None)
        self._imported.pop(source, None)
        self._silent.discard(source)
        for table in self.tables.values():
            table.drop(source)

    def set_silent(self, source: Source, *, silent: bool) -> None:
        """The node does not answer on its link, or does again: its paths are kept out, and let in."""
        (self._silent.add if silent else self._silent.discard)(source)
        self._judge_again(source)

    def path_count(self, source: Source) -> int:
        """What a node has announced, accepted or not, of all families: what max_prefixes limits. What is stale is not
        counted: the node is only about to say it, or something else in its place."""
        count = sum(table.count(source) for table in self.tables.values())
        return count - self.stale.count(source) if self.stale else count

    # --- policy ---

    def set_guard(self, guard: Guard) -> list[Refusal]:
        """Another policy is in force: everything that the nodes have said is judged again."""
        self._guard = guard
        return [refusal for source in self._imported for refusal in self._judge_again(source)]

    def _judge_again(self, source: Source) -> list[Refusal]:
        self._imported[source].clear()
        refusals: list[Refusal] = []
        for family, table in self.tables.items():
            for attributes, prefixes in _everything(table, source):
                inside, outside = self._guard.admit(family, prefixes)
                refusals += self._judge(source, family, attributes, inside, outside)
        return refusals

    def _judge(
        self, source: Source, family: Family, attributes: Attributes, inside: list[bytes], outside: list[bytes]
    ) -> list[Refusal]:
        """Brings what the guard lets in to the tables, and what it keeps out beside them."""
        table = self.tables[family]
        verdict = self._import(source, attributes)
        refusals = []
        if outside:
            table.refuse(source, outside, Refused(attributes, Reason.PREFIX))
            refusals.append(_refusal(source, Reason.PREFIX, outside, family))
        if inside and isinstance(verdict, Reason):
            table.refuse(source, inside, Refused(attributes, verdict))
            refusals.append(_refusal(source, verdict, inside, family))
        elif inside and not isinstance(verdict, Reason):
            table.announce(source, inside, verdict)
        return refusals

    def _import(self, source: Source, attributes: Attributes) -> Attributes | Reason:
        """The attributes as the table keeps them, or why paths with them are refused."""
        if source in self._silent:
            return Reason.SILENT
        known = self._imported[source]
        found = known.get(attributes)
        if found is None:
            reason = self._guard.judge(source, attributes)
            if reason is not None:
                found = reason
            elif source.ibgp and attributes.originator_id is None:
                # RFC 4456 8: the identifier of the speaker that a reflector has the route from.
                found = attributes.but(originator_id=self._router_ids[source])
            else:
                found = attributes
            if self.stale and isinstance(found, Attributes):
                found = self.stale.same(source, found)
            if len(known) >= _REMEMBERED:
                known.clear()
            known[attributes] = found
            if isinstance(found, Attributes):
                known[found] = found
        return found

    # --- out ---

    def flush(self, *, more: bool = False) -> dict[str, Exception]:
        """Brings what has changed in the tables to the routers' Adj-RIB-Outs. See RouterPaths.apply for `more`.

        A mistake of ours with one router is no other's: it comes back under the router's name, and that router's
        sessions have to begin anew, because what they should have is not known any more.
        """
        if self.drained:
            self.drained.settle()
        changes = {family: table.take_changes() for family, table in self.tables.items()}
        failed: dict[str, Exception] = {}
        if self._told is not None and any(changes.values()):
            self._told({family: self.drained.news(some) for family, some in changes.items()})
        if any(changes.values()) or self.waits():
            for name, router in self.routers.items():
                try:
                    router.apply(changes, more=more)
                except Exception as error:
                    failed[name] = error
        return failed

    def change_count(self) -> int:
        """How many paths have changed since the last flush."""
        return sum(table.change_count() for table in self.tables.values())

    def waits(self) -> bool:
        """Whether there are changes that a router's mode has not seen, since more were to come."""
        return any(router.waits() for router in self.routers.values())

    def release(self) -> None:
        """The nodes are back, as far as they will be: see RouterPaths."""
        self.flush()
        for router in self.routers.values():
            router.release()

    def end_of_rib(self) -> None:
        """The tables are whole: say so to every router that was not told."""
        self.release()
        for router in self.routers.values():
            router.end_of_rib()


def _everything(table: Table, source: Source) -> list[tuple[Attributes, list[bytes]]]:
    """All that a source has announced, accepted or not; a list, because judging it again changes the table."""
    refused: dict[Attributes, list[bytes]] = {}
    for prefix, kept_out in table.refused(source).items():
        refused.setdefault(kept_out.attributes, []).append(prefix)
    return [*table.by_attributes(source), *refused.items()]


def _refusal(source: Source, reason: Reason, prefixes: list[bytes], family: Family) -> Refusal:
    return Refusal(source, reason, len(prefixes), nlri.text(prefixes[0], family))
