"""What is missing, and why: every reason once, and what is no fault."""

import pytest

from speaker.audit.compare import Missing, NodeState, compare
from speaker.audit.expect import Wanted
from speaker.audit.reasons import Reason
from speaker.audit.watch import GRACE, Auditor
from speaker.bgp.iana import Family

UP = NodeState(None, paths=2)
OF_A_SERVICE = {
    Reason.NO_ADDRESS,
    Reason.NO_ENDPOINTS,
    Reason.NO_LOCAL_ENDPOINTS,
    Reason.NO_POOL,
    Reason.NO_ADVERTISEMENT,
    Reason.ELSEWHERE,
    Reason.NOT_CHOSEN,
    Reason.NO_NODE,
    Reason.OTHER_CLASS,
}
P, Q = bytes((32, 192, 168, 30, 1)), bytes((32, 192, 168, 30, 2))
NODES = frozenset(("n1", "n2", "n3"))


def wanted(*prefixes: bytes, nodes: frozenset[str] = NODES) -> list[Wanted]:
    return [Wanted(f"default/s{at}", "a", Family.IPV4, (p,), nodes) for at, p in enumerate(prefixes, 1)]


class Cluster:
    """compare.Live by hand: every node announces everything unless said."""

    def __init__(self, **states: NodeState) -> None:
        self.states = {name: states.get(name, UP) for name in sorted(NODES)}
        self.lost: set[tuple[str, bytes]] = set()
        self.down: dict[str, str] = {}
        self.refused: dict[tuple[str, bytes], str] = {}

    def nodes(self) -> dict[str, NodeState]:
        return self.states

    def announcers(self, family: Family, prefix: bytes) -> set[str]:
        gone = {name for name, state in self.states.items() if state.why is not None or not state.paths}
        gone |= {name for name in NODES if (name, prefix) in self.lost or (name, prefix) in self.refused}
        return set(NODES) - gone

    def kept_out(self, node: str, family: Family, prefix: bytes) -> str | None:
        return self.refused.get((node, prefix))

    def routers(self) -> dict[str, str]:
        return self.down


def found(cluster: Cluster, *prefixes: bytes) -> list[tuple[str, Reason, bool, int]]:
    result = compare(wanted(*(prefixes or (P, Q))), cluster)
    return [(missing.node, missing.reason, missing.whole, len(missing.wanted)) for missing in result.missing]


def test_where_all_is_there_nothing_is_found() -> None:
    """Three nodes, two Services."""
    assert found(Cluster()) == []


@pytest.mark.parametrize(
    "reason",
    [
        Reason.NEVER_DIALED,
        Reason.REFUSED,
        Reason.SPEAKER_NOT_RUNNING,
        Reason.NO_BGP_PEER,
        Reason.WRONG_PASSWORD,
        Reason.SESSION_LOST,
        Reason.NOT_READY,
        Reason.SILENT,
    ],
)
def test_a_node_without_a_session_is_one_finding_with_its_reason(reason: Reason) -> None:
    """However many Services it should announce."""
    assert found(Cluster(n3=NodeState(reason, "why"))) == [("n3", reason, True, 2)]


def test_a_session_that_is_up_and_empty_is_told_apart_from_one_that_lacks_a_path() -> None:
    """The first is a speaker that does not work, the second a Service that it does not know."""
    assert found(Cluster(n3=NodeState(None, paths=0))) == [("n3", Reason.NOTHING_ANNOUNCED, True, 2)]
    cluster = Cluster()
    cluster.lost = {("n3", P)}
    assert found(cluster) == [("n3", Reason.NOT_ANNOUNCED, False, 1)]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("prefix-not-allowed", Reason.OUTSIDE),
        ("next-hop-not-own", Reason.NEXT_HOP),
        ("as-loop", Reason.KEPT_OUT),
    ],
)
def test_what_the_guard_keeps_out_is_told_with_its_reason(word: str, reason: Reason) -> None:
    """One path of one node."""
    cluster = Cluster()
    cluster.refused = {("n2", Q): word}
    assert found(cluster) == [("n2", reason, False, 1)]


def test_without_services_a_node_that_announces_nothing_while_its_peers_do_is_found() -> None:
    """A roster by file: nobody knows more."""
    cluster = Cluster(n2=NodeState(None, paths=0), n3=NodeState(Reason.NEVER_DIALED))
    result = compare([], cluster)
    assert [(m.node, m.reason) for m in result.missing] == [
        ("n2", Reason.NOTHING_ANNOUNCED),
        ("n3", Reason.NEVER_DIALED),
    ]


def test_without_services_and_paths_nothing_is_found() -> None:
    """No Service exists yet."""
    empty = {name: NodeState(None, paths=0) for name in NODES}
    assert compare([], Cluster(**empty)).missing == ()


def look(auditor: Auditor, cluster: Cluster, now: float) -> list[tuple[Missing, float, bool]]:
    auditor.look(wanted(P, Q), cluster, now)
    return [(finding.missing, finding.since, finding.alarm) for finding in auditor.findings.nodes]


def test_a_node_that_joins_has_its_time_and_then_it_is_an_alarm() -> None:
    """Half a minute, from when it was first missing."""
    auditor, cluster = Auditor(), Cluster(n3=NodeState(Reason.NEVER_DIALED))
    assert [alarm for *_, alarm in look(auditor, cluster, 100)] == [False]
    assert [alarm for *_, alarm in look(auditor, cluster, 100 + GRACE - 1)] == [False]
    ((_, since, alarm),) = look(auditor, cluster, 100 + GRACE)
    assert (since, alarm) == (100, True)


def test_what_comes_back_is_no_finding_and_begins_anew_when_it_goes_again() -> None:
    """A rollout of MetalLB: each node is away for some seconds."""
    auditor, away = Auditor(), Cluster(n3=NodeState(Reason.SESSION_LOST))
    look(auditor, away, 100)
    assert look(auditor, Cluster(), 120) == []
    assert [alarm for *_, alarm in look(auditor, away, 140)] == [False]


def test_another_reason_is_no_new_absence() -> None:
    """It never dialled for 20 s, and has been refused since."""
    auditor = Auditor()
    look(auditor, Cluster(n3=NodeState(Reason.NEVER_DIALED)), 100)
    look(auditor, Cluster(n3=NodeState(Reason.REFUSED)), 120)
    ((_, since, alarm),) = look(auditor, Cluster(n3=NodeState(Reason.REFUSED)), 100 + GRACE)
    assert (since, alarm) == (100, True)


@pytest.mark.parametrize("reason", [Reason.NOT_READY, Reason.DRAINED])
def test_what_is_no_fault_never_becomes_an_alarm(reason: Reason) -> None:
    """It is told all the same."""
    auditor, cluster = Auditor(), Cluster(n3=NodeState(reason))
    look(auditor, cluster, 0)
    assert [alarm for *_, alarm in look(auditor, cluster, 3600)] == [False]


# ---- Services that nobody announces, and routers that get nothing


def nobody(reason: Reason) -> list[Wanted]:
    return [Wanted("default/web", "192.168.30.1", Family.IPV4, (P,), frozenset(), reason)]


@pytest.mark.parametrize("reason", sorted(OF_A_SERVICE))
def test_a_service_that_nobody_announces_is_an_alarm_where_that_is_a_fault(reason: Reason) -> None:
    """Scaled to nothing on purpose is none; a pool that no BGPAdvertisement takes is one."""
    auditor, cluster = Auditor(), Cluster()
    cluster.lost = {(name, P) for name in NODES}
    for now in (100, 100 + GRACE):
        auditor.look(nobody(reason), cluster, now)
    (finding,) = auditor.findings.services
    assert (finding.missing.service, finding.missing.reason, finding.since) == ("default/web", reason, 100)
    assert finding.alarm is reason.fault
    assert auditor.findings.nodes == ()


def test_what_is_announced_though_nobody_should_is_no_finding() -> None:
    """MetalLB has flags that we cannot see."""
    auditor = Auditor()
    auditor.look(nobody(Reason.NO_NODE), Cluster(), 100)
    assert auditor.findings.services == ()


def test_a_router_that_gets_nothing_for_half_a_minute_is_an_alarm() -> None:
    """And none any more when its session is up."""
    auditor, cluster = Auditor(), Cluster()
    cluster.down = {"edge": "hold-timer-expired"}
    auditor.look([], cluster, 100)
    assert [finding.alarm for finding in auditor.findings.routers] == [False]
    auditor.look([], cluster, 100 + GRACE)
    assert [(one.missing.router, one.alarm) for one in auditor.findings.routers] == [("edge", True)]
    cluster.down = {}
    auditor.look([], cluster, 200)
    assert auditor.findings.routers == ()


# ---- over a restart of ours

AWAY = NodeState(Reason.NEVER_DIALED)


def restarted(before: Auditor) -> Auditor:
    """Another process, with what the one before it kept."""
    return Auditor(dict(before.since))


def test_a_node_that_is_missing_for_days_is_that_after_a_restart_too() -> None:
    """And an alarm as soon as the nodes have had their time; those that are merely late are none."""
    before, late = Auditor(), Cluster(n2=AWAY, n3=AWAY)
    look(before, Cluster(n3=AWAY), 1000)
    after = restarted(before)
    after.look(wanted(P), late, 900_000, settled=False)
    assert [(one.missing.node, one.since, one.alarm) for one in after.findings.nodes] == [
        ("n2", 900_000, False),
        ("n3", 1000, False),
    ]
    assert [(m.node, since, alarm) for m, since, alarm in look(after, late, 900_010)] == [
        ("n2", 900_000, False),
        ("n3", 1000, True),
    ]


def test_an_alarm_outlives_changed_settings_and_no_other_is_made_of_them() -> None:
    """All sessions begin anew; n3 was missing before."""
    auditor = Auditor()
    look(auditor, Cluster(n3=AWAY), 100)
    look(auditor, Cluster(n3=AWAY), 100 + GRACE)
    for now in (140, 140 + GRACE):
        auditor.look(wanted(P), Cluster(n1=AWAY, n2=AWAY, n3=AWAY), now, settled=False)
    alarms = {finding.missing.node: finding.alarm for finding in auditor.findings.nodes}
    assert alarms == {"n1": False, "n2": False, "n3": True}


def test_the_time_is_kept_where_the_reason_is_another_after_the_restart() -> None:
    """It had lost its session; whoever has just started knows of none."""
    before = Auditor()
    look(before, Cluster(n3=NodeState(Reason.SESSION_LOST)), 1000)
    ((_, since, _),) = look(restarted(before), Cluster(n3=AWAY), 5000)
    assert since == 1000


def test_a_node_that_came_back_with_the_restart_and_is_lost_again_is_missing_since_then() -> None:
    """Not since the time before."""
    before = Auditor()
    look(before, Cluster(n3=AWAY), 1000)
    after = restarted(before)
    after.look(wanted(P), Cluster(n3=AWAY), 5000, settled=False)
    after.look(wanted(P), Cluster(), 5010, settled=False)
    ((_, since, alarm),) = look(after, Cluster(n3=AWAY), 5040)
    assert (since, alarm) == (5040, False)


def test_every_reason_has_a_next_step() -> None:
    """A sentence, with a full stop or a command at its end."""
    assert all(len(reason.next_step) > 20 for reason in Reason)
