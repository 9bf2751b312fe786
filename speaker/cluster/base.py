"""Which nodes may peer now? The values that every source of the roster gives, whatever it reads them from.

A source says the whole roster each time, never a part: the first `Roster` in its stream is the complete
listing, and before it nothing is known (a source that lists in pages keeps them until the last). One that
cannot see the cluster says so with a `RosterProblem`; the last roster stays in force meanwhile (fail static),
and the next `Roster`, which may equal the last, is the end of the problem.

A source that also knows what nodes may announce says that with `Allowed`, whole as well; with one that does not,
the settings say it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import MappingProxyType
from typing import Protocol

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Node:
    """One node that may peer."""

    name: str
    """As the cluster calls it; no other node of the roster has it."""
    addresses: tuple[Address, ...]
    """One or more, of either family, this node's alone: where it dials from, its next hops."""
    asn: int
    """Its AS, 1..4294967294."""
    password: bytes | None = field(default=None, repr=False)
    """TCP MD5 key of 1..80 octets, if its sessions must have one."""
    weight: int = 1
    """Its share of the traffic beside the other nodes', 1..255."""
    cordoned: bool = False
    """The cluster keeps new pods off it, and the settings follow that: it is drained."""
    ready: bool = True
    """Whether the cluster says that it works. A node that is not may peer, but what it has announced is not held."""


@dataclass(frozen=True, slots=True)
class Roster:
    """All nodes that may peer. Rosters with the same nodes are equal, whatever their order.

    Raises ValueError where two nodes have a name or an address in common.
    """

    nodes: tuple[Node, ...] = ()
    """In the order of their names."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What the source left out of it, or put right, and why: a line each."""
    by_name: Mapping[str, Node] = field(init=False, repr=False, compare=False)
    by_address: Mapping[Address, Node] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        nodes = tuple(sorted(self.nodes, key=lambda node: node.name))
        by_address = {address: node for node in nodes for address in node.addresses}
        if len({node.name for node in nodes}) < len(nodes):
            raise ValueError("two nodes of one name")
        if len(by_address) < sum(len(node.addresses) for node in nodes):
            raise ValueError("two nodes with one address")
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "by_name", MappingProxyType({node.name: node for node in nodes}))
        object.__setattr__(self, "by_address", MappingProxyType(by_address))

    @property
    def remark(self) -> str | None:
        """What is right and yet worth a word to the user."""
        empty = () if self.nodes else ("the roster is empty: no node may peer",)
        return "; ".join((*empty, *self.notes)) or None


@dataclass(frozen=True, slots=True)
class Allowed:
    """What nodes may announce, by the cluster: these prefixes and all inside."""

    prefixes: tuple[Network, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)
    """As Roster.notes."""


@dataclass(frozen=True, slots=True)
class RosterProblem:
    """The source cannot be read, or what it says cannot be right. The last roster stays in force."""

    lines: tuple[str, ...]
    """What is wrong, one or more lines for the user, each whole in itself."""
    since: float | None = field(default=None, compare=False)
    """When the source was last seen, wall clock; None = it is found out now."""

    def __str__(self) -> str:
        return "\n".join(self.lines)


class RosterSource(Protocol):
    """Where the roster comes from."""

    def watch(self) -> AsyncIterator[Roster | Allowed | RosterProblem]:
        """The roster as soon as it is whole, then again whenever it changes; never ends, never raises."""
        ...
