"""What is missing, and why? Wanted against live state; the answer is data. Pure.

A node that lacks all it should announce is one finding, whatever the number of its Services; one that lacks some of
them is one finding for each reason. Where nobody knows of Services, a node of the roster that announces nothing while
others do is the finding. An address that no node should announce is one for itself, unless some node does all the same:
then we have read the cluster otherwise than MetalLB, and it is announced.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from speaker.audit.expect import Wanted
from speaker.audit.reasons import BY_GUARD, Reason
from speaker.bgp.iana import Family


@dataclass(frozen=True, slots=True)
class NodeState:
    """What we know of a node. `why` is None while it has a session; `detail` is for people."""

    why: Reason | None
    detail: str = ""
    paths: int = 0


class Live(Protocol):
    """What is there now."""

    def nodes(self) -> Mapping[str, NodeState]:
        """The nodes of the roster."""
        ...

    def announcers(self, family: Family, prefix: bytes) -> set[str]:
        """The nodes whose path of this prefix is in the table, and not only remembered."""
        ...

    def kept_out(self, node: str, family: Family, prefix: bytes) -> str | None:
        """Why the guard keeps this node's path of it out; None where it has none."""
        ...

    def routers(self) -> Mapping[str, str]:
        """The routers that get nothing, each with what is known of it."""
        ...


@dataclass(frozen=True, slots=True)
class Missing:
    """What a node does not announce, and why; `wanted` are the addresses that it concerns, `whole` says it is all."""

    node: str
    reason: Reason
    detail: str
    whole: bool
    wanted: tuple[Wanted, ...] = field(compare=False)

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same finding at the next look."""
        return self.node, self.reason


@dataclass(frozen=True, slots=True)
class Unannounced:
    """An address of a Service that no node announces, because none should."""

    service: str
    address: str
    reason: Reason

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same finding at the next look."""
        return self.service, self.address, self.reason


@dataclass(frozen=True, slots=True)
class RouterDown:
    """A router that gets nothing."""

    router: str
    detail: str = field(compare=False)

    @property
    def reason(self) -> Reason:
        """The only one."""
        return Reason.ROUTER_DOWN

    @property
    def key(self) -> tuple[str]:
        """What makes it the same finding at the next look."""
        return (self.router,)


Lack = Missing | Unannounced | RouterDown


@dataclass(frozen=True, slots=True)
class Result:
    """One look. `lacking`: for each wanted address, in its order, the nodes that should announce it and do not."""

    missing: tuple[Missing, ...]
    unannounced: tuple[Unannounced, ...]
    routers: tuple[RouterDown, ...]
    lacking: Sequence[frozenset[str]]


def compare(wanted: Sequence[Wanted], live: Live) -> Result:
    """Everything that is missing now."""
    nodes = live.nodes()
    lacking = [_lacking(each, live) for each in wanted]
    lacks: dict[str, list[Wanted]] = {}
    due: dict[frozenset[str], int] = {}
    for each, missing in zip(wanted, lacking, strict=True):
        due[each.nodes] = due.get(each.nodes, 0) + 1
        for node in missing:
            lacks.setdefault(node, []).append(each)
    found: list[Missing] = []
    for node, addresses in sorted(lacks.items()):
        whole = len(addresses) == sum(count for group, count in due.items() if node in group)
        found += _of_node(node, nodes.get(node, _UNKNOWN), addresses, live, whole=whole)
    if not wanted:
        found += _of_peers(nodes)
    nobody = (
        Unannounced(each.service, each.address, each.why_none)
        for each in wanted
        if each.why_none is not None and not any(live.announcers(each.family, prefix) for prefix in each.prefixes)
    )
    routers = (RouterDown(name, detail) for name, detail in live.routers().items())
    return Result(tuple(found), tuple(nobody), tuple(routers), lacking)


_UNKNOWN = NodeState(Reason.NEVER_DIALED)


def _lacking(wanted: Wanted, live: Live) -> frozenset[str]:
    if not wanted.nodes:
        return wanted.nodes
    there: set[str] = set()
    for prefix in wanted.prefixes:
        there |= live.announcers(wanted.family, prefix)
    return wanted.nodes - there


def _of_node(node: str, state: NodeState, wanted: list[Wanted], live: Live, *, whole: bool) -> Iterable[Missing]:
    if state.why is not None:
        yield Missing(node, state.why, state.detail, whole, tuple(wanted))
        return
    reasons: dict[tuple[Reason, str], list[Wanted]] = {}
    for each in wanted:
        reasons.setdefault(_of_path(node, state, each, live), []).append(each)
    for (reason, detail), concerned in reasons.items():
        yield Missing(node, reason, detail, whole and len(reasons) == 1, tuple(concerned))


def _of_path(node: str, state: NodeState, wanted: Wanted, live: Live) -> tuple[Reason, str]:
    for prefix in wanted.prefixes:
        why = live.kept_out(node, wanted.family, prefix)
        if why is not None:
            return BY_GUARD.get(why, Reason.KEPT_OUT), why if why not in BY_GUARD else ""
    return (Reason.NOT_ANNOUNCED if state.paths else Reason.NOTHING_ANNOUNCED), ""


def _of_peers(nodes: Mapping[str, NodeState]) -> Iterable[Missing]:
    """Without Services: whoever has nothing while others have something."""
    if any(state.paths for state in nodes.values()):
        for name, state in sorted(nodes.items()):
            if not state.paths or state.why is not None:
                yield Missing(name, state.why or Reason.NOTHING_ANNOUNCED, state.detail, True, ())
