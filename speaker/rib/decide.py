"""Which path is better, and which are equally good?

The steps, in the order of RFC 4271 9.1.2.2 with those of RFC 4456 9; `explain` prints the name of the step that
decided. LOCAL_PREF is no step: Onepeer makes it equal for all nodes, because MetalLB's native speaker sends 0 and its
FRR modes 100, and unequal values would leave the router one next hop (measured). The IGP cost to a node is not known
to Onepeer, and equal on the one segment it is meant for.

1 as-path-length   the shorter AS_PATH; an AS_SET counts as one (RFC 4271 9.1.2.2 a)
2 origin           IGP before EGP before INCOMPLETE (b)
3 med              the lower MULTI_EXIT_DISC, among paths of one neighboring AS; absent counts as 0 (c)
4 ebgp             a path from another AS before one of our own (d)
  ---              what is equal up to here is equal in cost: ECMP may use all of it
5 router-id        the lower ORIGINATOR_ID, else none (f; RFC 4456 9)
6 cluster-list     the shorter CLUSTER_LIST (RFC 4456 9)
7 peer-address     the lower address of the peer (g)
"""

from collections.abc import Callable
from enum import IntEnum
from functools import cmp_to_key
from typing import Any, NamedTuple

from speaker.bgp.attributes import Attributes
from speaker.bgp.iana import SegmentType
from speaker.rib.source import Source


class Step(IntEnum):
    """The step that decided between two paths."""

    AS_PATH_LENGTH = 1
    ORIGIN = 2
    MED = 3
    EBGP = 4
    ROUTER_ID = 5
    CLUSTER_LIST = 6
    PEER_ADDRESS = 7

    def __str__(self) -> str:
        return self.name.lower().replace("_", "-")


#: The last step that makes paths unequal in cost.
LAST_COST_STEP = Step.EBGP


class Verdict(NamedTuple):
    """`sign` is below 0 where the first path is better, above where the second is, never 0; `step` decided."""

    sign: int
    step: Step


Path = tuple[Source, Attributes]


def compare(one: Path, other: Path) -> Verdict:
    """Which of two paths of the same prefix is better, and by which step."""
    for step, key in _STEPS:
        if step is Step.MED and _neighbor_as(one) != _neighbor_as(other):
            continue
        a, b = key(one), key(other)
        if a != b:
            return Verdict(-1 if a < b else 1, step)
    raise ValueError(f"two paths from one source: {one[0]}")


def ranked(paths: dict[Source, Attributes]) -> list[Path]:
    """All paths of a prefix, the best first.

    MED is compared within a neighboring AS only, so that the order of such paths need not be total
    (RFC 4451 3.1.1). The best is found among the best of each AS first, which gives one answer in every
    order of arrival; so do the others behind it.
    """
    if all(attributes.med is None for attributes in paths.values()):
        return sorted(paths.items(), key=_plain_key)
    left = sorted(paths.items(), key=_plain_key)
    order = []
    while left:
        winners: dict[int | None, Path] = {}
        for path in left:
            neighbor = _neighbor_as(path)
            held = winners.get(neighbor)
            if held is None or compare(path, held).sign < 0:
                winners[neighbor] = path
        best = min(winners.values(), key=cmp_to_key(_order))
        order.append(best)
        left.remove(best)
    return order


def equal_cost(paths: dict[Source, Attributes]) -> list[Path]:
    """The best path and those that tie with it up to step 4, best first: what ECMP may use."""
    order = ranked(paths)
    return order[:1] + [path for path in order[1:] if compare(order[0], path).step > LAST_COST_STEP]


def as_path_length(attributes: Attributes) -> int:
    """RFC 4271 9.1.2.2 a: an AS_SET counts as one."""
    return sum(len(s.asns) if s.kind == SegmentType.AS_SEQUENCE else 1 for s in attributes.as_path)


def _order(one: Path, other: Path) -> int:
    return compare(one, other).sign


def _neighbor_as(path: Path) -> int | None:
    source, attributes = path
    if attributes.as_path and attributes.as_path[0].kind == SegmentType.AS_SEQUENCE:
        return attributes.as_path[0].asns[0]
    return source.asn


def _peer_address(path: Path) -> tuple[int, int]:
    address = path[0].address
    return address.version, int(address)


_STEPS: tuple[tuple[Step, Callable[[Path], Any]], ...] = (
    (Step.AS_PATH_LENGTH, lambda p: as_path_length(p[1])),
    (Step.ORIGIN, lambda p: p[1].origin),
    (Step.MED, lambda p: p[1].med or 0),
    (Step.EBGP, lambda p: p[0].ibgp),
    (Step.ROUTER_ID, lambda p: p[1].originator_id or b""),
    (Step.CLUSTER_LIST, lambda p: len(p[1].cluster_list)),
    (Step.PEER_ADDRESS, _peer_address),
)


def _plain_key(path: Path) -> tuple[object, ...]:
    return tuple(key(path) for step, key in _STEPS if step is not Step.MED)
