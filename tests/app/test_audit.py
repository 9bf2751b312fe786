"""What the audit of a whole Onepeer tells, over its restarts too."""

import json
from pathlib import Path

import pytest

from speaker.audit.reasons import Reason
from speaker.cluster.kube.bgppeers import PeerFacts
from speaker.cluster.kube.landscape import Landscape
from speaker.cluster.kube.nodes import NodeFacts
from speaker.cluster.kube.services import SpeakerFacts
from speaker.kept_since import FILE, KeptSince
from speaker.serve.views import AuditView
from speaker.whereabouts import by_bgp_peers, by_pods
from tests.app.stage import Stage, until

PREFIX = "192.168.30.1/32"
SINCE = {("node", "leviathan2"): 1_700_000_000.5, ("node", "leviathan2", "never-dialed"): 1_700_000_000.5}


async def audit(stage: Stage) -> AuditView:
    """Once it has found anything about a node."""
    await until(lambda: stage.report().audit().findings, f"something is found\n{stage.log()}")
    return stage.report().audit()


async def test_a_node_that_was_missing_before_a_restart_is_missing_since_then(stage: Stage) -> None:
    """Not since the restart; and the alarm waits until the nodes have had time to call."""
    stage.prepare()
    KeptSince(stage.folder / "state").save(SINCE)
    await stage.start()
    await stage.node(1, PREFIX)
    (finding,) = (await audit(stage)).findings
    assert (finding.node, finding.since, finding.alarm) == ("leviathan2", 1_700_000_000.5, False)


async def test_a_router_that_gets_nothing_is_found(stage: Stage) -> None:
    """With how it went, in the words of `status`."""
    await stage.start()
    await stage.node(1, PREFIX)
    (down,) = (await audit(stage)).routers
    assert (down.router, down.reason) == (stage.host(1), "router-session-down")
    assert "connection refused" in down.detail


async def test_a_drained_node_is_told_as_not_expected(stage: Stage) -> None:
    """Whether it has a session or not."""
    await stage.start()
    await stage.node(1, PREFIX)
    assert stage.speaker is not None
    stage.speaker.drain("leviathan2", False)
    await audit(stage)
    assert [(one.node, one.reason) for one in stage.status().not_expected] == [("leviathan2", "drained")]


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    """And written only when it is something else."""
    kept = KeptSince(tmp_path)
    assert kept.load() == {}
    kept.save(SINCE)
    (tmp_path / FILE).chmod(0o400)
    before = (tmp_path / FILE).stat()
    kept.save(dict(SINCE))
    assert (tmp_path / FILE).stat() == before
    assert KeptSince(tmp_path).load() == SINCE


def test_a_file_that_makes_no_sense_is_as_good_as_none(tmp_path: Path) -> None:
    """What can be read of it is taken."""
    for body in ("", "[]", "{}", json.dumps({"version": 1, "since": 7})):
        (tmp_path / FILE).write_text(body)
        assert KeptSince(tmp_path).load() == {}
    (tmp_path / FILE).write_text(json.dumps({"version": 1, "since": [[], [["node", "a"], "x"], [["node", "b"], 3]]}))
    assert KeptSince(tmp_path).load() == {("node", "b"): 3.0}


# ---- what pods and BGPPeers say of a node that never called


@pytest.mark.parametrize(
    ("pods", "reason"),
    [
        ((), None),
        ((("n2", "speaker", "native"),), Reason.SPEAKER_NOT_RUNNING),
        ((("n1", "speaker", "native"),), None),
        ((("n1", "speaker", "frr-k8s"),), None),  # frr-k8s runs where we do not look
        ((("n1", "speaker", "frr-k8s"), ("n2", "frr-k8s", "")), Reason.FRR_NOT_RUNNING),
        ((("n1", "speaker", "frr-k8s"), ("n1", "frr-k8s", "")), None),
        ((("n1", "frr-k8s", ""),), Reason.SPEAKER_NOT_RUNNING),
    ],
)
def test_the_pod_that_is_missing_is_named(pods: tuple[tuple[str, str, str], ...], reason: Reason | None) -> None:
    """With frr-k8s, MetalLB's default since 0.16, it takes two."""
    found = by_pods("n1", [SpeakerFacts(node, True, kind, component) for node, component, kind in pods])
    assert (found and found[0]) == reason


ENDS = {("192.168.3.10", 1790)}
RACK = {"nodeSelectors": [{"matchLabels": {"rack": "r1"}}]}


def why(**spec: object) -> tuple[Reason, str] | None:
    peer = PeerFacts("to-onepeer", False, "", "", {"peerAddress": "192.168.3.10", **spec})
    return by_bgp_peers("n1", Landscape(nodes=(NodeFacts("n1"),), peers=(peer,)), ENDS)


def test_a_wrong_port_a_node_left_out_and_no_bgppeer_at_all_are_told_apart() -> None:
    """By MetalLB's own objects."""
    assert why(peerPort=1790) is None
    assert why(peerPort=1791) == (Reason.WRONG_PORT, "to-onepeer says 1791, and we listen on 1790")
    assert why() == (Reason.WRONG_PORT, "to-onepeer says 179, and we listen on 1790")
    assert why(peerPort=1790, **RACK) == (Reason.NO_BGP_PEER, "the nodeSelectors of to-onepeer leave it out")
    assert why(peerAddress="192.168.3.11") == (Reason.NO_BGP_PEER, "")
    assert by_bgp_peers("n1", Landscape(), ENDS) is None
