"""What `onepeer doctor` asks of a real API server: rights verb by verb, MetalLB's definitions and peers."""

import asyncio
import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import yaml

from speaker.cluster.kube.bgppeers import wanted_peers
from speaker.config import Settings
from speaker.doctor.cluster_look import look_at_cluster
from speaker.doctor.facts import ClusterFacts, Right
from speaker.doctor.rights import rights
from tests.conftest import ROOT
from tests.doctor.host import found
from tests.kube.apiserver import ADMIN, NOBODY, ONEPEER, ApiServer
from tests.kube.settings import settings

PEERS = "/apis/metallb.io/v1beta2/namespaces/metallb-system/bgppeers"
LANE = {"address": "192.168.3.1", "local_address": "192.168.3.20"}


def roles() -> Iterator[dict[str, Any]]:
    """Roles and bindings, as deploy/ has them."""
    for file in ("base/rbac.yaml", "overlays/replicas/rbac.yaml"):
        yield from yaml.safe_load_all((ROOT / "deploy" / file).read_text())


def asking(server: ApiServer, token: str) -> Settings:
    """Settings of several replicas: they need every verb."""
    return settings(nodes={"kubernetes": {"kubeconfig": str(server.kubeconfig(token))}}, routers=[LANE], replicas={})


def grant(server: ApiServer, without: str = "") -> None:
    """To the user `onepeer`, all but one verb of BGPPeers."""
    for namespace in ("onepeer-system", "metallb-system"):
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        server.put("/api/v1/namespaces", body)
    for role in map(copy.deepcopy, roles()):
        for rule in role.get("rules", ()):
            if "bgppeers" in rule["resources"]:
                rule["verbs"] = [verb for verb in rule["verbs"] if verb != without]
        if "subjects" in role:
            role["subjects"] = [{"kind": "User", "name": "onepeer", "apiGroup": "rbac.authorization.k8s.io"}]
        server.grant(role)


def problems(asked: Settings, facts: ClusterFacts) -> list[str]:
    """Of the cluster's check."""
    return [one.what for name, one in found(settings=asked, cluster=facts) if name == "cluster"]


def test_the_rights_that_are_asked_for_are_those_that_deploy_grants() -> None:
    """No more, no less."""
    granted = {
        (verb, group, resource, role["metadata"].get("namespace"))
        for role in roles()
        for rule in role.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    asked = rights(settings(routers=[LANE], replicas={}), "onepeer-system")
    assert {(one.verb, one.group, one.resource.partition("/")[0], one.namespace) for one in asked} == granted


async def test_a_verb_that_is_not_granted_is_named_and_no_other(server: ApiServer) -> None:
    """The API server judges them, for the user that Onepeer is."""
    asked = asking(server, ONEPEER)
    await asyncio.to_thread(grant, server, without="delete")
    facts = await look_at_cluster(asked)
    assert [(one.verb, one.resource) for one in facts.denied] == [("delete", "bgppeers")]
    assert "not allowed: delete bgppeers.metallb.io in metallb-system" in problems(asked, facts)
    await asyncio.to_thread(grant, server)
    assert (await look_at_cluster(asked)).denied == ()


async def test_who_may_nothing_is_told_so_and_an_unknown_token_is_told_apart(server: ApiServer) -> None:
    """The one lacks every right; the other is nobody at all."""
    asked = asking(server, NOBODY)
    denied: tuple[Right, ...] = (await look_at_cluster(asked)).denied
    assert denied == rights(asked, "onepeer-system")
    (told,) = problems(asked, await look_at_cluster(asking(server, "wrong")))
    assert told == "the API server does not answer as it should"


async def test_a_peer_that_is_missing_changed_or_a_persons_is_told(server: ApiServer) -> None:
    """And none where they are as they should be."""
    asked = asking(server, ADMIN)
    wanted = wanted_peers(asked)
    assert problems(asked, await look_at_cluster(asked)) == [
        f"BGPPeer {body['metadata']['name']} is not as it should be" for body in wanted
    ]
    for body in wanted:
        await asyncio.to_thread(server.put, PEERS, body)
    facts = await look_at_cluster(asked)
    assert problems(asked, facts) == []
    (theirs, *rest) = (facts.peers or {}).values()
    people = replace(theirs, ours=False, spec={**theirs.spec, "myASN": 64999})
    changed = replace(facts, peers={people.name: people, **{one.name: one for one in rest}})
    assert problems(asked, changed) == [f"BGPPeer {people.name} brings no session up"]
