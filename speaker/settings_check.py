"""What is wrong with a file whose values may each be right: unknown and missing keys, and values that clash.

`problems_of` puts what pydantic found into words; `cross_check` finds what only two values together can tell,
from the values as they were read, so that one mistake does not hide another.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from speaker import settings_values as values
from speaker.settings_file import EACH, Document, Loc, Problem, dotted, find
from speaker.settings_values import Address, Prefix, refuse, show

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake at a place, before its line is known."""

    loc: Loc
    what: str
    why: str
    way_out: str

    def error(self) -> PydanticCustomError:
        """The same for a validator to raise."""
        return refuse(self.what, self.why, self.way_out, self.loc)

    def problem(self, document: Document) -> Problem:
        """The same with its file and line."""
        return document.problem(self.loc, self.what, self.why, self.way_out)


# ---- what pydantic found


def problems_of(
    error: ValidationError, model: type[BaseModel], document: Document, examples: Mapping[str, str]
) -> list[Problem]:
    """What pydantic found, in words. `examples` has a line for each key that can be missing."""
    details = error.errors(include_url=False, include_input=True)
    unknown = {detail["loc"] for detail in details if detail["type"] == "extra_forbidden"}
    meant = {(*loc[:-1], near) for loc in unknown if (near := _nearest(model, loc))}
    found = []
    for detail in details:
        loc = detail["loc"]
        if detail["type"] == "missing" and loc in meant:
            continue  # the unknown key beside it is that one, misspelt
        if detail["type"] == "too_short" and detail["input"]:
            continue  # pydantic counts only those that are right
        finding = _unknown(model, loc) if loc in unknown else _finding(detail, examples)
        found.append(finding.problem(document))
    return found


def _finding(detail: ErrorDetails, examples: Mapping[str, str]) -> Finding:
    kind, loc, value, context = detail["type"], detail["loc"], detail["input"], detail.get("ctx", {})
    if kind == "refused":
        return Finding((*loc, *context["at"]), context["what"], context["why"], context["way_out"])
    if kind == "missing":
        return Finding(loc, "is missing", "it has no default", f"add `{examples.get(str(loc[-1]), loc[-1])}`")
    if kind in _SHAPES:
        what, shape = _SHAPES[kind]
        way_out = f"write {what}"
        if kind == "tuple_type" and isinstance(value, str | int):
            way_out = f"write [{value}]"
        shown = "the file is empty" if not loc and value is None else f"{show(value)} is not {shape}"
        return Finding(loc, shown, "", way_out)
    if kind == "literal_error":
        return Finding(loc, f"{show(value)} is not known here", "", f"write one of {context['expected']}")
    if kind == "too_short":
        return Finding(loc, "is empty", "at least one is needed", "add one, or see docs/settings.md")
    if kind == "too_long":
        most = context["max_length"]
        return Finding(loc, f"{len(value)} are too many", f"the most is {most}", f"keep {most}")
    if kind in _LIMITS:
        limit = next(iter(context.values()))
        what, bound = _LIMITS[kind]
        return Finding(loc, f"{value} is {what}", f"the {bound} is {limit}", f"use {limit}")
    return Finding(loc, f"{show(value)} is refused", detail["msg"], "see docs/settings.md")


_SHAPES: Final = {
    "model_type": ("`key: value` lines", "a mapping of keys"),
    "tuple_type": ("a list: [a, b]", "a list"),
}
_LIMITS: Final = {
    "greater_than_equal": ("too small", "least"),
    "less_than_equal": ("too large", "most"),
}


def _unknown(model: type[BaseModel], loc: Loc) -> Finding:
    section = _section(model, loc[:-1])
    if loc[-1] == "password" and section is not None and "password_file" in section.model_fields:
        why = "passwords stand in files of their own, so that this one can be shown to others"
        return Finding(loc, "is not a key", why, "put it into a file and name that with password_file")
    keys = sorted(section.model_fields) if section else []
    near = _nearest(model, loc)
    way_out = f"did you mean {near}?" if near else "remove it"
    return Finding(loc, "is not a key", f"the keys here are {', '.join(keys)}", way_out)


def _nearest(model: type[BaseModel], loc: Loc) -> str | None:
    section = _section(model, loc[:-1])
    near = difflib.get_close_matches(str(loc[-1]).lower(), section.model_fields, 1) if section else []
    return near[0] if near else None


def _section(model: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    """The model of the mapping at `loc`."""
    found: type[BaseModel] | None = model
    for step in loc:
        if isinstance(step, str) and found is not None:
            found = model_in(found.model_fields[step].annotation)
    return found


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The section that values of this type are, or are a list of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := model_in(part))), None)


# ---- values that clash


def read(data: object, parse: Callable[[object], T], *pattern: str | int) -> dict[Loc, T]:
    """The values at `pattern` that are right by themselves; the wrong ones are told elsewhere."""
    found = {}
    for loc, value in find(data, pattern):
        try:
            found[loc] = parse(value)
        except ValueError:
            continue
    return found


def named_files(document: Document, folder: Path, patterns: Iterable[Loc]) -> tuple[Path, ...]:
    """The files that a file names at `patterns`, right or wrong as they may be."""
    said = (value for pattern in patterns for _, value in find(document.data, pattern))
    return tuple(dict.fromkeys(folder / value for value in said if isinstance(value, str) and value))


def twice(places: Mapping[Loc, object], why: str, way_out: str) -> Iterator[Finding]:
    """What stands at two places and may stand at one."""
    first: dict[object, Loc] = {}
    for loc, value in places.items():
        if value in first:
            yield Finding(loc, f"{value} is given twice", f"{dotted(first[value])} has it too; {why}", way_out)
        else:
            first[value] = loc


def exposed(hosts: Mapping[Loc, Address], prefixes: Mapping[Loc, Prefix], whose: str) -> Iterator[Finding]:
    """Guard prefixes that would let a node announce, and so take over, one of `hosts`."""
    for loc, prefix in prefixes.items():
        inside = [(at, host) for at, host in hosts.items() if host in prefix]
        for at, host in inside[:1]:
            why = f"{dotted(at)}, {host}, lies in it: a node could announce {whose} address"
            yield Finding(loc, f"{prefix} is too wide", why, "name only what services get their addresses from")


def no_router_id() -> Finding:
    """Of a file with IPv6 listen addresses alone."""
    why = "a BGP identifier has four octets (RFC 6286), and no listen address is IPv4"
    return Finding(("router_id",), "is missing", why, "choose one and add it, like `router_id: 192.0.2.1`")


def no_local_address(at: int, router: Address) -> Finding:
    """Of a router whose family no listen address has."""
    why = f"no listen address is IPv{router.version}, so there is none to dial it from"
    way_out = "add one to listen.addresses, or give this router a local_address"
    return Finding(("routers", at, "address"), f"{router} cannot be reached", why, way_out)


def cross_check(document: Document) -> list[Problem]:
    """What two values of the settings file together tell."""
    data = document.data
    listen = read(data, values.address, "listen", "addresses", EACH)
    routers = read(data, values.address, "routers", EACH, "address")
    local = {
        **read(data, values.address, "routers", EACH, "local_address"),
        **read(data, values.address, "routers", EACH, "local_addresses", EACH),
    }
    prefixes = read(data, values.prefix, "guard", "prefixes", EACH)
    findings = [
        *_roster_source(data),
        *twice(listen, "one listener serves an address", "remove one"),
        *twice(routers, "a call is known by the address it comes from", "keep one; for lanes, see local_addresses"),
        *_router_names(data, routers),
        *twice(prefixes, "once is enough", "remove one"),
        *_own_addresses(routers, listen, local),
        *_families(data, listen, routers, local),
        *_lanes(data, listen, local),
        *_bfd_profile(data),
        *_router_id(data, listen, routers),
        *exposed(routers, prefixes, "the router's"),
        *exposed({**listen, **local}, prefixes, "our own"),
        *_http(data, listen),
        *_replicas(data, listen, local, routers),
    ]
    return [finding.problem(document) for finding in findings]


def _roster_source(data: object) -> Iterator[Finding]:
    """Who the nodes are is said once, and with a file also what they may announce."""
    nodes = _first(dict(find(data, ("nodes",))), None)
    if not isinstance(nodes, dict):
        yield from _no_guard(data)
        return
    by_file, by_cluster = nodes.get("file") is not None, nodes.get("kubernetes") is not None
    if by_file and by_cluster:
        why = "the roster has one source, and nodes.file is another"
        yield Finding(("nodes", "kubernetes"), "stands beside file", why, "keep one of the two")
    # A key like one of the two is told as such, with what it may have been meant for.
    near = (difflib.get_close_matches(str(key), ("file", "kubernetes"), 1) for key in nodes if nodes[key])
    if not by_file and not by_cluster and not any(near):
        way_out = "add `file: nodes.yaml`, or in a cluster `kubernetes: {}`"
        yield Finding(("nodes", "file"), "is missing", "somebody must say who may peer", way_out)
    if not by_cluster:
        yield from _no_guard(data)


def _no_guard(data: object) -> Iterator[Finding]:
    """A file that does not say what nodes may announce."""
    guard = _first(dict(find(data, ("guard",))), {})
    if isinstance(guard, dict) and "prefixes" not in guard:
        why = "with a file nothing else says what nodes may announce"
        loc: Loc = ("guard", "prefixes") if list(find(data, ("guard",))) else ("guard",)
        way_out = "add `prefixes: [192.168.30.0/24]`" if len(loc) > 1 else "add `guard: {prefixes: [192.168.30.0/24]}`"
        yield Finding(loc, "is missing", why, way_out)


def _router_names(data: object, routers: Mapping[Loc, Address]) -> Iterator[Finding]:
    said = read(data, values.name, "routers", EACH, "name")
    # The same address twice has been told; here it is about a name that is another router's address.
    implied = {str(address): loc for loc, address in routers.items() if (*loc[:2], "name") not in said}
    names = {**{loc: text for text, loc in implied.items()}, **said}
    return twice(names, "logs and metrics tell routers apart by it", "name them differently")


def _own_addresses(
    routers: Mapping[Loc, Address], listen: Mapping[Loc, Address], local: Mapping[Loc, Address]
) -> Iterator[Finding]:
    ours = {address: loc for loc, address in {**listen, **local}.items()}
    for loc, address in routers.items():
        if address in ours:
            why = f"{dotted(ours[address])} has it"
            yield Finding(loc, f"{address} is our own address", why, "write the address of the router")


def _families(
    data: object, listen: Mapping[Loc, Address], routers: Mapping[Loc, Address], local: Mapping[Loc, Address]
) -> Iterator[Finding]:
    families = {address.version for address in listen.values()}
    all_known = bool(listen) and _all_right(data, listen)
    said = _by_router(data, "local_address") | _by_router(data, "local_addresses")
    for loc, address in routers.items():
        for at, ours in local.items():
            if at[:2] == loc[:2] and ours.version != address.version:
                why = f"the router's address is IPv{address.version}"
                yield Finding(at, f"{ours} is of the wrong family", why, f"write an IPv{address.version} address")
        if loc[:2] not in said and all_known and address.version not in families:
            yield no_local_address(int(loc[1]), address)


def _lanes(data: object, listen: Mapping[Loc, Address], local: Mapping[Loc, Address]) -> Iterator[Finding]:
    """What the local addresses of a router cannot be, beside each other and beside its other keys."""
    one, several = _by_router(data, "local_address"), _by_router(data, "local_addresses")
    for at in one.keys() & several.keys():
        why = "it is short for a list of one"
        yield Finding((*at, "local_address"), "stands beside local_addresses", why, "keep one of the two")
    for at in several:
        lanes = {loc: address for loc, address in local.items() if loc[:3] == (*at, "local_addresses")}
        yield from twice(lanes, "each lane is a session from an address of its own", "remove one")
    for at, mode in _by_router(data, "mode").items():
        addresses = several.get(at, [None])
        if isinstance(addresses, list) and addresses:
            yield from _mode((*at, "mode"), mode, len(addresses))
    for at, said in _by_router(data, "link_bandwidth").items():
        if said is True and _by_router(data, "mode").get(at) == "spread":
            why = "a prefix has one path there, and the weights choose whose"
            yield Finding((*at, "link_bandwidth"), "says nothing with spread", why, "remove it, or use another mode")
    for at, connect in _by_router(data, "connect").items():
        if connect == "passive" and _all_right(data, listen):
            yield from _deaf({loc: address for loc, address in local.items() if loc[:2] == at}, listen)


def _mode(loc: Loc, mode: object, lanes: int) -> Iterator[Finding]:
    if mode == "lanes" and lanes == 1:
        why = "each lane is a session from an address of its own, and this router has one"
        way_out = "add local_addresses, like [192.168.3.11, 192.168.3.12], or use spread"
        yield Finding(loc, "lanes needs more local addresses", why, way_out)
    elif mode in ("addpath", "spread") and lanes > 1:
        way_out = "keep one of them, or use lanes or auto"
        yield Finding(loc, f"{mode} is one session", f"local_addresses has {lanes}, for as many", way_out)


def _deaf(local: Mapping[Loc, Address], listen: Mapping[Loc, Address]) -> Iterator[Finding]:
    """Local addresses of a router that we do not dial, where nobody takes its calls."""
    for loc, address in local.items():
        if address not in listen.values():
            why = "connect is passive, so this router calls us there, and no listen address is it"
            yield Finding(loc, f"{address} does not listen", why, "add it to listen.addresses")


def _by_router(data: object, key: str) -> dict[Loc, object]:
    """What each router says at `key`, by the way to the router; those that say nothing are left out."""
    return {loc[:2]: value for loc, value in find(data, ("routers", EACH, key))}


def _all_right(data: object, listen: Mapping[Loc, Address]) -> bool:
    """Whether no listen address was left out of `listen` for being wrong, and might be of any family."""
    return len(listen) == len(list(find(data, ("listen", "addresses", EACH))))


def _router_id(data: object, listen: Mapping[Loc, Address], routers: Mapping[Loc, Address]) -> Iterator[Finding]:
    if list(find(data, ("router_id",))):
        for loc, identifier in read(data, values.identifier, "router_id").items():
            at = next((at for at, address in routers.items() if address == identifier), None)
            if at is not None:
                why = f"it is {dotted(at)}, and two speakers with one identifier get no session (RFC 6286)"
                yield Finding(loc, f"{identifier} is the router's", why, "remove it, or choose another")
    elif listen and all(address.version == 6 for address in listen.values()) and _all_right(data, listen):
        yield no_router_id()


def _bfd_profile(data: object) -> Iterator[Finding]:
    """Speakers that are told to have BFD with us, where we have none."""
    loc: Loc = ("nodes", "kubernetes", "bgp_peers", "bfd_profile")
    said = _first(dict(find(data, loc)), None)
    if said is not None and _first(dict(find(data, ("nodes", "bfd"))), None) is None:
        why = "nodes.bfd is not set, so Onepeer has no BFD"
        yield Finding(loc, f"{said} is for nothing", why, "add `bfd: {}` to nodes, or remove it")


def _replicas(
    data: object, listen: Mapping[Loc, Address], local: Mapping[Loc, Address], routers: Mapping[Loc, Address]
) -> Iterator[Finding]:
    """Where several replicas share the routers: each router has addresses of its own that are no host's."""
    if not isinstance(_first(dict(find(data, ("replicas",))), None), dict):
        return
    nodes = _first(dict(find(data, ("nodes",))), None)
    if isinstance(nodes, dict) and nodes.get("kubernetes") is None:
        why = "the replicas agree by a Lease of Kubernetes on who leads"
        yield Finding(("replicas",), "needs nodes.kubernetes", why, "remove it, or take the nodes from the cluster")
    for loc, address in routers.items():
        if not any(at[:2] == loc[:2] for at in local):
            why = "with replicas the router's line names an address that moves to whoever leads"
            way_out = "add `local_address`, a free address of that network"
            yield Finding(loc, f"{address} has no local_address", why, way_out)
    for loc, address in local.items():
        if address in listen.values():
            why = "it moves to whoever leads, and the hosts' own addresses do not"
            yield Finding(loc, f"{address} is this host's own", why, "write a free address of that network")
    yield from twice(local, "with replicas each router has a leader, and addresses, of its own", "use another")
    for at, connect in _by_router(data, "connect").items():
        if connect == "passive":
            why = "with replicas the one that leads dials"
            yield Finding((*at, "connect"), "passive does not go with replicas", why, "remove it")
    bgp = _first(read(data, values.whole_number, "listen", "port"), 1790)
    if _first(read(data, values.whole_number, "replicas", "port"), 1791) == bgp:
        yield Finding(("replicas", "port"), f"{bgp} is taken", "BGP listens on it", "choose another")


def _http(data: object, listen: Mapping[Loc, Address]) -> Iterator[Finding]:
    if list(find(data, ("http",))) == [(("http",), None)]:
        return
    bgp = _first(read(data, values.whole_number, "listen", "port"), 1790)
    port = _first(read(data, values.whole_number, "http", "port"), 9790)
    address = _first(read(data, values.socket_address, "http", "address"), IPv4Address("127.0.0.1"))
    if port == bgp and (address in listen.values() or address.is_unspecified):
        why = "BGP listens on it at that address"
        yield Finding(("http", "port"), f"{port} is taken", why, "choose another")


def _first(found: Mapping[Loc, T], default: T) -> T:
    return next(iter(found.values()), default)
