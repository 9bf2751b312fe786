"""What must Onepeer offer so that it can be shown? The interface between app.py and serve/.

Every method is called in the event loop and answers at once from memory; `history` and `overview` read files. Only
`drain` changes anything.
"""

from collections.abc import Iterable
from typing import Protocol

from speaker.serve.counters import Counters
from speaker.serve.views import (
    AuditView,
    DrainOrder,
    DrainView,
    HistoryQuery,
    HistoryView,
    NodesView,
    OverviewQuery,
    OverviewView,
    RouteView,
    StatusView,
)


class Source(Protocol):
    """The running Onepeer, as serve/ sees it."""

    def status(self) -> StatusView:
        """The whole at a glance."""
        ...

    def nodes(self) -> NodesView:
        """Every node of the roster, in its order."""
        ...

    def audit(self) -> AuditView:
        """What should be there against what is, as of the last look."""
        ...

    def routes(self, prefix: str | None) -> Iterable[RouteView]:
        """The prefixes in order. For an address, those that hold it; for a prefix, it and what lies inside it.

        Best a generator: the control API takes a slice and lets the sessions run before the next, so a million
        paths stop nobody. What changes in between shows in the later slices; it must not raise for that.
        Raises ValueError, at the call or the first step, for a text that is neither.
        """
        ...

    def drain(self, order: DrainOrder) -> DrainView:
        """Takes a node out, or lets it back in. Raises ValueError for one that is not in the roster."""
        ...

    async def history(self, query: HistoryQuery) -> HistoryView:
        """What has happened, as far as the journal goes. Raises ValueError for a prefix that is none."""
        ...

    async def overview(self, query: OverviewQuery) -> OverviewView:
        """What the status page shows."""
        ...

    def ready(self) -> tuple[bool, str]:
        """Whether routers get all they should, and the reason in one word: `ready`, `waiting-for-nodes`."""
        ...

    def alive(self) -> tuple[bool, str]:
        """Whether a restart would not help, and the reason in one word: `alive`."""
        ...

    def counters(self) -> Counters:
        """What has happened so far."""
        ...
