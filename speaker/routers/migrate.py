"""How does a router with a neighbor line per node come to one line, without a moment without next hops?

The old lines go last, and only when the router holds the same next hops over the new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from speaker.routers.lines import Dialect, lines, removal, undo
from speaker.routers.typed import Configuration, Typed

if TYPE_CHECKING:
    from speaker.config import Router, Settings

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do on the router, in order."""

    what: str
    lines: tuple[str, ...]
    undo: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Migration:
    """All of it."""

    missing: tuple[tuple[str, str], ...]
    """Nodes that the old configuration does not have: name and address."""
    others: tuple[str, ...]
    """Neighbors that are no node; they are left alone."""
    remarks: tuple[str, ...]
    steps: tuple[Step, ...]


def migration(
    old: Configuration, settings: Settings, router: Router, nodes: Mapping[str, tuple[Address, ...]]
) -> Migration:
    """`nodes`: the roster, addresses by name."""
    names = {address: name for name, addresses in nodes.items() for address in addresses}
    ours = set(router.local_addresses)
    of_nodes = [typed for typed in old.neighbors if typed.address in names and typed.address not in ours]
    others = [typed for typed in old.neighbors if typed.address not in names and typed.address not in ours]
    there = {typed.address for typed in old.neighbors if not typed.shutdown}
    missing = [(name, str(addresses[0])) for name, addresses in nodes.items() if there.isdisjoint(addresses)]
    return Migration(
        missing=tuple(missing),
        others=tuple(str(typed.address) for typed in others),
        remarks=tuple(_remarks(old, settings, router, of_nodes, names)),
        steps=tuple(_steps(old, settings, router, of_nodes)),
    )


def _remarks(
    old: Configuration, settings: Settings, router: Router, of_nodes: list[Typed], names: Mapping[Address, str]
) -> list[str]:
    said = []
    if old.asn is not None and old.asn != router.asn:
        said.append(f"the router is AS {old.asn}, the settings say {router.asn}: correct routers[].asn first")
    said += [
        f"{names[typed.address]} ({typed.address}) is AS {typed.asn} on the router, not {settings.nodes.asn}"
        for typed in of_nodes
        if typed.asn is not None and typed.asn != settings.nodes.asn
    ]
    said += [
        f"{names[typed.address]} ({typed.address}) is shut down on the router" for typed in of_nodes if typed.shutdown
    ]
    if any(typed.password for typed in of_nodes) and router.password is None:
        said.append("the old lines have a password; the new one has none unless routers[].password_file is set")
    if not old.multipath:
        said.append("maximum-paths is not set: until now each service had one next hop, whatever the number of lines")
    if len(router.local_addresses) == 1:
        said.append(
            "one line carries all next hops where the router takes ADD-PATH (`onepeer status` says it); where not, a"
            " service is left with one: give the router several local_addresses first"
        )
    return said


def _steps(old: Configuration, settings: Settings, router: Router, of_nodes: list[Typed]) -> list[Step]:
    there = {typed.address for typed in old.neighbors}
    if there.isdisjoint(router.local_addresses):
        back = tuple(undo(old.dialect, router))
        steps = [Step("Add the line, and commit.", tuple(lines(old.dialect, settings, router)), back)]
    else:
        steps = []
    look = tuple(f"show ip bgp neighbors {us} routes" for us in router.local_addresses)
    steps.append(Step("Wait until `onepeer router verify` finds that the router holds everything over it.", look, ()))
    if of_nodes:
        addresses = [str(typed.address) for typed in of_nodes]
        asn = old.asn if old.asn is not None else router.asn
        head = (f"router bgp {asn}",) if old.dialect is Dialect.FRR else ()
        again = (*head, *(line for typed in of_nodes for line in typed.lines))
        steps.append(Step("Remove the old lines, and commit.", tuple(removal(old.dialect, asn, addresses)), again))
        steps.append(Step("Look once more, by `onepeer router verify`.", ("show ip bgp", "show ip route bgp"), ()))
    return steps
