"""Nodes, a table, one path mode, and a router that believes every placement it gets.

n1 n2 n3 n4        a node each, with a next hop of its own
n5                 a node of weight 2
n1v6               the second address of n1: the same next hop as n1
"""

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network

from speaker.bgp import nlri
from speaker.bgp.attributes import Attributes, Segment
from speaker.bgp.iana import Family, SegmentType
from speaker.paths.base import NotPlaced, PathMode
from speaker.rib.decide import Path, equal_cost
from speaker.rib.source import Source
from speaker.rib.table import Table

Lane = dict[tuple[bytes, bytes], Path]


def source(number: int, *, weight: int = 1, name: str = "", next_hop: str = "") -> Source:
    """Node `number`: 10.0.0.number, unless it has another next hop."""
    address = IPv4Address("10.0.0.0") + number
    hop = IPv4Address(next_hop) if next_hop else address
    return Source(name or f"n{number}", address, address.packed, 64512, True, frozenset((hop.packed,)), weight)


def paths_of(one: Source, *, longer: int = 0, asn: int = 65001, med: int | None = None) -> Attributes:
    """What a node announces; each AS number on the way makes it worse."""
    as_path = (Segment(SegmentType.AS_SEQUENCE, (asn,) * longer),) if longer else ()
    (next_hop,) = one.next_hops
    return Attributes(next_hop, as_path=as_path, med=med, originator_id=one.address.packed)


def host_routes(count: int) -> list[bytes]:
    """`count` prefixes: 192.168.0.0/32 and on."""
    return [nlri.from_network(IPv4Network(int(IPv4Address("192.168.0.0")) + at)) for at in range(count)]


NODES = {
    one.node: one
    for one in (
        *(source(number) for number in range(1, 5)),
        source(5, weight=2),
        source(101, name="n1v6", next_hop="10.0.0.1"),
    )
}


class World:
    """One table and one mode; `lanes` is what the router has been sent on each lane that is up."""

    def __init__(self, build: Callable[[Table], PathMode]) -> None:
        self.table = Table(Family.IPV4)
        self._build = build
        self.mode = build(self.table)
        self.lanes: dict[int, Lane] = {}
        self.placed = 0

    def announce(self, one: Source, prefixes: list[bytes], **cost: int) -> None:
        """A node has these; not flushed yet. `cost` as in `paths_of`."""
        self.table.announce(one, prefixes, paths_of(one, **cost))

    def join(self, one: Source, prefixes: list[bytes], **cost: int) -> None:
        """A node announces these."""
        self.announce(one, prefixes, **cost)
        self.flush()

    def withdraw(self, one: Source, prefixes: list[bytes]) -> None:
        """A node has these no more."""
        self.table.withdraw(one, prefixes)
        self.flush()

    def leave(self, one: Source) -> None:
        """A node is gone."""
        self.table.drop(one)
        self.flush()

    def flush(self) -> None:
        """Lets the mode see what has changed in the table."""
        changes = self.table.take_changes()
        if changes:
            self._receive(self.mode.apply(changes))

    def lane_up(self, *lanes: int) -> None:
        """The sessions of these lanes come up, and are empty."""
        for lane in lanes:
            self.lanes[lane] = {}
            self._receive(self.mode.lanes_up((lane,)))

    def hand_over(self, order: list[Source]) -> None:
        """Another process takes the sessions over: it has read the nodes in this order, and knows what each lane holds
        by prefix and next hop."""
        held = {
            lane: {prefix: path[1].next_hop for (_, prefix), path in sent.items()} for lane, sent in self.lanes.items()
        }
        before = self.table
        self.table = Table(Family.IPV4)
        for one in order:
            for attributes, prefixes in before.by_attributes(one):
                self.table.announce(one, prefixes, attributes)
        self.mode = self._build(self.table)
        self.flush()
        for lane, next_hops in held.items():
            self.mode.adopt(lane, next_hops)
        self.lanes = {lane: {} for lane in held}
        if held:
            self._receive(self.mode.lanes_up(sorted(held)))

    def lane_down(self, lane: int) -> None:
        """A session is gone."""
        del self.lanes[lane]
        self._receive(self.mode.lane_down(lane))

    def carried(self, prefix: bytes) -> dict[int, Path]:
        """What each lane carries of a prefix, for modes with one path a lane."""
        return {lane: sent[b"", prefix] for lane, sent in self.lanes.items() if (b"", prefix) in sent}

    def sent(self, prefix: bytes) -> list[Path]:
        """All paths of a prefix that the router has."""
        return [path for lane in self.lanes.values() for (_, known), path in lane.items() if known == prefix]

    def next_hops(self, prefix: bytes) -> list[bytes]:
        """The next hops of a prefix that the router has, one for each path."""
        return [attributes.next_hop for _, attributes in self.sent(prefix)]

    def eligible(self, prefix: bytes) -> dict[Source, Attributes]:
        """The paths that a router could use side by side."""
        return equal_cost(self.table.paths(prefix))

    def load(self) -> dict[Source, int]:
        """How many paths of each source the router has."""
        load: dict[Source, int] = {}
        for lane in self.lanes.values():
            for one, _ in lane.values():
                load[one] = load.get(one, 0) + 1
        return load

    def where_says(self, prefix: bytes) -> set[tuple[int, Source]]:
        """The lanes that `where` names, with what they carry."""
        places = self.mode.where(prefix)
        return {(place, one) for one, place in places.items() if not isinstance(place, NotPlaced)}

    def _receive(self, placements: Iterable) -> None:
        for lane, path_id, prefixes, path in placements:
            self.placed += 1
            assert lane in self.lanes, f"a placement on lane {lane}, which is down"
            for prefix in prefixes:
                if path is None:
                    self.lanes[lane].pop((path_id, prefix), None)
                else:
                    self.lanes[lane][path_id, prefix] = path
