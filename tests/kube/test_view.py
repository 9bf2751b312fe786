"""What is told of a cluster and when; Events; and what is kept for the next start."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.cluster.base import Allowed, Roster, RosterProblem
from speaker.cluster.kube import saved
from speaker.cluster.kube.client import ApiError, Why
from speaker.cluster.kube.events import About, Alarm, AlarmTeller, Reason, Teller, Told, event_body
from speaker.cluster.kube.nodes import NodeFacts
from speaker.cluster.kube.pools import AdvertisementFacts, PoolFacts
from speaker.cluster.kube.saved import Said
from speaker.cluster.kube.services import Flags
from speaker.cluster.kube.view import Item, Mirrors, View
from speaker.settings_selector import parse_selector
from tests.kube.settings import settings

DOWN = ApiError(Why.UNREACHABLE, "connection refused", subject="nodes")
NO_ROLE = ApiError(Why.FORBIDDEN, "pools are forbidden", "grant it", "ipaddresspools")


class Cluster:
    """Mirrors as an API server would fill them, and the view of them."""

    def __init__(self) -> None:
        self.view, self.mirrors = View(settings()), Mirrors.new(0)

    def list_nodes(self, *names: str) -> None:
        self._page(self.mirrors.nodes, [_node(name, at) for at, name in enumerate(names, 1)])

    def list_pools(self, *ranges: str) -> None:
        pools = [{"metadata": {"name": f"p{at}"}, "spec": {"addresses": [text]}} for at, text in enumerate(ranges)]
        self._page(self.mirrors.pools, pools)
        self._page(self.mirrors.advertisements, [{"metadata": {"name": "a"}, "spec": {}}])

    def fail(self, error: ApiError, *mirrors: Any) -> None:
        for mirror in mirrors or (self.mirrors.nodes, self.mirrors.pools, self.mirrors.advertisements):
            mirror.failed(error, 50)
            mirror.failed(error, 55)

    def look(self) -> list[Item]:
        return list(self.view.look(self.mirrors))

    def kinds(self) -> list[str]:
        return [type(item).__name__ for item in self.look()]

    @staticmethod
    def _page(mirror: Any, items: list[Any]) -> None:
        mirror.page({"metadata": {"resourceVersion": "1"}, "items": items}, 10)


def _node(name: str, at: int) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"addresses": [{"type": "InternalIP", "address": f"10.0.0.{at}"}]}}


def test_nothing_is_told_before_a_listing_is_whole() -> None:
    cluster = Cluster()
    assert cluster.kinds() == []
    cluster.list_nodes("a")
    assert cluster.kinds() == ["Roster"]
    cluster.list_pools("10.9.0.0/24")
    assert cluster.kinds() == ["Allowed"]
    assert cluster.kinds() == []


EXCLUDED = {"node.kubernetes.io/exclude-from-external-load-balancers": ""}


def test_a_node_with_the_exclusion_label_may_peer_where_metallbs_speakers_ignore_that() -> None:
    """As their pods say; and over a start without the API server, too, when the pods are not known."""
    cluster = Cluster()
    node = _node("a", 1)
    node["metadata"]["labels"] = EXCLUDED
    cluster._page(cluster.mirrors.nodes, [node])
    (roster,) = cluster.look()
    assert isinstance(roster, Roster)
    assert not roster.nodes
    container = {"args": ["--port=7472", "--ignore-exclude-lb"]}
    pod = {"metadata": {"name": "s", "labels": {"component": "speaker"}}, "spec": {"nodeName": "a"}}
    pod["spec"]["containers"] = [container]  # type: ignore[index]
    cluster._page(cluster.mirrors.speakers, [pod])
    (roster,) = cluster.look()
    assert isinstance(roster, Roster)
    assert list(roster.by_name) == ["a"]
    later = Cluster()
    later.view.remember(cluster.view.said)
    (roster,) = later.look()
    assert isinstance(roster, Roster)
    assert list(roster.by_name) == ["a"]


def test_a_change_is_told_once() -> None:
    cluster = Cluster()
    cluster.list_nodes("a")
    cluster.look()
    cluster.list_nodes("a", "b")
    (roster,) = cluster.look()
    assert isinstance(roster, Roster)
    assert list(roster.by_name) == ["a", "b"]


def test_a_problem_leaves_the_roster_and_says_since_when() -> None:
    cluster = Cluster()
    cluster.list_nodes("a")
    cluster.list_pools("10.9.0.0/24")
    cluster.look()
    cluster.fail(DOWN)
    (problem,) = cluster.look()
    assert isinstance(problem, RosterProblem)
    assert problem.since == pytest.approx(cluster.mirrors.epoch + 10)
    (line,) = problem.lines  # one API server, one line
    assert line.startswith("no word from Kubernetes since 20")
    assert line.endswith("Z: connection refused")
    assert cluster.look() == []


def test_the_end_of_a_problem_is_a_roster_also_where_it_is_the_same() -> None:
    cluster = Cluster()
    cluster.list_nodes("a")
    cluster.look()
    cluster.fail(DOWN, cluster.mirrors.nodes)
    assert cluster.kinds() == ["RosterProblem"]
    cluster.mirrors.nodes.steady(60)
    assert cluster.kinds() == ["Roster"]


def test_a_problem_that_outlives_a_change_is_told_after_it_again() -> None:
    cluster = Cluster()
    cluster.list_nodes("a")
    cluster.fail(NO_ROLE, cluster.mirrors.pools)
    items = cluster.look()
    assert isinstance(items[-1], RosterProblem)
    assert "ipaddresspools: pools are forbidden; grant it" in str(items[-1])
    cluster.list_nodes("a", "b")
    assert cluster.kinds() == ["Roster", "RosterProblem"]


def test_a_cluster_without_a_single_node_is_not_believed() -> None:
    cluster = Cluster()
    cluster.list_nodes("a")
    cluster.look()
    cluster.list_nodes()
    (problem,) = cluster.look()
    assert isinstance(problem, RosterProblem)
    assert "no Node at all" in str(problem)
    cluster.list_nodes("a")
    assert cluster.kinds() == ["Roster"]


def test_no_pools_are_believed_and_let_nothing_in() -> None:
    cluster = Cluster()
    cluster.list_nodes("a")
    cluster.list_pools("10.9.0.0/24")
    cluster.look()
    cluster.list_pools()
    (allowed,) = cluster.look()
    assert allowed == Allowed(())


def test_what_was_saved_stands_in_until_the_cluster_answers() -> None:
    cluster = Cluster()
    assert not cluster.view.wants_saved(cluster.mirrors, late=False)
    cluster.fail(DOWN, cluster.mirrors.pools)
    assert cluster.kinds() == ["RosterProblem"]
    assert not cluster.view.wants_saved(cluster.mirrors, late=False)
    cluster.fail(DOWN)
    assert cluster.view.wants_saved(cluster.mirrors, late=False)
    assert not cluster.view.wants_saved(cluster.mirrors, late=False)
    cluster.view.remember(SAID)
    assert cluster.kinds() == ["Allowed", "Roster", "RosterProblem"]
    assert "what was saved at 2001-09-09" in str(cluster.view._problem)
    cluster.list_nodes("c")
    assert cluster.kinds() == ["Roster", "RosterProblem"]
    assert not cluster.view.wants_saved(cluster.mirrors, late=True)


# ---- what is kept

SAID = Said(
    (NodeFacts("a", "u", "2026", ("10.0.0.1", "fd00::1"), (("role", "x"),), None, "3", True),),
    (PoolFacts("p", ("10.9.0.0/24",), (("zone", "a"),)),),
    (
        AdvertisementFacts(
            "a", ("p",), (parse_selector("zone in (a,b),!c"),), False, 24, 64, services=(parse_selector("a=b"),)
        ),
    ),
    Flags(True, "metallb.io/lb"),
    1e9,
)


def test_what_was_saved_is_what_is_read(tmp_path: Path) -> None:
    saved.save(tmp_path / "new", SAID)
    found = saved.load(tmp_path / "new")
    assert found is not None
    assert found.nodes == SAID.nodes
    assert found.pools == SAID.pools
    assert found.flags == SAID.flags
    assert found.advertisements is not None
    assert SAID.advertisements is not None
    was, now = SAID.advertisements[0].selectors[0], found.advertisements[0].selectors[0]
    assert now.requirements == was.requirements
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["cluster.json"]


ODD = [b'{"version": 1}', b'{"version": 1, "nodes": [1], "at": 1}', b"[" * 20000]


@given(st.binary(max_size=60) | st.sampled_from(ODD))
def test_a_file_that_is_not_ours_is_none(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / saved.FILE).write_bytes(content)
        assert saved.load(Path(folder)) is None


def test_no_file_is_none(tmp_path: Path) -> None:
    assert saved.load(tmp_path / "none") is None


# ---- Events

UP: dict[str, str | None] = {"a": None}
LOST: dict[str, str | None] = {"a": "hold-timer-expired"}
REFUSED: dict[str, str | None] = {"a": "refused: wrong-as"}


def test_a_session_that_comes_goes_and_is_refused_is_told() -> None:
    teller, told = Teller(0), []
    for now, nodes in enumerate([{"a": "never dialed"}, UP, UP, LOST, LOST, REFUSED, UP]):
        told += list(teller.look(nodes, now))
    assert [one.reason for one in told] == [Reason.UP, Reason.DOWN, Reason.REFUSED, Reason.UP]
    assert told[1].note.endswith("is down: hold-timer-expired")


def test_after_a_reload_nothing_is_told_again() -> None:
    assert list(Teller(0).look(UP, 0)) == []


def test_a_session_that_flaps_for_ever_is_told_of_once_a_minute() -> None:
    teller = Teller(0)
    told = [one for now in range(3600) for one in teller.look(UP if now % 2 else LOST, now)]
    assert 55 < len(told) < 70


def test_a_thousand_nodes_are_told_of_one_a_second() -> None:
    """And every one of them in the end."""
    teller = Teller(0)
    list(teller.look({}, 0))
    nodes: dict[str, str | None] = {f"n{number}": None for number in range(1000)}
    told = [(now, one.about.name) for now in range(1, 1200) for one in teller.look(nodes, now)]
    assert len({node for _, node in told}) == 1000
    assert len([1 for now, _ in told if now <= 100]) <= 130


def test_it_says_whether_something_is_yet_to_be_told() -> None:
    """Else nobody needs to look again without news."""
    teller = Teller(0)
    nodes: dict[str, str | None] = {f"n{number}": None for number in range(50)}
    list(teller.look({}, 0))
    list(teller.look(nodes, 1))
    assert teller.behind
    list(teller.look(nodes, 60))
    assert not teller.behind


def test_an_event_is_what_describe_looks_for() -> None:
    body = event_body(
        Told(About("Node", "a", uid="uid"), Reason.DOWN, "ä" * 1000),
        "host",
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    )
    assert body["eventTime"] == "2026-01-02T03:04:05.000006Z"
    assert body["regarding"]["uid"] == "uid"
    assert len(body["note"].encode()) <= 1024


def alarms(*nodes: str, reason: str = "never-dialed") -> list[Alarm]:
    return [Alarm(About("Node", node), reason, f"{node}: {reason}") for node in nodes]


def test_an_alarm_is_told_once_and_again_when_it_comes_back() -> None:
    """On the Node it is about."""
    teller = AlarmTeller("metallb-system", 0.0)
    assert [told.about.name for told in teller.look(alarms("a"), 1.0)] == ["a"]
    assert list(teller.look(alarms("a"), 2.0)) == []
    assert list(teller.look([], 3.0)) == []
    assert [told.reason for told in teller.look(alarms("a"), 4.0)] == [Reason.MISSING]


def test_many_nodes_with_one_alarm_are_one_event_on_metallbs_namespace() -> None:
    """A rollout that went wrong; a node with another fault is told by itself."""
    teller = AlarmTeller("metallb-system", 0.0)
    found = list(teller.look([*alarms(*"abcdef"), *alarms("g", reason="refused")], 1.0))
    assert [(told.about.kind, told.about.name) for told in found] == [("Namespace", "metallb-system"), ("Node", "g")]
    assert "a, b, c, d, e, f" in found[0].note
    assert list(teller.look(alarms(*"abcdef"), 2.0)) == []


def test_many_services_that_nobody_announces_are_one_event() -> None:
    """A BGPAdvertisement was deleted."""
    teller = AlarmTeller("metallb-system", 0.0)
    found = [Alarm(About("Service", name, "default"), "no-advertisement", name) for name in "abcdef"]
    (told,) = teller.look(found, 1.0)
    assert (told.about.kind, told.about.name) == ("Namespace", "metallb-system")
    assert "(no-advertisement): default/a, default/b" in told.note
