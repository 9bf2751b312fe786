"""Does a router hold what it was sent?"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from speaker.routers.shown import Held


class Verdict(StrEnum):
    """What is wrong with a next hop on the router."""

    MISSING = "missing"
    PREFIX_MISSING = "prefix-missing"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Difference:
    """One next hop."""

    prefix: str
    next_hop: str
    verdict: Verdict


def differences(sent: Mapping[str, frozenset[str]], held: Held) -> list[Difference]:
    """Of prefixes that were sent: what else a router holds is not ours to judge."""
    found = []
    for prefix, hops in sent.items():
        there = held.get(prefix)
        missing = Verdict.MISSING if there else Verdict.PREFIX_MISSING
        found += [Difference(prefix, hop, missing) for hop in sorted(hops - (there or frozenset()))]
        found += [Difference(prefix, hop, Verdict.EXTRA) for hop in sorted((there or frozenset()) - hops)]
    return found
