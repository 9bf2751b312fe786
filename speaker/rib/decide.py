"""Which path is better, and which are equally good?

The steps, in the order of RFC 4271 9.1.2.2 with those of RFC 4456 9; `explain` prints the name of the step that
decided. LOCAL_PREF is no step: Onepeer makes it equal for all nodes, because MetalLB's native speaker sends 0 and its
FRR modes 100, and unequal values would leave the router one next hop (measured). In its place stands step 0. The IGP
cost to a node is not known to Onepeer, and equal on the one segment it is meant for.

0 graceful-shutdown  a path that is about to go, by the community GRACEFUL_SHUTDOWN, after all others (RFC 8326 4)
1 as-path-length   the shorter AS_PATH; an AS_SET counts as one (RFC 4271 9.1.2.2 a)
2 origin           IGP before EGP before INCOMPLETE (b)
3 med              the lower MULTI_EXIT_DISC, among paths of one neighboring AS; absent counts as 0, which FRR sends (c)
4 ebgp             a path from another AS before one of our own (d)
  ---              what is equal up to here is equal in cost: ECMP may use all of it
5 router-id        the lower ORIGINATOR_ID, else none (f; RFC 4456 9)
6 cluster-list     the shorter CLUSTER_LIST (RFC 4456 9)
7 peer-address     the lower address of the peer (g)
"""

from collections.abc import Callable, Iterator
from enum import IntEnum
from functools import cmp_to_key
from typing import Any, NamedTuple

from speaker.bgp.attributes import Attributes
from speaker.bgp.iana import GRACEFUL_SHUTDOWN, SegmentType
from speaker.rib.source import Source


class Step(IntEnum):
    """The step that decided between two paths."""

    GRACEFUL_SHUTDOWN = 0
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
Paths = dict[Source, Attributes]

#: What steps 0 to 4 compare: whether it is about to go, AS_PATH length, ORIGIN, MED, and whether it is from our own AS.
Cost = tuple[bool, int, int, int, bool]


def compare(one: Path, other: Path) -> Verdict:
    """Which of two paths of the same prefix is better, and by which step."""
    for step, key in _STEPS:
        if step is Step.MED and neighbor_as(one) != neighbor_as(other):
            continue
        a, b = key(one), key(other)
        if a != b:
            return Verdict(-1 if a < b else 1, step)
    raise ValueError(f"two paths from one source: {one[0]}")


def ranked(paths: Paths) -> list[Path]:
    """All paths of a prefix, the best first.

    Where MED is in play among several ASes the order of two paths depends on third ones. The best is then found
    among the best of each AS, as RFC 4271 does by elimination; that gives one answer in every order of arrival,
    and so do the others behind it.
    """
    left = list(paths.items())
    if not mixed_med(paths):
        return sorted(left, key=_whole_key)
    order = []
    while left:
        winners: dict[int | None, Path] = {}
        for path in left:
            neighbor = neighbor_as(path)
            held = winners.get(neighbor)
            if held is None or compare(path, held).sign < 0:
                winners[neighbor] = path
        best = min(winners.values(), key=cmp_to_key(_order))
        order.append(best)
        left.remove(best)
    return order


def equal_cost(paths: Paths) -> Paths:
    """What is left of the paths of a prefix after step 4: ECMP may use all of it."""
    return next(cost_classes(paths), {})


def cost_classes(paths: Paths) -> Iterator[Paths]:
    """What is left after step 4; the same of the others; and so on. None is empty."""
    if mixed_med(paths):
        left = paths
        while left:
            best = _left_after_step_4(left)
            yield best
            left = {source: attributes for source, attributes in left.items() if source not in best}
        return
    classes: dict[Cost, Paths] = {}
    for source, attributes in paths.items():
        classes.setdefault(cost(source, attributes), {})[source] = attributes
    for _, equal in sorted(classes.items()):
        yield equal


def cost(source: Source, attributes: Attributes) -> Cost:
    """The lower is better and the same is equal, unless `mixed_med` says that this is not so simple."""
    a = attributes
    return is_leaving(a), as_path_length(a), a.origin, a.med or 0, source.ibgp


def mixed_med(paths: Paths) -> bool:
    """Whether MED is in play among paths of several neighboring ASes: then the order of two of them may depend on
    a third (RFC 4451 3.1.1)."""
    return any(a.med for a in paths.values()) and len({neighbor_as(path) for path in paths.items()}) > 1


def neighbor_as(path: Path) -> int | None:
    """The AS that a path comes from: the first of its AS_PATH, else that of its source."""
    source, attributes = path
    if attributes.as_path and attributes.as_path[0].kind == SegmentType.AS_SEQUENCE:
        return attributes.as_path[0].asns[0]
    return source.asn


def is_leaving(attributes: Attributes) -> bool:
    """RFC 8326: whoever announced it says that it is about to go."""
    return GRACEFUL_SHUTDOWN in attributes.communities


def as_path_length(attributes: Attributes) -> int:
    """RFC 4271 9.1.2.2 a: an AS_SET counts as one."""
    return sum(len(s.asns) if s.kind == SegmentType.AS_SEQUENCE else 1 for s in attributes.as_path)


def _left_after_step_4(paths: Paths) -> Paths:
    paths = {s: a for s, a in paths.items() if not is_leaving(a)} or paths
    shortest = min(as_path_length(a) for a in paths.values())
    left = [path for path in paths.items() if as_path_length(path[1]) == shortest]
    origin = min(a.origin for _, a in left)
    left = [path for path in left if path[1].origin == origin]
    med: dict[int | None, int] = {}
    for path in left:
        neighbor, own = neighbor_as(path), path[1].med or 0
        med[neighbor] = min(own, med.get(neighbor, own))
    left = [path for path in left if (path[1].med or 0) == med[neighbor_as(path)]]
    ibgp = min(source.ibgp for source, _ in left)
    return {source: attributes for source, attributes in left if source.ibgp == ibgp}


def _order(one: Path, other: Path) -> int:
    return compare(one, other).sign


def _peer_address(path: Path) -> tuple[int, int]:
    address = path[0].address
    return address.version, int(address)


_STEPS: tuple[tuple[Step, Callable[[Path], Any]], ...] = (
    (Step.GRACEFUL_SHUTDOWN, lambda p: is_leaving(p[1])),
    (Step.AS_PATH_LENGTH, lambda p: as_path_length(p[1])),
    (Step.ORIGIN, lambda p: p[1].origin),
    (Step.MED, lambda p: p[1].med or 0),
    (Step.EBGP, lambda p: p[0].ibgp),
    (Step.ROUTER_ID, lambda p: p[1].originator_id or b""),
    (Step.CLUSTER_LIST, lambda p: len(p[1].cluster_list)),
    (Step.PEER_ADDRESS, _peer_address),
)


def _whole_key(path: Path) -> tuple[object, ...]:
    return tuple(key(path) for _, key in _STEPS)
