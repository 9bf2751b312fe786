"""The roster that Node objects make."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.cluster.base import Roster
from speaker.cluster.kube.nodes import NodeFacts, facts, make_roster
from tests.kube.settings import settings

PLAIN = settings()


def node(name: str, *addresses: str, **more: Any) -> NodeFacts:
    return NodeFacts(name, addresses=addresses, **{"ready": True, **more})


def roster(*nodes: NodeFacts, before: Roster | None = None, **nodes_settings: Any) -> Roster:
    chosen = settings(nodes=nodes_settings) if nodes_settings else PLAIN
    return make_roster(nodes, chosen, before or Roster())


def addresses(found: Roster) -> dict[str, list[str]]:
    return {node.name: [str(address) for address in node.addresses] for node in found.nodes}


def test_nodes_with_the_exclusion_label_are_let_in_where_the_settings_say_so() -> None:
    """Whatever MetalLB's pods show."""
    labelled = node("a", "192.168.3.31", labels=(("node.kubernetes.io/exclude-from-external-load-balancers", ""),))
    assert addresses(roster(labelled)) == {}
    let_in = roster(labelled, kubernetes={"ignore_exclude_lb": True})
    assert addresses(let_in) == {"a": ["192.168.3.31"]}


def test_a_node_object_is_read_for_what_matters_and_no_more() -> None:
    item = {
        "metadata": {
            "name": "leviathan1", "uid": "u-1", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"role": "worker"}, "annotations": {"onepeer.io/weight": "3", "other": "x"},
        },
        "status": {
            "addresses": [{"type": "InternalIP", "address": "192.168.3.31"}, {"type": "ExternalIP", "address": "1.1"},
                          {"type": "InternalIP", "address": "fd00:3::31"}, {"type": "Hostname", "address": "it"}],
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "now"}],
            "images": [{"names": ["x"]}],
        },
    }  # fmt: skip
    assert facts(item) == NodeFacts(
        "leviathan1",
        "u-1",
        "2026-01-01T00:00:00Z",
        ("192.168.3.31", "fd00:3::31"),
        (("role", "worker"),),
        None,
        "3",
        True,
    )


def test_every_node_is_in_the_roster_with_the_asn_and_password_of_the_settings() -> None:
    found = roster(node("b", "192.168.3.32"), node("a", "192.168.3.31", "fd00:3::31"))
    assert addresses(found) == {"a": ["192.168.3.31", "fd00:3::31"], "b": ["192.168.3.32"]}
    assert {(each.asn, each.weight, each.password) for each in found.nodes} == {(64512, 1, None)}
    assert found.notes == ()


def test_labels_select_and_kubernetes_own_label_excludes() -> None:
    worker, excluded = (("role", "worker"),), (("node.kubernetes.io/exclude-from-external-load-balancers", ""),)
    nodes = node("a", "10.0.0.1", labels=worker), node("b", "10.0.0.2"), node("c", "10.0.0.3", labels=worker + excluded)
    assert list(addresses(roster(*nodes))) == ["a", "b"]
    assert list(addresses(roster(*nodes, kubernetes={"selector": "role=worker"}))) == ["a"]


def test_an_annotation_names_another_source_address_of_its_family() -> None:
    one = node("a", "192.168.3.31", "fd00:3::31", bgp_address="10.9.9.1")
    assert addresses(roster(one)) == {"a": ["10.9.9.1", "fd00:3::31"]}
    both = node("a", "192.168.3.31", bgp_address="10.9.9.1, fd00:9::1")
    assert addresses(roster(both)) == {"a": ["10.9.9.1", "fd00:9::1"]}


@pytest.mark.parametrize("said", ["", "leviathan1", "10.9.9.1/24", "10.9.9.1,,", "fe80::1", "0.0.0.0"])
def test_an_annotation_that_is_no_address_is_told_and_left_aside(said: str) -> None:
    found = roster(node("a", "192.168.3.31", bgp_address=said))
    assert addresses(found) == {"a": ["192.168.3.31"]}
    assert "onepeer.io/bgp-address" in found.notes[0]


@pytest.mark.parametrize(
    ("said", "weight", "told"), [("3", 3, 0), (" 255 ", 255, 0), ("0", 1, 1), ("x", 1, 1), ("256", 1, 1)]
)
def test_a_weight_is_taken_or_told(said: str, weight: int, told: int) -> None:
    found = roster(node("a", "10.0.0.1", weight=said))
    assert (found.nodes[0].weight, len(found.notes)) == (weight, told)


def test_the_address_of_a_router_is_no_nodes() -> None:
    found = roster(node("a", "192.168.3.1"), node("b", "192.168.3.32"))
    assert addresses(found) == {"b": ["192.168.3.32"]}
    assert "router edge" in found.notes[0]


def test_a_node_that_has_our_router_id_is_told_how_to_end_that() -> None:
    found = roster(node("a", "192.0.2.10"))
    assert "set another" in found.notes[0]


def test_an_address_of_two_nodes_is_the_ready_ones_then_its_owners_then_the_newest_ones() -> None:
    old, new = node("old", "10.0.0.1", created="2025"), node("new", "10.0.0.1", created="2026")
    assert addresses(roster(old, new)) == {"new": ["10.0.0.1"]}
    assert addresses(roster(new, old)) == {"new": ["10.0.0.1"]}
    owned = roster(old)
    assert addresses(roster(old, new, before=owned)) == {"old": ["10.0.0.1"]}
    away = node("old", "10.0.0.1", created="2025", ready=False)
    found = roster(away, new, before=owned)
    assert addresses(found) == {"new": ["10.0.0.1"]}
    assert found.notes == ("nodes new and old both have 10.0.0.1: it counts as new's",)


def test_a_node_that_is_not_ready_stays() -> None:
    """Its kubelet is away; that says nothing of its speaker."""
    assert addresses(roster(node("a", "10.0.0.1", ready=False))) == {"a": ["10.0.0.1"]}


def test_a_node_without_an_address_is_told_once_it_is_ready() -> None:
    assert roster(node("a", ready=False)).notes == ()
    assert roster(node("a")).notes == ("node a has no address that it could dial from",)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("10.0.0.1"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["metadata", "status", "addresses", "conditions", "type", "address", "labels", "annotations",
                         "onepeer.io/weight", "onepeer.io/bgp-address", "name"]), inner, max_size=5),
    max_leaves=15,
)  # fmt: skip


@given(st.lists(JSON, max_size=4))
def test_whatever_the_objects_hold_there_is_a_roster(items: list[Any]) -> None:
    named = [facts({**item, "metadata": {**_dict(item.get("metadata")), "name": f"n{at}"}})
             for at, item in enumerate(items) if isinstance(item, dict)]  # fmt: skip
    found = make_roster(named, PLAIN, Roster())
    assert len(found.nodes) <= len(named)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
