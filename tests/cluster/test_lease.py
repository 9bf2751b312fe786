"""Who may lead: never two, whatever becomes of requests, processes and clocks, and somebody as soon as may be."""

import heapq
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speaker.cluster.kube.candidate import HOLDS, Candidate, Record
from speaker.cluster.kube.lease import body_of, lease_name, record_of

SECONDS = 5.0
DELAYS = st.sampled_from([0.0, 0.001, 0.01, 0.3, 1.0, 1.4, 2.9, 3.1, 6.0, 20.0])


class Server:
    """The one Lease, as the API server keeps it."""

    def __init__(self) -> None:
        self.record: Record | None = None
        self._versions = itertools.count(1)

    def write(self, proposal: Record) -> Record | None:
        """The record that was written, or None: somebody else was faster."""
        if proposal.version != (self.record.version if self.record else ""):
            return None
        self.record = replace(proposal, version=str(next(self._versions)))
        return self.record


class World:
    """Candidates that look and write again and again. Each step of each takes as long as `delay` says, which may be a
    request under way, an answer under way, or a process that is frozen. `step`: how far its wall clock is off, when it
    writes."""

    def __init__(
        self, count: int, delay: Callable[[], float], fate: Callable[[], bool], step: Callable[[], float] = float
    ) -> None:
        self.server = Server()
        self.candidates = [Candidate(name, f"{name}:1791", SECONDS) for name in "abc"[:count]]
        self.delay, self.fate, self.step, self.now = delay, fate, step, 0.0
        self._queue: list[tuple[float, int, Iterator[float]]] = []
        self._order = itertools.count()

    def run(self, steps: int) -> Iterator[list[str]]:
        """Who leads, after each step."""
        for candidate in self.candidates:
            self._push(self._life(candidate), 0.0)
        for _ in range(steps):
            self.now, _, life = heapq.heappop(self._queue)
            self._push(life, next(life))
            yield [c.name for c in self.candidates if c.leads(self.now)]

    def _push(self, life: Iterator[float], wait: float) -> None:
        heapq.heappush(self._queue, (self.now + wait, next(self._order), life))

    def _life(self, candidate: Candidate) -> Iterator[float]:
        while True:
            if not (candidate.leads(self.now) and candidate.sure):
                yield self.delay()
                seen = self.server.record
                yield self.delay()
                if self.fate():
                    yield 0.5
                    continue
                candidate.read(seen, self.now)
            asked = self.now
            proposal = candidate.proposal(asked, f"{self.now + self.step():.1f}")
            if proposal is not None:
                yield self.delay()
                lost = self.fate() and self.fate()
                answer = None if lost else self.server.write(proposal)
                yield self.delay()
                if answer is None or self.fate():
                    candidate.unanswered(contested=answer is None and not lost)
                else:
                    candidate.written(answer, asked, self.now)
            yield max(0.01, candidate.due(self.now) - self.now)


@settings(max_examples=300)
@given(st.data(), st.integers(2, 3))
def test_never_two_lead_whatever_is_late_lost_or_frozen(data: st.DataObject, count: int) -> None:
    """And however the wall clocks step: what is written of them is a mark and no time."""
    delays = data.draw(st.lists(DELAYS, min_size=40, max_size=160))
    fates = data.draw(st.lists(st.sampled_from([False, False, False, True]), min_size=40, max_size=160))
    steps = data.draw(st.lists(st.sampled_from([0.0, 0.0, 3600.0, -3600.0, -5.0]), min_size=1, max_size=20))
    world = World(count, *(itertools.cycle(drawn).__next__ for drawn in (delays, fates, steps)))
    for leaders in world.run(200):
        assert len(leaders) <= 1, (world.now, leaders)


def test_where_nothing_is_in_the_way_one_leads_for_ever() -> None:
    world = World(3, lambda: 0.005, lambda: False)
    seen = list(world.run(400))
    assert world.now > 40
    assert {tuple(leaders) for leaders in seen[30:]} == {("a",)}


def candidate(name: str, holder: str = "", at: float = 0.0) -> Candidate:
    made = Candidate(name, f"{name}:1791", SECONDS)
    made.read(Record(holder, SECONDS, "then", "7"), at)
    return made


def lead(one: Candidate, at: float) -> None:
    proposal = one.proposal(at, f"{at}")
    assert proposal is not None
    one.written(replace(proposal, version=proposal.version + "1"), at, at + 0.01)


def test_a_dead_leader_is_waited_for_from_ones_own_sight_of_its_last_word() -> None:
    other = candidate("b", holder="a", at=100.0)
    assert other.proposal(104.9, "") is None
    assert other.due(104.9) == 105.0
    assert other.proposal(105.0, "") is not None
    other.read(Record("a", SECONDS, "now", "8"), 104.0)
    assert other.proposal(108.9, "") is None


def test_who_reaches_no_router_lets_others_go_first() -> None:
    other = candidate("b", holder="a", at=0.0)
    assert other.proposal(6.9, "", patience=2.0) is None
    assert other.proposal(7.0, "", patience=2.0) is not None


def test_a_leader_counts_from_before_it_asked_and_for_less_than_others_wait() -> None:
    one = candidate("a")
    lead(one, 10.0)
    assert one.leads(10.0 + HOLDS * SECONDS - 0.01)
    assert not one.leads(10.0 + HOLDS * SECONDS)
    assert one.others_after == pytest.approx(15.0)


def test_without_an_answer_it_holds_on_until_it_sees_another_or_a_conflict() -> None:
    for contested, holds in ((False, True), (True, False)):
        one = candidate("a")
        lead(one, 0.0)
        one.unanswered(contested=contested)
        assert one.leads(1.0)
        assert one.holds_on(10.0) is holds
    one.read(Record("b", SECONDS, "x", "9"), 11.0)
    assert not one.holds_on(11.0)


def test_a_gift_is_the_others_at_once_and_is_not_taken_back() -> None:
    one = candidate("a")
    lead(one, 0.0)
    gift = one.gift("b", "now")
    assert gift is not None
    assert (gift.holder, one.leads(0.1), one.proposal(0.1, "")) == ("b", False, None)
    other = candidate("b")
    other.read(gift, 0.2)
    assert other.proposal(0.2, "") is not None


def test_a_deleted_lease_is_not_taken_while_its_holder_may_believe_in_it() -> None:
    other = candidate("b", holder="a", at=0.0)
    other.read(None, 1.0)
    assert other.proposal(5.9, "") is None
    assert other.proposal(6.0, "") is not None


def test_a_lease_is_read_as_it_was_written() -> None:
    record = Record("leviathan1", 5.0, "2026-01-01T00:00:00.000000Z", "12", "192.168.3.31:1791", 3)
    body = body_of(record, "onepeer-edge", "onepeer-system")
    assert record_of(body) == record
    assert record_of({"spec": {"leaseDurationSeconds": "x"}, "metadata": None}) == Record("", 0.0, "")


@pytest.mark.parametrize("router", ["192.168.3.1", "edge", "Edge", "fd00:3::1", "!!", "-a-", "e" * 99])
def test_the_name_of_a_lease_is_one_that_kubernetes_takes(router: str) -> None:
    """In lower case: Kubernetes answers 422 to another, once and for all."""
    assert re.fullmatch(r"onepeer-[a-z0-9]([a-z0-9.-]*[a-z0-9])?", lease_name(router))


def test_names_that_look_alike_are_different_leases() -> None:
    names = ["edge", "Edge", "edge!", "edge?", "e" * 60, "e" * 61]
    assert len({lease_name(name) for name in names}) == len(names)
