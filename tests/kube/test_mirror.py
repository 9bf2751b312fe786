"""What a Mirror asks and what it makes of the answers. No API server, no clock: times are written here."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.cluster.kube.client import ApiError, Object, Why
from speaker.cluster.kube.mirror import Ask, Mirror, Pause, key_of

DOWN = ApiError(Why.UNREACHABLE, "no TCP")
BROKEN = ApiError(Why.FAILED, "500")
GONE = ApiError(Why.GONE, "too old")
NO_ROLE = ApiError(Why.FORBIDDEN, "nodes is forbidden")


def keep(item: Object) -> str | None:
    labels = item.get("metadata", {}).get("labels") or {}
    return labels.get("v") if isinstance(labels, dict) else None


def new(now: float = 0.0) -> Mirror[str]:
    return Mirror(keep, lambda: 0.5, now)


def thing(name: str, value: str | None, version: int = 1) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "resourceVersion": str(version)}
    return {"metadata": metadata | ({"labels": {"v": value}} if value else {})}


def listing(*items: object, version: str = "10", following: str = "") -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version, "continue": following}, "items": list(items)}


def event(kind: str, item: object) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


def watching(*items: object, now: float = 0.0) -> Mirror[str]:
    mirror = new(now)
    mirror.next(now)
    mirror.page(listing(*items), now)
    assert isinstance(mirror.next(now), Ask)
    mirror.opened(now)
    return mirror


def asked(mirror: Mirror[str], now: float) -> dict[str, str]:
    step = mirror.next(now)
    assert isinstance(step, Ask), step
    return dict(step.query)


def test_a_listing_in_pages_is_nothing_until_its_last_page() -> None:
    mirror = new()
    assert asked(mirror, 0) == {"limit": "50"}
    mirror.page(listing(thing("a", "1"), following="more"), 0)
    assert not mirror.whole
    assert mirror.objects == {}
    assert asked(mirror, 0) == {"limit": "50", "continue": "more"}
    mirror.page(listing(thing("b", "2"), version="11"), 0)
    assert mirror.whole
    assert mirror.objects == {"a": "1", "b": "2"}


def test_the_watch_begins_where_the_listing_ended_and_is_over_in_time() -> None:
    mirror = watching(thing("a", "1"))
    step = mirror.next(0)
    assert isinstance(step, Ask)
    assert (step.watch, step.seconds) == (True, 22.0)
    assert dict(step.query) == {
        "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": "10", "timeoutSeconds": "17",
    }  # fmt: skip


def test_events_change_the_objects_and_move_the_version_on() -> None:
    mirror = watching(thing("a", "1"))
    for kind, item, then in (
        ("ADDED", thing("b", "2", 11), {"a": "1", "b": "2"}),
        ("MODIFIED", thing("a", "3", 12), {"a": "3", "b": "2"}),
        ("MODIFIED", thing("a", None, 13), {"b": "2"}),  # not ours any more
        ("DELETED", thing("b", "2", 14), {}),
        ("DELETED", thing("b", "2", 15), {}),
        ("BOOKMARK", {"metadata": {"resourceVersion": "90"}}, {}),
    ):
        assert mirror.line(event(kind, item), 1)
        assert mirror.objects == then
    mirror.closed(15)
    assert asked(mirror, 15)["resourceVersion"] == "90"


def test_a_change_of_what_is_not_kept_is_no_change() -> None:
    """Heartbeats: 1000 Nodes have 200 of them a minute."""
    mirror = watching(thing("a", "1"))
    before = mirror.version
    assert mirror.line(event("MODIFIED", thing("a", "1", 11)), 1)
    assert mirror.version == before


def pauses(mirror: Mirror[str], error: ApiError, times: int, now: float = 1.0) -> list[float]:
    """Between tries that all fail so."""
    found = []
    for _ in range(times):
        mirror.failed(error, now)
        step = mirror.next(now)
        assert isinstance(step, Pause)
        found.append(round(step.until - now, 2))
        now = step.until
    return found


def test_a_broken_watch_is_resumed_from_where_it_was_after_a_pause_that_grows() -> None:
    mirror = watching(thing("a", "1"))
    mirror.line(event("ADDED", thing("b", "2", 44)), 1)
    assert pauses(mirror, BROKEN, 10) == [1.0, 1.0, 1.0, 1.0, 1.0, 1.6, 2.56, 4.1, 5.0, 5.0]
    assert asked(mirror, 100)["resourceVersion"] == "44"
    assert mirror.objects == {"a": "1", "b": "2"}


def test_who_is_not_there_is_called_every_second_and_a_right_that_is_missing_asked_for_seldom() -> None:
    assert pauses(watching(), DOWN, 100)[-1] == 1.0
    assert pauses(watching(), NO_ROLE, 100)[-1] == 15.0


def test_an_api_server_that_starts_is_not_kept_waiting_for_its_absence() -> None:
    """It refuses with 403 until it knows its roles: another reason, and so the first pause again."""
    mirror = watching()
    pauses(mirror, NO_ROLE, 100)
    pauses(mirror, DOWN, 100, 2000)
    assert pauses(mirror, NO_ROLE, 5, 3000) == [1.0] * 5


def test_one_failure_is_not_worth_telling_and_the_second_says_since_when() -> None:
    mirror = watching(thing("a", "1"))
    mirror.line(event("ADDED", thing("b", "2", 11)), 7)
    mirror.failed(DOWN, 12)
    assert mirror.trouble is None
    mirror.failed(DOWN, 14)
    assert mirror.trouble is not None
    assert mirror.trouble.since == 7


def test_what_a_person_must_put_right_is_told_at_once() -> None:
    mirror = new()
    mirror.failed(NO_ROLE, 1)
    assert mirror.trouble is not None
    assert mirror.trouble.error is NO_ROLE


def test_trouble_is_over_with_the_first_good_word() -> None:
    mirror = watching(thing("a", "1"))
    mirror.failed(DOWN, 1)
    mirror.failed(DOWN, 2)
    before = mirror.version
    mirror.opened(4)
    assert mirror.trouble is not None  # status 200 alone may be followed by nonsense
    mirror.steady(5)
    assert mirror.trouble is None
    assert mirror.version > before


@pytest.mark.parametrize("how", ["status", "line"])
def test_410_is_a_new_listing_at_once_and_then_gently(how: str) -> None:
    mirror = watching(thing("a", "1"), now=1000)
    gone = event("ERROR", {"code": 410, "reason": "Expired", "message": "too old resource version"})

    def go(now: float) -> None:
        if how == "status":
            mirror.failed(GONE, now)
        else:
            assert not mirror.line(gone, now)

    now, gaps = 2000.0, []
    for _ in range(6):
        go(now)
        step = mirror.next(now)
        at = step.until if isinstance(step, Pause) else now
        gaps.append(at - now)
        assert "limit" in (asked(mirror, at) if isinstance(step, Pause) else dict(step.query))
        mirror.page(listing(thing("a", "1")), at)
        mirror.next(at)
        mirror.opened(at)
        now = at
    assert gaps == [0, 5, 10, 20, 40, 60]
    assert mirror.objects == {"a": "1"}


def test_a_new_listing_takes_away_what_went_meanwhile() -> None:
    mirror = watching(thing("a", "1"), thing("b", "2"))
    mirror.failed(GONE, 100)
    asked(mirror, 100)
    mirror.page(listing(thing("a", "1"), following="x"), 100)
    assert mirror.objects == {"a": "1", "b": "2"}
    asked(mirror, 100)
    mirror.page(listing(thing("c", "3")), 100)
    assert mirror.objects == {"a": "1", "c": "3"}


def test_a_listing_whose_token_is_too_old_begins_again() -> None:
    mirror = new()
    asked(mirror, 0)
    mirror.page(listing(thing("a", "1"), following="old"), 0)
    mirror.failed(GONE, 1)
    step = mirror.next(1)
    assert isinstance(step, Pause)
    assert asked(mirror, step.until) == {"limit": "50"}


def test_a_listing_that_breaks_goes_on_with_its_page() -> None:
    mirror = new()
    asked(mirror, 0)
    mirror.page(listing(thing("a", "1"), following="more"), 0)
    mirror.failed(DOWN, 1)
    assert asked(mirror, 5)["continue"] == "more"


def test_a_watch_that_ends_at_once_is_not_a_loop() -> None:
    mirror = watching(thing("a", "1"))
    mirror.closed(0.01)
    assert isinstance(mirror.next(0.01), Pause)
    mirror.opened(5)
    mirror.closed(20)
    assert isinstance(mirror.next(20), Ask)


@pytest.mark.parametrize(
    "line",
    [b"<html>\n", b"{}\n", b"[1]\n", b"null\n", b"\xff\xfe\n", b'{"type":"ADDED"}\n', b'{"type":"ADDED","object":[]}\n',
     b'{"type":"ADDED","object":{"metadata":{"name":"x"}}}\n', b'{"type":"NEW","object":{}}\n',
     b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"3"}}}\n', b'{"type":"ADDED","object":{"meta'],
)  # fmt: skip
def test_nonsense_closes_the_watch_changes_nothing_and_ends_in_a_new_listing(line: bytes) -> None:
    mirror = watching(thing("a", "1"))
    now = 100.0
    for time in range(3):
        assert "resourceVersion" in asked(mirror, now)
        mirror.opened(now)
        assert not mirror.line(line, now)
        assert mirror.objects == {"a": "1"}
        assert isinstance(mirror.next(now), Pause), time
        now += 10
    assert asked(mirror, now) == {"limit": "50"}


@pytest.mark.parametrize("body", [{}, {"items": []}, {"items": None, "metadata": {"resourceVersion": "1"}},
                                  {"items": [3], "metadata": {"resourceVersion": "1"}},
                                  {"items": [], "metadata": {"resourceVersion": 1}},
                                  {"items": [{"metadata": {}}], "metadata": {"resourceVersion": "1"}}])  # fmt: skip
def test_a_listing_that_is_none_is_refused_whole(body: dict[str, Any]) -> None:
    mirror = watching(thing("a", "1"))
    mirror.failed(GONE, 100)
    asked(mirror, 100)
    mirror.page(body, 100)
    assert mirror.objects == {"a": "1"}
    assert asked(mirror, 110) == {"limit": "50"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "object", "metadata", "name", "namespace", "resourceVersion", "labels", "items",
                         "continue", "code", "message"]) | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["page", "line", "closed", "opened", "down", "gone", "role"]), JSON)))
def test_whatever_comes_there_is_always_a_next_step(steps: list[tuple[str, Any]]) -> None:
    """No answer raises, and what is no good answer is never followed by the same question at once, twice in a row."""
    mirror, now, at_once = new(), 0.0, 0
    for what, value in steps:
        step = mirror.next(now)
        at_once = at_once + 1 if isinstance(step, Ask) else 0
        if isinstance(step, Pause):
            now = step.until
            assert isinstance(mirror.next(now), Ask)
        good = False
        if what == "page" and isinstance(value, dict):
            mirror.page(value, now)
            good = mirror.next(now) != step
        elif what == "line":
            mirror.opened(now)
            good = mirror.line(json.dumps(value).encode(), now)
        elif what in ("closed", "opened"):
            mirror.opened(now)
            mirror.closed(now + (16 if what == "opened" else 0))
            good = what == "opened"
        else:
            mirror.failed({"down": DOWN, "gone": GONE, "role": NO_ROLE}.get(what, DOWN), now)
        at_once = 0 if good else at_once
        assert at_once <= 2


def test_names_are_told_apart_by_namespace() -> None:
    assert key_of({"metadata": {"name": "a", "namespace": "b"}}) == "b/a"
    assert key_of({"metadata": {"name": "a"}}) == "a"
    assert key_of(None) == key_of({"metadata": {"name": 3}}) == ""
