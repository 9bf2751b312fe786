"""Which of our sessions does a router have up, and what has it taken over each? Read of `show ip bgp summary`.

FRR's as text and JSON, ZebOS' (EdgeOS) in the form of github.com/chitoku-k/edgerouter-exporter, whose tests hold what
EdgeRouters print. FRR counts a path of each node, ZebOS prefixes: without ADD-PATH a session has as many.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from speaker.routers.lines import Dialect
from speaker.routers.words import address_of

ESTABLISHED = "Established"


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A line of the summary."""

    address: str
    asn: str
    family: str
    """ipv4 or ipv6: of the routes; empty where the summary does not say it."""
    state: str
    """Established, or the router's word."""
    received: int | None
    """Paths that it has accepted; None without a session."""
    policy: bool = False
    """Established, and nothing is accepted since no policy says so (RFC 8212)."""


@dataclass(frozen=True, slots=True)
class Summary:
    """All of it."""

    dialect: Dialect
    """FRR or EDGEOS: who printed it."""
    neighbors: tuple[Neighbor, ...]


class Trouble(StrEnum):
    """What is wrong with one of our sessions, as the router shows it. The value is what the CLI prints."""

    NO_LINE = "no-neighbor-line"
    WRONG_AS = "wrong-as"
    SHUT_DOWN = "shut-down"
    NOT_UP = "not-established"
    POLICY = "refused-by-policy"
    FEWER = "fewer-than-sent"
    MORE = "more-than-sent"


@dataclass(frozen=True, slots=True)
class Ours:
    """One of our addresses that should have a line: the AS that we say there, and paths sent by family."""

    address: str
    asn: int
    router_asn: int
    sent: Mapping[str, int]

    def sent_of(self, family: str) -> list[int]:
        """What may have come of it; of either where the family is not known. Never empty."""
        return [self.sent.get(family, 0)] if family else [*self.sent.values()] or [0]


@dataclass(frozen=True, slots=True)
class Judged:
    """What the router has of one of our sessions, in one family; `shown` is None where it has no line."""

    ours: Ours
    shown: Neighbor | None
    trouble: Trouble | None
    type_in: tuple[str, ...] = ()
    """What to type into the router, where that is known."""


def read(documents: Iterable[Mapping[str, Any]], lines: Iterable[str]) -> Summary | None:
    """What several documents of FRR's and a text have of it together; None where there is none in them."""
    parts = [part for part in (*map(_from_document, documents), _from_lines(lines)) if part is not None]
    if not parts:
        return None
    return Summary(parts[-1].dialect, tuple(one for part in parts for one in part.neighbors))


def judge(summary: Summary, ours: Iterable[Ours]) -> list[Judged]:
    """A line for each of our addresses, and for each family that is shown of it."""
    found = []
    for one in ours:
        rows: list[Neighbor | None] = [row for row in summary.neighbors if row.address == one.address]
        for row in rows or [None]:
            trouble = _trouble(one, row)
            found.append(Judged(one, row, trouble, tuple(_typed(summary.dialect, one, trouble))))
    return found


def _trouble(ours: Ours, row: Neighbor | None) -> Trouble | None:
    if row is None:
        return Trouble.NO_LINE
    if row.asn != str(ours.asn):
        return Trouble.WRONG_AS
    if row.state != ESTABLISHED:
        return Trouble.SHUT_DOWN if "Admin" in row.state else Trouble.NOT_UP
    if row.policy:
        return Trouble.POLICY
    received, sent = row.received or 0, ours.sent_of(row.family)
    if received in sent:
        return None
    return Trouble.FEWER if received < max(sent) else Trouble.MORE


def _typed(dialect: Dialect, ours: Ours, trouble: Trouble | None) -> Iterator[str]:
    edgeos = dialect is Dialect.EDGEOS
    line = f"set protocols bgp {ours.router_asn} neighbor" if edgeos else " neighbor"
    if not edgeos and trouble in (Trouble.NO_LINE, Trouble.WRONG_AS, Trouble.SHUT_DOWN, Trouble.POLICY):
        yield f"router bgp {ours.router_asn}"
    if trouble in (Trouble.NO_LINE, Trouble.WRONG_AS):
        yield f"{line} {ours.address} remote-as {ours.asn}"
    elif trouble is Trouble.SHUT_DOWN:
        yield f"{'delete' + line.removeprefix('set') if edgeos else ' no' + line} {ours.address} shutdown"
    elif trouble is Trouble.POLICY:
        yield " no bgp ebgp-requires-policy"


# ---- text

_HEAD = re.compile(r"\s*Neighbor\s+V\s+AS\s+(?:LocalAS\s+)?Msg(?P<frr>Rcvd)?")
_FAMILY = re.compile(r"IPv(?P<version>[46]) Unicast Summary")
_OTHER_FAMILY = re.compile(r"\S.* Summary\b.*:?$")
_ROW = re.compile(
    # A long IPv6 address of ZebOS' runs into the BGP version behind it.
    r"(?:\*?(?P<who>\S+)\s+4|(?P<long>[0-9a-fA-F:]{24,})4|\s+4)\s+(?P<asn>[\d.]+)(?:\s+\d+){5,6}"
    r"(?:\s+(?P<since>never|\d[\d:]*[wdhms:][\dwdhms:]*))?"
    r"\s+(?P<state>\d+|[A-Za-z]+(?: \(\w+\))?|\(Policy\))(?:\s|$)"
)


def _from_lines(lines: Iterable[str]) -> Summary | None:
    """None where there is no summary in it."""
    dialect: Dialect | None = None
    found: list[Neighbor] = []
    family: str | None = ""
    inside, wrapped = False, ""
    for line in lines:
        if said := _FAMILY.match(line):
            family, inside = f"ipv{said['version']}", False
        elif said := _HEAD.match(line):
            dialect = Dialect.FRR if said["frr"] else Dialect.EDGEOS
            inside, wrapped = family is not None, ""
        elif _OTHER_FAMILY.match(line):
            family, inside = None, False
        elif line.startswith("Total number of neighbors"):
            inside = False
        elif inside and (row := _ROW.match(line)):
            address = _address(row["who"] or row["long"] or wrapped)
            if address and family is not None:
                found.append(_neighbor(address, row["asn"], family, row["state"]))
        elif inside:
            wrapped = line.strip()  # an address that is too long for its column has a line of its own
    return Summary(dialect, tuple(found)) if dialect else None


def _address(text: str) -> str | None:
    """FRR may show `hostname(address)`."""
    return address_of(text.rpartition("(")[2].removesuffix(")"))


def _neighbor(address: str, asn: str, family: str, state: str) -> Neighbor:
    if state.isdecimal():
        return Neighbor(address, asn, family, ESTABLISHED, int(state))
    if state == "(Policy)":
        return Neighbor(address, asn, family, ESTABLISHED, 0, policy=True)
    return Neighbor(address, asn, family, state, None)


# ---- JSON

_KEYS = {"ipv4Unicast": "ipv4", "ipv6Unicast": "ipv6"}


def _from_document(document: Mapping[str, Any]) -> Summary | None:
    """FRR's, of one family or of several; None where it is none."""
    peers = document.get("peers")
    if isinstance(peers, dict):
        parts = [("", peers)]
    else:
        inner = ((family, document.get(key)) for key, family in _KEYS.items())
        parts = [(family, part["peers"]) for family, part in inner if isinstance(part, dict) and _has_peers(part)]
    if not parts:
        return None
    return Summary(Dialect.FRR, tuple(one for family, part in parts for one in _peers(family, part)))


def _has_peers(part: Mapping[str, Any]) -> bool:
    return isinstance(part.get("peers"), dict)


def _peers(family: str, peers: Mapping[str, Any]) -> Iterator[Neighbor]:
    for key, peer in peers.items():
        address = address_of(key)
        if address is None or not isinstance(peer, dict):
            continue
        state, received = str(peer.get("state", "")), peer.get("pfxRcd")
        up = state == ESTABLISHED
        taken = received if isinstance(received, int) else 0
        yield Neighbor(
            address,
            str(peer.get("remoteAs", "")),
            family,
            state,
            taken if up else None,
            policy=up and peer.get("peerState") == "Policy",
        )
