"""Which nodes has a person drained or let back in, and when? The newest word on each counts, whoever has heard it.

Words come as JSON, from a file or from another replica: {"n3": [false, 1795737585.2]}; see `said`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

#: Seconds for which it is known that a node was let back in: longer than a replica is away that knows it as drained.
MEMORY = 7 * 86400.0

#: Seconds between two words on one node, at least: the second is the newer, also where the first came by a fast clock.
APART = 0.001

Said = dict[str, list[Any]]


class Order(NamedTuple):
    """A word on a node. force: its last paths go, too; None = it is let back in. `at` is seconds since the epoch."""

    force: bool | None
    at: float


class Orders:
    """The newest word on each node."""

    def __init__(self) -> None:
        self._newest: dict[str, Order] = {}

    def drained(self) -> dict[str, bool]:
        """Those that are drained, and whether with their last paths."""
        return {node: order.force for node, order in self._newest.items() if order.force is not None}

    def said(self) -> Said:
        """All words, as `learn` takes them."""
        return {node: list(order) for node, order in sorted(self._newest.items())}

    def give(self, node: str, force: bool | None, now: float) -> bool:
        """A person says so now; whether that is news."""
        known = self._newest.get(node)
        if known is not None and known.force == force:
            return False
        self._newest[node] = Order(force, max(now, known.at + APART) if known else now)
        return True

    def learn(self, said: Mapping[str, Any], now: float) -> bool:
        """Somebody else knows these; whether any is news. Raises as `words` does."""
        told = words(said)
        newer = {
            node: order
            for node, order in told.items()
            if (node not in self._newest or _rank(order) > _rank(self._newest[node]))
            and (order.force is not None or now - order.at < MEMORY)
        }
        self._newest.update(newer)
        for node, order in list(self._newest.items()):
            if order.force is None and now - order.at >= MEMORY:
                del self._newest[node]
        return bool(newer)


def _rank(order: Order) -> tuple[float, bool, bool]:
    """By its time; of two of the same time, given to two replicas, all must take the same: the one that drains."""
    return order.at, order.force is not None, order.force is True


def words(said: Mapping[str, Any]) -> dict[str, Order]:
    """What is said of each node. Raises TypeError, ValueError where it makes no sense."""
    return {node: _order(*word) for node, word in said.items()}


def _order(force: object, at: object) -> Order:
    if not (force is None or isinstance(force, bool)) or not isinstance(at, int | float):
        raise ValueError(f"neither drained nor let in: {force!r}, {at!r}")
    return Order(force, float(at))
