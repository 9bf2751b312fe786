"""Which next hops does a router hold? Read of what it shows: FRR's and ZebOS' tables (EdgeOS), and FRR's JSON.

`show ip bgp`, also of one neighbor, `show ip route bgp` and `show ip bgp summary` (summary.py); several in one stream.
ZebOS' `show ip bgp` as an EdgeRouter 4 prints it: github.com/metallb/metallb/issues/720; its `show ip route bgp` as an
EdgeRouter X does: ikarus.sg/bgp-load-balancing-metallb.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_network
from typing import Any

from speaker.routers import summary
from speaker.routers.summary import Summary
from speaker.routers.terminal import UnreadableText, lines_of
from speaker.routers.words import address_of

Held = dict[str, frozenset[str]]
"""Next hops by prefix, both as Python's ipaddress writes them."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What was read; None where the stream has no such table."""

    bgp: Held | None
    """Valid paths of `show ip bgp`."""
    route: Held | None
    """What is used: `show ip route bgp`."""
    summary: Summary | None
    """`show ip bgp summary`."""


def read(text: str) -> Shown:
    """Raises UnreadableText, and nothing else, where there is no such table."""
    rows: dict[str, list[tuple[str, str]]] = {}
    documents, text = _documents(text)
    for document in documents:
        _routes_of(document, rows)
    lines = lines_of(text)
    _tables(lines, rows)
    neighbors = summary.read(documents, lines)
    if not rows and neighbors is None:
        raise UnreadableText(
            "no table is found in it: give what `show ip bgp`, `show ip route bgp` or `show ip bgp summary` prints on"
            " the router"
        )
    return Shown(_held(rows.get("bgp")), _held(rows.get("route")), neighbors)


def _held(rows: list[tuple[str, str]] | None) -> Held | None:
    if rows is None:
        return None
    found: dict[str, set[str]] = {}
    for prefix, hop in rows:
        found.setdefault(prefix, set()).add(hop)
    return {prefix: frozenset(hops) for prefix, hops in found.items()}


# ---- text

_BGP_HEAD = re.compile(r"\s*Network\s+Next Hop\s")
_ROUTE_HEAD = re.compile(r"Codes:\s+K|IP Route Table for VRF")
_BGP_ROW = re.compile(
    r"(?P<codes>[*>=sdhrRSiINVu<? ]{1,7}?)\s*(?P<rest>[0-9a-fA-F]*[.:][0-9a-fA-F.:]*(?:/\d+)?(?:\s.*)?)$"
)
_ROUTE_ROW = re.compile(
    r"(?P<codes>[A-Za-z>* ]*?)\s*(?P<prefix>[0-9a-fA-F.:]+/\d+)?\s*(?:\[\d+/\d+\])?\s*"
    r"via\s+(?P<hop>[0-9a-fA-F.:]+)(?P<rest>.*)$"
)


def _tables(lines: list[str], rows: dict[str, list[tuple[str, str]]]) -> None:
    """A row without a prefix belongs to the one before it."""
    inside = prefix = None
    wrapped = ""
    resolved = False
    for line in lines:
        if _BGP_HEAD.match(line):
            rows.setdefault("bgp", [])
            inside, prefix = "bgp", None
        elif _ROUTE_HEAD.match(line):
            rows.setdefault("route", [])
            inside, prefix = "route", None
        elif line.startswith("No BGP prefixes displayed"):
            rows.setdefault("bgp", [])
        elif inside == "bgp" and (found := _BGP_ROW.match(line)):
            words = found["rest"].split()
            first = _prefix(words[0]) if "/" in words[0] or (len(words) > 1 and address_of(words[1])) else None
            prefix, words = (first, words[1:]) if first else (prefix, words)
            # A long IPv6 prefix has a line of its own, with the codes of the next one.
            codes, wrapped = wrapped + found["codes"], "" if words else found["codes"]
            if words and prefix and (hop := address_of(words[0])) and "*" in codes:
                rows["bgp"].append((prefix, hop))
        elif inside != "bgp" and (found := _ROUTE_ROW.match(line)):
            if found["prefix"]:
                prefix = _prefix(found["prefix"]) if found["codes"].startswith("B") else None
            elif resolved and "(recursive" not in found["rest"]:
                continue  # how the next hop before it is reached
            # ZebOS says on the same line how it is reached: "(recursive is directly connected, eth0)".
            resolved = "(recursive)" in found["rest"]
            if prefix and (hop := address_of(found["hop"])):
                rows.setdefault("route", []).append((prefix, hop))


def _prefix(text: str) -> str | None:
    """Without a length it is the one of its class: so ZebOS and older FRR write 10.0.0.0."""
    try:
        if "/" not in text:
            first = IPv4Address(text).packed[0]
            text = f"{text}/{8 if first < 128 else 16 if first < 192 else 24}"
        return str(ip_network(text, strict=False))
    except ValueError:
        return None


# ---- JSON

_OPENING = re.compile(r"^\{", re.MULTILINE)


def _documents(text: str) -> tuple[list[dict[str, Any]], str]:
    """FRR's documents, and the rest of the text."""
    decoder = json.JSONDecoder()
    found: list[dict[str, Any]] = []
    rest, begin = "", 0
    while opening := _OPENING.search(text, begin):
        try:
            document, end = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            end = opening.end()
        else:
            found.append(document)
        rest, begin = rest + text[begin : opening.start()], end
    return found, rest + text[begin:]


def _routes_of(document: dict[str, Any], rows: dict[str, list[tuple[str, str]]]) -> None:
    """What a document has of them, if it is of routes."""
    kind = "bgp" if "routes" in document else "route"
    if kind == "bgp" or any(isinstance(entries, list) for entries in document.values()):
        rows.setdefault(kind, []).extend(_entries(document.get("routes", document), kind))


def _entries(document: Any, kind: str) -> Iterator[tuple[str, str]]:
    for key, entries in document.items() if isinstance(document, dict) else ():
        prefix = _prefix(key)
        for entry in entries if isinstance(entries, list) and prefix else ():
            if not isinstance(entry, dict) or (kind == "bgp" and not entry.get("valid")):
                continue
            if kind == "route" and entry.get("protocol") != "bgp":
                continue
            hops = entry.get("nexthops")
            for hop in hops if isinstance(hops, list) else ():
                address = address_of(str(hop.get("ip"))) if isinstance(hop, dict) else None
                if address and prefix and not (isinstance(hop, dict) and hop.get("resolver")):
                    yield prefix, address
