"""What does one kind of object look like now, and what is to be asked next? List, then watch; pure.

`next(now)` says what to do: ask (a page of the listing, or a watch) or pause. What comes back is told with `page`,
`opened`, `line`, `closed`, `failed`, `steady`. Times are seconds of one clock, which may be any.

    start ──► listing, page by page ──► watching, from the listing's resourceVersion ──┐
                 ▲        ▲                  │  every event and bookmark moves it on   │
                 │        └── 410 ◄──────────┤                                         │
                 └────────────────────────── └── ended, or broken: watch again from it ┘

What was measured with a real API server, and is kept to:
- The store is only ever replaced by a whole listing; half of one is nothing (`whole`).
- A watch that breaks is resumed from the last resourceVersion; nothing is lost or told twice.
- 410 comes as a status or as a line in a stream of status 200, and always means a new listing. Listings in
  a row begin 5 s apart, then 10, to 60: a listing is what costs the API server.
- A watch is ended by the server after `timeoutSeconds`, 15 to 18 s, and by us 5 s later: a server that is frozen, or
  behind a black hole, is found out so. Bookmarks are no heartbeat: an idle kind of object has none in 5 minutes.
- The same octets make no sense three times in a row: the object is stepped over with a new listing.
- Only what `keep` keeps is stored, and only a change of that is a change: 1000 Nodes' heartbeats are none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeGuard, TypeVar

from speaker.cluster.kube.client import OWN_FAULT, ApiError, Object, Why, failure, shown

T = TypeVar("T")

PAGE: Final = 50
"""Objects of one page. 1000 Nodes in pages of 50 peak at 69 MB, of 500 at 129."""

LIST_SECONDS: Final = 30.0
"""For one page."""

WATCH_LEAST: Final = 15
WATCH_MORE: Final = 3
"""A watch lasts 15 s and up to 3 more, by chance: not all watches of all replicas begin at once."""

GRACE: Final = 5.0
"""Seconds that the server may be late with the end of a watch."""

STEADY: Final = 0.5
"""Seconds after which an open watch is a good one, events or not."""

PAUSE_FIRST: Final = 1.0
PAUSE_EVEN: Final = 5
PAUSE_GROWS: Final = 1.6
PAUSE_MOST: Final = 5.0
"""Seconds between tries: the first pause, for how many it stays that, its growth, and how long a returned API server
may be left waiting. Counted for each reason anew: one that starts refuses for some seconds what it allows then (403
until it knows its roles, 429 until it has read its objects), and that must not meet the pauses of a long absence."""

PAUSE_NOBODY: Final = 1.0
"""The most where nothing comes back: a call that nobody takes costs nobody anything, and a silent one lasts anyway."""

PAUSE_OWN_FAULT: Final = 15.0
"""The most where a person must act first (a role, an installation)."""

RELIST_FIRST: Final = 5.0
RELIST_MOST: Final = 60.0
"""Seconds between one listing's begin and the next one's: twice as many each time."""

TELL_AFTER: Final = 2
"""Failures in a row that are worth telling. One alone is an API server that was restarted."""

TELL_AGAIN: Final = 30.0
"""Seconds between two reasons told: where the API server is half dead they take turns."""

POISON: Final = 3
"""Times of nonsense in a row after which a new listing is tried."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The next request."""

    query: tuple[tuple[str, str], ...]
    watch: bool
    """Its answer is lines; else one object."""
    seconds: float
    """It is over then at the latest."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is to be asked before."""

    until: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """The API server does not say what there is. What was known stays."""

    error: ApiError
    since: float
    """When it last did, by the clock of `now`."""


class Mirror(Generic[T]):
    """Objects by `namespace/name`, as last seen.

    keep     makes what is kept of an object, None for one that is none of ours; takes any dict and never raises
    chance   a number of 0..1, another at each call
    name     what it is a mirror of, for errors
    """

    def __init__(
        self, keep: Callable[[Object], T | None], chance: Callable[[], float], now: float, name: str = "the watch"
    ) -> None:
        self.objects: dict[str, T] = {}
        self.whole = False
        self.trouble: Trouble | None = None
        self.version = 0
        """Grows with each change of any of the three above."""
        self.listings = 0
        """How many listings were begun."""
        self._keep, self._chance, self._name = keep, chance, name
        self._heard = now
        self._resource_version = ""
        self._page: dict[str, T] = {}
        self._continue = ""
        self._not_before = now
        self._failures = self._nonsense = 0
        self._reason: Why | None = None
        self._tries = 0
        self._list_at, self._list_gap = now, RELIST_FIRST
        self._opened = self._told_at = now

    # --- what to do

    def next(self, now: float) -> Ask | Pause:
        """What is to be done now."""
        if now < self._not_before:
            return Pause(self._not_before)
        if self._resource_version:
            seconds = WATCH_LEAST + round(WATCH_MORE * self._chance())
            query = (
                ("watch", "true"),
                ("allowWatchBookmarks", "true"),
                ("resourceVersion", self._resource_version),
                ("timeoutSeconds", str(seconds)),
            )
            return Ask(query, True, seconds + GRACE)
        if self._continue:
            return Ask((("limit", str(PAGE)), ("continue", self._continue)), False, LIST_SECONDS)
        self.listings += 1
        self._list_at, self._page = now, {}
        return Ask((("limit", str(PAGE)),), False, LIST_SECONDS)

    # --- what came back

    def page(self, body: Object, now: float) -> None:
        """A page of the listing."""
        items, metadata = body.get("items"), _dict(body.get("metadata"))
        version, following = metadata.get("resourceVersion"), metadata.get("continue") or ""
        named = [(key_of(item), item) for item in items] if isinstance(items, list) else [("", {})]
        if not _is_text(version) or not isinstance(following, str) or not all(key for key, _ in named):
            self.failed(
                ApiError(Why.NONSENSE, f"the listing is none: {shown(json.dumps(body).encode())}", subject=self._name),
                now,
            )
            return
        for key, item in named:
            if (kept := self._keep(item)) is not None:
                self._page[key] = kept
        self._continue = following
        self._good(now)
        if not following:
            self._taken(version)

    def opened(self, now: float) -> None:
        """The watch has begun: status 200. That alone proves nothing."""
        self._opened = now

    def steady(self, now: float) -> None:
        """The watch has stood for STEADY seconds."""
        self._good(now)

    def line(self, line: bytes, now: float) -> bool:
        """A line of the watch; False where it is to be closed."""
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        event = _dict(event)
        kind, body = event.get("type"), _dict(event.get("object"))
        version, key = _dict(body.get("metadata")).get("resourceVersion"), key_of(body)
        if kind == "ERROR":
            code = body.get("code")
            status = code if isinstance(code, int) and 400 <= code < 600 else 500
            self.failed(failure(status, str(body.get("message", "")), self._name), now)
            return False
        known = kind == "BOOKMARK" or (kind in ("ADDED", "MODIFIED", "DELETED") and key)
        if not known or not _is_text(version):
            self.failed(
                ApiError(Why.NONSENSE, f"a line of the watch is no event: {shown(line)}", subject=self._name), now
            )
            return False
        self._resource_version = version
        if kind != "BOOKMARK":
            self._set(key, None if kind == "DELETED" else self._keep(body))
        self._good(now)
        return True

    def closed(self, now: float) -> None:
        """The server has ended the watch, as it was asked to; or at once, which must not become a loop."""
        if now - self._opened >= STEADY:
            self._good(now)
        else:
            self._pause(now, None)

    def failed(self, error: ApiError, now: float) -> None:
        """A request, or a watch while it ran, came to nothing."""
        if error.why is Why.GONE:
            self._relist(now)
        elif error.why is Why.NONSENSE:
            self._nonsense += 1
            if self._nonsense % POISON == 0:
                self._relist(now)
        self._pause(now, error.why)
        # A silence has lasted for the whole of a watch, or of a listing: it needs no second one.
        if self._failures >= TELL_AFTER or error.why in OWN_FAULT or error.why is Why.SILENT:
            self._tell(error, now)

    # --- inside

    def _tell(self, error: ApiError, now: float) -> None:
        before = self.trouble
        if before is not None and (before.error.why is error.why or now - self._told_at < TELL_AGAIN):
            return
        self.trouble, self._told_at = Trouble(error, self._heard), now
        self.version += 1

    def _good(self, now: float) -> None:
        """It has said something that is right."""
        self._heard = now
        self._failures = self._nonsense = self._tries = 0
        if self.trouble is not None:
            self.trouble = None
            self.version += 1

    def _taken(self, version: str) -> None:
        """The listing is complete."""
        self._resource_version = version
        if not self.whole or self.objects != self._page:
            self.version += 1
        self.objects, self._page, self.whole = self._page, {}, True

    def _set(self, key: str, kept: T | None) -> None:
        before = self.objects.get(key)
        if before == kept:
            return
        if kept is None:
            del self.objects[key]
        else:
            self.objects[key] = kept
        self.version += 1

    def _relist(self, now: float) -> None:
        """List anew: at once, where the last listing is long ago."""
        self._resource_version = self._continue = ""
        if now - self._list_at > RELIST_MOST:
            self._list_gap, self._not_before = RELIST_FIRST, now
        else:
            self._not_before = max(now, self._list_at + self._list_gap)
            self._list_gap = min(2 * self._list_gap, RELIST_MOST)

    def _pause(self, now: float, why: Why | None) -> None:
        """Wait, longer each time; a first 410 has its answer in a new listing, which needs no pause of its own."""
        self._failures += 1
        self._tries = self._tries + 1 if why is self._reason else 1
        self._reason = why
        if why is Why.GONE and self._failures == 1:
            return
        pause = min(PAUSE_FIRST * PAUSE_GROWS ** max(0, min(self._tries, 20) - PAUSE_EVEN), _most(why))
        self._not_before = max(self._not_before, now + pause * (0.75 + 0.5 * self._chance()))


def _most(why: Why | None) -> float:
    """Seconds that a pause may last."""
    if why in (Why.UNREACHABLE, Why.SILENT):
        return PAUSE_NOBODY
    return PAUSE_OWN_FAULT if why in OWN_FAULT else PAUSE_MOST


def key_of(item: object) -> str:
    """`namespace/name`; empty where the object has no name."""
    metadata = _dict(_dict(item).get("metadata"))
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if not isinstance(name, str) or not name:
        return ""
    return f"{namespace}/{name}" if isinstance(namespace, str) else name


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
