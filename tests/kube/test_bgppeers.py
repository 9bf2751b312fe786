"""What is done about MetalLB's BGPPeers."""

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from speaker.cluster.kube.bgppeers import Apply, PeerFacts, PeerKeeper, Remove, peer_facts, wanted_peers
from tests.kube.settings import settings

PLAIN = settings(listen={"addresses": ["192.168.3.10"]})
READY = {"leviathan1": True, "leviathan2": True}
NAME = "onepeer-192-168-3-10"


def keeper(now: float = 0) -> PeerKeeper:
    return PeerKeeper(PLAIN, "leviathan1", now)


def by_name(*bodies: Mapping[str, Any]) -> dict[str, PeerFacts]:
    return {facts.name: facts for facts in map(peer_facts, bodies)}


def present(**spec: Any) -> dict[str, PeerFacts]:
    """Ours, as it should be but for these fields; with MetalLB's defaults."""
    (body,) = wanted_peers(PLAIN, "leviathan1", "leviathan1")
    return by_name({**body, "spec": {**body["spec"], "disableMP": False, **spec}})


def foreign(name: str = "mine", **spec: Any) -> dict[str, PeerFacts]:
    body = {"metadata": {"name": name, "labels": {"app": "x"}}, "spec": {"peerAddress": "192.168.3.1", **spec}}
    return by_name(body)


def steps(
    who: PeerKeeper,
    there: Mapping[str, PeerFacts],
    now: float,
    nodes: Mapping[str, bool] | None = READY,
    up: Collection[str] = (),
    frr: bool | None = None,
) -> list[Apply | Remove]:
    return list(who.decide(there, nodes, up, now, frr=frr))


def test_where_metallb_ignores_the_exclusion_label_every_node_is_to_dial() -> None:
    """No selector at all, unless the settings have one."""
    (peer,) = wanted_peers(PLAIN, everywhere=True)
    assert "nodeSelectors" not in peer["spec"]
    for said in (True, False):
        (peer, *_) = wanted_peers(settings(nodes={"kubernetes": {"ignore_exclude_lb": said}}), everywhere=not said)
        assert ("nodeSelectors" in peer["spec"]) is not said


def test_a_peer_says_what_metallb_needs_and_no_more() -> None:
    more = {"kubernetes": {"selector": "role=worker", "bgp_peers": {"password_secret": "bgp"}}, "asn": 64600}
    four, six = wanted_peers(settings(nodes=more), "leviathan1", "leviathan1")
    assert four == {
        "apiVersion": "metallb.io/v1beta2",
        "kind": "BGPPeer",
        "metadata": {
            "name": NAME,
            "namespace": "metallb-system",
            "labels": {"app.kubernetes.io/managed-by": "onepeer", "onepeer.io/replica": "leviathan1"},
            "annotations": {"onepeer.io/node": "leviathan1"},
        },
        "spec": {
            "myASN": 64600,
            "peerASN": 64512,
            "peerAddress": "192.168.3.10",
            "peerPort": 1790,
            "holdTime": "90s",
            "nodeSelectors": [
                {
                    "matchExpressions": [
                        {"key": "node.kubernetes.io/exclude-from-external-load-balancers", "operator": "DoesNotExist"},
                        {"key": "role", "operator": "In", "values": ["worker"]},
                    ]
                }
            ],
            "passwordSecret": {"name": "bgp"},
        },
    }
    assert six["metadata"]["name"] == "onepeer-fd00-0003-0000-0000-0000-0000-0000-0010"


def test_what_is_missing_is_made_and_what_is_right_is_left() -> None:
    (step,) = steps(keeper(), {}, 1)
    assert isinstance(step, Apply)
    assert step.name == NAME
    assert steps(keeper(), present(), 1, up=["leviathan1"]) == []


@pytest.mark.parametrize("spec", [{"myASN": 1}, {"peerPort": 179}, {"holdTime": "9s"}, {"nodeSelectors": []},
                                  {"passwordSecret": {"name": "x"}}])  # fmt: skip
def test_what_somebody_has_changed_is_put_right(spec: dict[str, Any]) -> None:
    (step,) = steps(keeper(), present(**spec), 1, up=["leviathan1"])
    assert isinstance(step, Apply)


def test_a_field_that_we_do_not_say_may_be_anybodys() -> None:
    assert steps(keeper(), present(bfdProfile="fast", connectTime="2s"), 1, up=["leviathan1"]) == []


@pytest.mark.parametrize("theirs", [foreign(peerAddress="192.168.3.10", peerPort=1790), foreign(NAME)],
                         ids=["our address", "our name"])  # fmt: skip
def test_a_persons_peer_in_our_place_is_left_alone_and_named(theirs: dict[str, PeerFacts]) -> None:
    who = keeper()
    assert steps(who, theirs, 100) == []
    assert who.foreign(theirs) == list(theirs)


def test_a_persons_other_peer_is_no_concern_of_ours() -> None:
    who, theirs = keeper(), foreign()
    assert [type(step) for step in steps(who, theirs, 1)] == [Apply]
    assert steps(who, {**theirs, **present()}, 1, up=["leviathan1"]) == []
    assert who.foreign(theirs) == []


def test_a_touch_changes_the_hold_time_by_a_second_and_comes_less_and_less_often() -> None:
    who, there, times = keeper(), present(), []
    for now in range(1300):
        for step in steps(who, there, now):
            assert isinstance(step, Apply)
            times.append(now)
            before = dict(there[NAME].spec)
            assert {before.pop("holdTime"), step.body["spec"]["holdTime"]} == {"90s", "91s"}
            assert {k: v for k, v in step.body["spec"].items() if k != "holdTime"}.items() <= before.items()
            there = present(holdTime=step.body["spec"]["holdTime"])
    assert times == [1, 61, 181, 421, 901]


def managed(**spec: Any) -> dict[str, PeerFacts]:
    """Ours, with the API server's book of what we said in its spec."""
    (body,) = wanted_peers(PLAIN, "leviathan1", "leviathan1")
    fields = {"f:spec": {f"f:{key}": {} for key in (*body["spec"], *spec)}}
    book = [{"manager": "kubectl"}, {"manager": "onepeer", "operation": "Apply", "fieldsV1": fields}]
    return by_name({**body, "metadata": {**body["metadata"], "managedFields": book}, "spec": {**body["spec"], **spec}})


def connect_times(found: list[Apply | Remove]) -> list[str | None]:
    return [step.body["spec"].get("connectTime") for step in found if isinstance(step, Apply)]


def test_frr_is_told_to_dial_every_second_and_a_native_speaker_never() -> None:
    """A native speaker refuses its whole configuration where any BGPPeer has a connectTime."""
    who, up = keeper(), ["leviathan1"]
    assert connect_times(steps(who, {}, 1, up=up, frr=True)) == ["1s"]
    assert connect_times(steps(who, managed(), 2, up=up, frr=True)) == ["1s"]
    assert steps(who, managed(connectTime="1s"), 3, up=up, frr=True) == []
    assert connect_times(steps(who, managed(connectTime="1s"), 4, up=up, frr=False)) == [None]
    assert connect_times(steps(who, {}, 5, up=up, frr=False)) == [None]


@pytest.mark.parametrize("there", [managed(), managed(connectTime="1s")], ids=["without", "with"])
def test_while_the_speakers_are_not_known_what_was_said_stays(there: dict[str, PeerFacts]) -> None:
    assert steps(keeper(), there, 1, up=["leviathan1"]) == []


def test_a_persons_connect_time_on_our_peer_is_theirs() -> None:
    assert steps(keeper(), present(connectTime="7s"), 1, up=["leviathan1"], frr=False) == []


def test_the_settings_connect_time_is_said_whatever_the_speakers_are() -> None:
    asked = settings(nodes={"kubernetes": {"bgp_peers": {"connect_time": "3s"}}})
    for frr in (False, True):
        assert [peer["spec"].get("connectTime") for peer in wanted_peers(asked, frr=frr)] == ["3s", "3s"]


def test_a_bfd_profile_is_named_where_no_speaker_is_native_and_taken_back_where_one_is() -> None:
    """A native speaker refuses its whole configuration where any BGPPeer has one, by whose wish ever."""
    asked = settings(
        listen={"addresses": ["192.168.3.10"]},
        nodes={"bfd": {}, "kubernetes": {"bgp_peers": {"bfd_profile": "onepeer"}}},
    )
    who, up = PeerKeeper(asked, "leviathan1", 0), ["leviathan1"]
    there = managed(connectTime="1s")
    (step,) = steps(who, there, 1, up=up, frr=True)
    assert isinstance(step, Apply)
    assert step.body["spec"]["bfdProfile"] == "onepeer"
    said = managed(connectTime="1s", bfdProfile="onepeer")
    assert steps(who, said, 2, up=up, frr=True) == []
    assert steps(who, said, 3, up=up) == []
    (step,) = steps(who, said, 4, up=up, frr=False)
    assert isinstance(step, Apply)
    assert "bfdProfile" not in step.body["spec"]
    (step,) = steps(keeper(), said, 5, up=up, frr=True)
    assert isinstance(step, Apply)
    assert "bfdProfile" not in step.body["spec"]


def test_nothing_is_touched_while_any_node_has_a_session() -> None:
    who = keeper()
    assert not any(steps(who, present(), now, up=["leviathan2"]) for now in range(0, 501, 10))
    assert steps(who, present(), 500.9) == []  # it may come back by itself
    assert len(steps(who, present(), 502)) == 1


def test_it_says_when_time_alone_may_change_what_is_to_be_done() -> None:
    """A touch, or the end of a replica's peer; else nobody needs to look."""
    who, there = keeper(), {**present(), **other("leviathan2", "leviathan2")}
    steps(who, there, 10, READY, ["leviathan1"])
    assert who.due is None
    steps(who, there, 20, {"leviathan1": True}, ["leviathan1"])
    assert who.due == 80
    steps(who, present(), 30, READY, [])
    assert who.due == 31


@pytest.mark.parametrize("nodes", [None, {}, {"leviathan1": False}])
def test_nothing_is_touched_where_no_node_is_there_for_sure(nodes: Mapping[str, bool] | None) -> None:
    assert not any(steps(keeper(), present(), now, nodes) for now in range(0, 501, 10))


def other(replica: str, node: str) -> dict[str, PeerFacts]:
    labels = {"app.kubernetes.io/managed-by": "onepeer", "onepeer.io/replica": replica}
    metadata = {"name": "onepeer-192-168-3-11", "labels": labels, "annotations": {"onepeer.io/node": node}}
    return by_name({"metadata": metadata, "spec": {"peerAddress": "192.168.3.11"}})


def test_where_we_listen_no_more_our_peer_goes() -> None:
    (step,) = steps(keeper(), {**present(), **other("leviathan1", "leviathan1")}, 1, up=["leviathan2"])
    assert step == Remove("onepeer-192-168-3-11", "this replica listens there no more")


def test_another_replicas_peer_goes_only_after_its_node() -> None:
    who, there = keeper(), {**present(), **other("leviathan2", "leviathan2")}
    gone = {"leviathan1": True}
    assert steps(who, there, 0, READY, ["x"]) == []
    assert steps(who, there, 10, gone, ["x"]) == []
    assert steps(who, there, 60, None, ["x"]) == []  # the API is away: counting begins anew
    assert steps(who, there, 100, gone, ["x"]) == []
    assert steps(who, there, 159, gone, ["x"]) == []
    (step,) = steps(who, there, 160, gone, ["x"])
    assert isinstance(step, Remove)


def test_a_replica_that_is_on_no_known_node_is_never_taken_for_gone() -> None:
    there = {**present(), **other("somewhere", "")}
    who = keeper()
    assert not any(steps(who, there, now, READY, ["x"]) for now in range(0, 1000, 50))
