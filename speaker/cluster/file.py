"""Which nodes may peer, by a file: nodes.yaml, written by hand or by whatever knows the nodes.

A file that cannot be used changes nothing: what is wrong with it is told, and the last roster stays in force.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from speaker import settings_values as values
from speaker.cluster.base import Node, Roster, RosterProblem
from speaker.cluster.watch import EVERY, FileWatch
from speaker.config import Section, Settings
from speaker.settings_check import Finding, named_files, problems_of, read, twice
from speaker.settings_file import EACH, Document, Loc, SettingsError, read_document
from speaker.settings_values import Address, AsNumber, HostAddress, Name, PasswordFile, Whole


class NodeEntry(Section):
    name: Name
    """As the cluster calls it: `kubectl get nodes`. Tables, logs and metrics name it so."""
    addresses: tuple[HostAddress, ...] = Field(min_length=1)
    """All its addresses, of either family: where it dials from, and the next hops it may name."""
    asn: AsNumber | None = None
    """Its AS number. That of `nodes.asn` unless said."""
    password_file: PasswordFile | None = None
    """Its TCP MD5 password, from the folder of this file. That of `nodes.password_file` unless said."""
    weight: Whole = Field(default=1, ge=1, le=255)
    """Its share of the traffic beside the other nodes': 3 gets three times what 1 gets. All alike unless said."""


class NodesFile(Section):
    nodes: tuple[NodeEntry, ...]
    """The nodes that may peer. May be empty (`[]`), but must be there: an empty file is one half written."""


EXAMPLES: Final = {
    "nodes": "nodes: [{name: leviathan1, addresses: [192.168.3.31]}]",
    "name": "name: leviathan1",
    "addresses": "addresses: [192.168.3.31]",
}
_PASSWORDS: Final = (("nodes", EACH, "password_file"),)


def read_roster(settings: Settings) -> tuple[Roster, tuple[Path, ...]]:
    """The roster of `settings.nodes.file`, and the password files that it names.

    Raises SettingsError with all that is wrong in it, by itself or beside these settings. 1000 nodes
    take 41 ms, once a change: not worth a thread. ValueError where the roster is no file.
    """
    path = settings.nodes.file
    if path is None:
        raise ValueError("these settings have no nodes.file")
    document = read_document(path)
    files = named_files(document, path.parent, _PASSWORDS)
    problems = list(document.problems)
    entries: tuple[NodeEntry, ...] = ()
    try:
        entries = NodesFile.model_validate(document.data, context={"folder": path.parent}).nodes
    except ValidationError as error:
        problems += problems_of(error, NodesFile, document, EXAMPLES)
    problems += [finding.problem(document) for finding in _clashes(document, settings)]
    if problems:
        raise SettingsError(problems, files)
    return Roster(tuple(_node(entry, settings) for entry in entries)), files


def _node(entry: NodeEntry, settings: Settings) -> Node:
    default = settings.nodes
    password = entry.password_file.octets if entry.password_file else default.password
    return Node(entry.name, entry.addresses, entry.asn or default.asn, password, entry.weight)


def _clashes(document: Document, settings: Settings) -> Iterator[Finding]:
    names = read(document.data, values.name, "nodes", EACH, "name")
    addresses = read(document.data, values.address, "nodes", EACH, "addresses", EACH)
    yield from twice(names, "logs and metrics tell nodes apart by it", "name them differently")
    yield from twice(addresses, "a node is known by the address it dials from", "keep it with one node")
    for loc, address in addresses.items():
        yield from _misplaced(loc, address, settings)
    yield from _unreachable(addresses, settings)


def _misplaced(loc: Loc, address: Address, settings: Settings) -> Iterator[Finding]:
    """Addresses that no node can have beside these settings.

    That of a listener is none of them: Onepeer may run on a node, whose own speaker then dials us from it.
    """
    router = next((router for router in settings.routers if router.address == address), None)
    if router is not None:
        way_out = "write the address of the node"
        yield Finding(loc, f"{address} is a router's", f"routers names it ({router.name})", way_out)
    elif address == settings.router_id:
        why = "a speaker's identifier is as a rule its node's address, and it must be its alone (RFC 6286)"
        way_out = "write the address of the node; where Onepeer runs on it, set router_id to another value"
        yield Finding(loc, f"{address} is our own router_id", why, way_out)
    for prefix in settings.guard.prefixes:
        if address in prefix:
            why = f"it lies in {prefix} of guard.prefixes, so another node could announce it"
            way_out = "name only what services get their addresses from in guard.prefixes"
            yield Finding(loc, f"{address} is not safe", why, way_out)


def _unreachable(addresses: dict[Loc, Address], settings: Settings) -> Iterator[Finding]:
    """Nodes none of whose families we listen on."""
    ours = {address.version for address in settings.listen.addresses}
    families: dict[Loc, set[int]] = {}
    for loc, address in addresses.items():
        families.setdefault(loc[:3], set()).add(address.version)
    for loc, theirs in families.items():
        if not theirs & ours:
            family = f"IPv{theirs.pop()}"
            why = f"no listen address is {family}, so this node cannot dial us"
            yield Finding(loc, f"has {family} alone", why, "add an address here or to listen.addresses")


class FileRoster:
    """The roster by the file of these settings. Other settings are another FileRoster."""

    def __init__(self, settings: Settings, every: float = EVERY) -> None:
        if settings.nodes.file is None:
            raise ValueError("these settings have no nodes.file")
        self._file = settings.nodes.file
        self._settings = settings
        self._every = every

    async def watch(self) -> AsyncIterator[Roster | RosterProblem]:
        """See RosterSource. A change of a password file that the roster names is a change of the roster."""
        file = self._file
        changes = FileWatch([file], self._every)
        last: Roster | RosterProblem | None = None
        while True:
            now: Roster | RosterProblem
            try:
                now, passwords = read_roster(self._settings)
            except SettingsError as error:
                now, passwords = RosterProblem(tuple(map(str, error.problems))), error.files
            if now != last:
                yield now
            last = now
            changes.follow([file, *passwords])
            await anext(changes)
