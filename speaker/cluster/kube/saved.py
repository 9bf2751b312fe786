"""What did the cluster say last? A file in `state_dir`, for a start while the API server is away. No passwords in it.

It holds what was kept of the objects, not the roster made of them: other settings make another roster of the same.
A file that cannot be read, or is of another version, is no file: the cluster will say it all again.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from speaker import state
from speaker.cluster.kube.nodes import NodeFacts
from speaker.cluster.kube.pools import AdvertisementFacts, PoolFacts
from speaker.cluster.kube.services import Flags
from speaker.settings_selector import LabelSelector, Operator, Requirement

T = TypeVar("T")

FILE: Final = "cluster.json"
VERSION: Final = 3


@dataclass(frozen=True, slots=True)
class Said:
    """What the cluster has said, each kind whole; None = nothing yet."""

    nodes: tuple[NodeFacts, ...] | None = None
    pools: tuple[PoolFacts, ...] | None = None
    advertisements: tuple[AdvertisementFacts, ...] | None = None
    flags: Flags | None = None
    at: float = dataclasses.field(default=0.0, compare=False)
    """Wall clock."""


def save(folder: Path, said: Said) -> None:
    """Write it, whole or not at all. Raises OSError."""
    state.write(folder / FILE, {"version": VERSION, **dataclasses.asdict(said), "at": time.time()})


def load(folder: Path) -> Said | None:
    """What was saved; None where there is nothing to be had."""
    body = state.read(folder / FILE)
    try:
        if body["version"] != VERSION:
            return None
        return Said(
            nodes=_all(body["nodes"], _node),
            pools=_all(body["pools"], _pool),
            advertisements=_all(body["advertisements"], _advertisement),
            flags=None if body["flags"] is None else Flags(**body["flags"]),
            at=float(body["at"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _all(items: Any, make: Callable[[Mapping[str, Any]], T]) -> tuple[T, ...] | None:
    return None if items is None else tuple(make(item) for item in items)


def _node(item: Mapping[str, Any]) -> NodeFacts:
    return NodeFacts(**{**item, "addresses": tuple(item["addresses"]), "labels": _pairs(item["labels"])})


def _pool(item: Mapping[str, Any]) -> PoolFacts:
    return PoolFacts(item["name"], tuple(item["addresses"]), _pairs(item["labels"]))


def _advertisement(item: Mapping[str, Any]) -> AdvertisementFacts:
    more = {key: tuple(item[key]) for key in ("pools", "peers")}
    more |= {key: tuple(map(_selector, item[key])) for key in ("selectors", "nodes", "services")}
    return AdvertisementFacts(**{**item, **more})


def _selector(item: Mapping[str, Any]) -> LabelSelector:
    return LabelSelector(tuple(map(_requirement, item["requirements"])))


def _requirement(item: Mapping[str, Any]) -> Requirement:
    return Requirement(item["key"], Operator(item["operator"]), tuple(item["values"]))


def _pairs(items: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(key), str(value)) for key, value in items)
