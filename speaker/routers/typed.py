"""Which neighbors does a router's configuration have? Read as people have it: EdgeOS, VyOS or FRR, whole or in part.

EdgeOS and VyOS write the same tree with braces or as `set` lines; both become paths of words here. FRR's is a section
of lines. What is around it (other sections, comments, prompts, pages of a terminal) is passed over.

UnreadableText      there is no BGP in it; the text says what to give instead
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

from speaker.routers.lines import Dialect
from speaker.routers.terminal import UnreadableText, lines_of

Address = IPv4Address | IPv6Address
Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Typed:
    """One neighbor of the router, as it is configured."""

    address: Address
    asn: int | None
    """Its AS, of its peer group where it has none of its own; None where the text does not say."""
    password: bool
    shutdown: bool
    lines: tuple[str, ...] = field(compare=False)
    """What makes it again, in the router's own words; a password is not among them."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The BGP of one router."""

    dialect: Dialect
    asn: int | None
    neighbors: tuple[Typed, ...]
    multipath: bool
    """Whether `maximum-paths` is set."""


def read(text: str) -> Configuration:
    """Raises UnreadableText, and nothing else, where no neighbor of BGP is found."""
    lines = lines_of(text)
    frr = any(_ROUTER_BGP.match(line) for line in lines)
    paths = list(_frr(lines) if frr else _tree(lines))
    asn = next((number for words in paths if (number := _own_as(words)) is not None), None)
    numbered = any(words and words[0].isdecimal() for words in paths)
    dialect = Dialect.FRR if frr else Dialect.EDGEOS if numbered else Dialect.VYOS
    said = [words[1:] if words and words[0].isdecimal() else words for words in paths]
    neighbors = _neighbors(said, dialect, asn)
    if not neighbors:
        raise UnreadableText(
            "no BGP neighbor is found in it: give the router's configuration as `show configuration commands` (EdgeOS,"
            " VyOS), config.boot or `show running-config` (FRR) has it"
        )
    return Configuration(dialect, asn, neighbors, any("maximum-paths" in words for words in said))


_ROUTER_BGP = re.compile(r"\s*router\s+bgp\s+(\d+)\s*(vrf|view)?", re.ASCII)
_WORD = re.compile(r'"[^"]*"|\'[^\']*\'|[^\s"\']+')


def _frr(lines: list[str]) -> Iterator[Words]:
    """The lines of `router bgp`, each below its AS; a VRF is another router."""
    asn: str | None = None
    family: Words = ()
    for line in lines:
        words = line.split()
        if found := _ROUTER_BGP.match(line):
            asn, family = None if found[2] else found[1], ()
            if asn is not None:
                yield (asn,)
        elif words and words[0] in ("router", "end"):
            asn = None
        elif words and words[0] in ("address-family", "exit-address-family"):
            family = ("address-family", " ".join(words[1:])) if words[0] == "address-family" else ()
        elif asn is not None and words and words[0] != "no":
            yield (asn, *words[:2], *family, *words[2:])


def _tree(lines: list[str]) -> Iterator[Words]:
    """The paths below `protocols bgp`, of braces and of `set` lines."""
    above: list[Words] = []
    for line in lines:
        words = tuple(word.strip("\"'") for word in _WORD.findall(line))
        if not words:
            continue
        if words == ("}",):
            del above[-1:]
            continue
        opens = words[-1] == "{"
        here = words[:-1] if opens else words[1:] if words[0] == "set" else words
        path = (*(word for part in above for word in part), *here)
        if opens:
            above.append(here)
        if path[:1] == ("protocols",):
            path = path[1:]
        if path[:1] == ("bgp",):
            yield path[1:]
        elif path[:1] == ("neighbor",) and above:
            yield path


def _own_as(words: Words) -> int | None:
    if words[:1] and _as(words[0]) is not None:
        return _as(words[0])
    return _as(words[1]) if words[:1] in (("system-as",), ("local-as",)) and len(words) > 1 else None


def _as(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else None


def _neighbors(said: list[Words], dialect: Dialect, asn: int | None) -> tuple[Typed, ...]:
    statements: dict[str, list[Words]] = {}
    for words in said:
        if len(words) > 1 and words[0] in ("neighbor", "peer-group"):
            statements.setdefault(words[1], []).append(words[2:])
    found = []
    for name, own in statements.items():
        address = _address(name)
        if address is None:
            continue
        groups = [words[1] for words in own if len(words) > 1 and words[0] == "peer-group"]
        inherited = [words for group in groups for words in statements.get(group, ())]
        found.append(
            Typed(
                address=address,
                asn=_remote_as([*own, *inherited], asn),
                password=any(words[:1] == ("password",) for words in (*own, *inherited)),
                shutdown=any(words[:1] == ("shutdown",) for words in (*own, *inherited)),
                lines=tuple(_again(dialect, asn, name, own)),
            )
        )
    return tuple(found)


def _remote_as(statements: list[Words], ours: int | None) -> int | None:
    for words in statements:
        if len(words) > 1 and words[0] == "remote-as":
            return ours if words[1] == "internal" else _as(words[1])
    return None


def _again(dialect: Dialect, asn: int | None, name: str, own: list[Words]) -> Iterator[str]:
    start = {
        Dialect.FRR: " neighbor",
        Dialect.EDGEOS: f"set protocols bgp {asn} neighbor",
        Dialect.VYOS: "set protocols bgp neighbor",
    }[dialect]
    for words in dict.fromkeys(own):
        if dialect is Dialect.FRR and words[:1] == ("address-family",):
            yield from (
                f" address-family {words[1]}",
                " ".join((f" {start}", name, *words[2:])),
                " exit-address-family",
            )
        elif words[:1] == ("password",):
            yield f"{start} {name} password <its password>"
        elif words or dialect is not Dialect.FRR:
            yield " ".join((start, name, *(f'"{word}"' if " " in word else word for word in words)))


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
