"""A whole Onepeer on a real API server, with sessions: what a person with a cluster would see of it."""

import asyncio
from typing import Any

import pytest

from speaker.serve.views import Health, OverviewQuery
from tests.app.loop import stage
from tests.app.stage import Stage, until
from tests.kube.apiserver import NOBODY, ONEPEER, ApiServer, Refused

__all__ = ["stage"]

METALLB = "/apis/metallb.io/{}/namespaces/metallb-system"
PEERS = METALLB.format("v1beta2") + "/bgppeers"
POOLS = METALLB.format("v1beta1") + "/ipaddresspools"
ADVERTISEMENTS = METALLB.format("v1beta1") + "/bgpadvertisements"
PREFIX = "192.168.30.1/32"


def metallb(kind: str, name: str, version: str = "v1beta1", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "metallb-system"}
    return {"apiVersion": f"metallb.io/{version}", "kind": kind, "metadata": metadata, "spec": spec}


def put_pool(server: ApiServer, *addresses: str) -> None:
    server.put(POOLS, metallb("IPAddressPool", "pool", addresses=list(addresses)))
    server.put(ADVERTISEMENTS, metallb("BGPAdvertisement", "all"))


def names(server: ApiServer) -> list[str]:
    return [peer["metadata"]["name"] for peer in server.request("GET", PEERS)["items"]]


async def start(stage: Stage, server: ApiServer, token: str = "admin-token", **kubernetes: Any) -> None:
    nodes = {"file": None, "kubernetes": {"kubeconfig": str(server.kubeconfig(token)), **kubernetes}}
    await stage.start(nodes=nodes, guard={"strip_communities": []}, state_dir="state", router_id="192.0.2.10")


async def in_thread(function: Any, *arguments: Any, **more: Any) -> Any:
    return await asyncio.to_thread(function, *arguments, **more)


async def test_a_node_object_is_enough_for_its_route_to_reach_the_router(server: ApiServer, stage: Stage) -> None:
    """Nobody edits anything: a Node, a pool, and the node's speaker dials."""
    put_pool(server, "192.168.30.0/24")
    server.put_node("other", stage.host(99))
    router = await stage.router()
    await start(stage, server)
    await until(lambda: stage.speaker and stage.speaker.peering.roster.nodes, "the roster is read", 15)
    await until(lambda: router.calls and router.calls[-1].up, "the router is up")
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await in_thread(server.put_node, "leviathan1", stage.host(31))
    put = loop.time()
    await until(lambda: stage.speaker and "leviathan1" in stage.speaker.peering.roster.by_name, "it is in the roster")
    known = loop.time()
    await stage.node(1, PREFIX)
    await until(lambda: router.hops(PREFIX) == [stage.host(31)], "the router has the route")
    print(f"PUT {1e3 * (put - begun):.0f} ms, then in the roster {1e3 * (known - put):.0f} ms, at the router "
          f"{1e3 * (loop.time() - put):.0f} ms")  # fmt: skip
    await in_thread(server.delete, "/api/v1/nodes/leviathan1")
    await until(lambda: not router.hops(PREFIX), "the route is gone with the Node")


async def test_a_pool_that_shrinks_withdraws(server: ApiServer, stage: Stage) -> None:
    put_pool(server, "192.168.30.0/24")
    server.put_node("leviathan1", stage.host(31))
    router = await stage.router()
    await start(stage, server)
    await until(lambda: stage.said("guard_changed") and stage.said("roster_changed"), "the cluster is read", 15)
    await stage.node(1, PREFIX, "192.168.30.200/32", "10.0.0.1/32")
    await until(lambda: router.hops("192.168.30.200/32"), "the router has both routes")
    assert not router.hops("10.0.0.1/32")
    await in_thread(put_pool, server, "192.168.30.1-192.168.30.100")
    await until(lambda: not router.hops("192.168.30.200/32"), "what is outside of the pool is withdrawn")
    assert router.hops(PREFIX)


async def test_with_the_api_server_away_sessions_and_routes_stay(server: ApiServer, stage: Stage) -> None:
    put_pool(server, "192.168.30.0/24")
    server.put_node("leviathan1", stage.host(31))
    router = await stage.router()
    await start(stage, server)
    await until(lambda: stage.said("guard_changed") and stage.said("roster_changed"), "the cluster is read", 15)
    node = await stage.node(1, PREFIX)
    await until(lambda: router.hops(PREFIX), "the router has the route")
    await in_thread(server.kill_api)
    try:
        await until(lambda: stage.status().roster.problem, "status says so", 10)
        problem = stage.status().roster.problem
        assert problem is not None
        assert "no word from Kubernetes since" in problem
        assert (node.lost, router.hops(PREFIX)) == ("", [stage.host(31)])
        node.withdraw(PREFIX)
        await until(lambda: not router.hops(PREFIX), "routes go on being passed on")
        assert await stage.stop() == 0
        node.drop()
        await start(stage, server)
        await until(lambda: len(stage.said("roster_changed", nodes=1)) == 2, "it starts from what was saved", 10)
        await stage.node(1, PREFIX)
        await until(lambda: router.hops(PREFIX), "and works: guard and all")
        assert "what was saved at" in (stage.status().roster.problem or "")
    finally:
        await in_thread(server.start_api)
    await until(lambda: not stage.status().roster.problem, "the API is back", 15)


async def test_metallbs_peer_is_made_once_we_listen_and_put_right_and_peoples_are_left(
    server: ApiServer, stage: Stage
) -> None:
    server.put_node("leviathan1", stage.host(31))
    mine = metallb("BGPPeer", "mine", "v1beta2", myASN=1, peerASN=2, peerAddress="10.9.9.9")
    server.put(PEERS, mine)
    await start(stage, server)
    ours = "onepeer-" + stage.host(10).replace(".", "-")
    await until(lambda: stage.said("bgp_peer_kept"), "the peer is made", 15)
    assert await in_thread(names, server) == ["mine", ours]
    spec = (await in_thread(server.request, "GET", f"{PEERS}/{ours}"))["spec"]
    assert (spec["peerAddress"], spec["peerPort"]) == (stage.host(10), 1790)
    assert "connectTime" not in spec  # native speakers would refuse their whole configuration
    body = metallb("BGPPeer", ours, "v1beta2", holdTime="9s")
    await in_thread(server.put, PEERS, body)
    await until(lambda: len(stage.said("bgp_peer_kept")) >= 2, "it is put right", 10)
    spec = (await in_thread(server.request, "GET", f"{PEERS}/{ours}"))["spec"]
    assert spec["holdTime"] == "90s"
    await in_thread(server.delete, f"{PEERS}/{ours}")
    await until(lambda: len(stage.said("bgp_peer_kept")) >= 3, "it is made again", 10)
    assert (await in_thread(server.request, "GET", f"{PEERS}/mine"))["metadata"]["generation"] == 1


async def test_a_persons_peer_to_our_address_is_named_and_ours_is_not_made(server: ApiServer, stage: Stage) -> None:
    server.put_node("leviathan1", stage.host(31))
    spec = {"myASN": 64512, "peerASN": 64512, "peerAddress": stage.host(10), "peerPort": 1790}
    server.put(PEERS, metallb("BGPPeer", "mine", "v1beta2", **spec))
    await start(stage, server)
    await until(lambda: stage.said("bgp_peer_left"), "it is said", 15)
    await asyncio.sleep(1.5)
    assert await in_thread(names, server) == ["mine"]


async def test_peers_are_left_to_people_where_they_want_that(server: ApiServer, stage: Stage) -> None:
    server.put_node("leviathan1", stage.host(31))
    await start(stage, server, bgp_peers={"manage": False})
    await until(lambda: stage.said("roster_changed"), "the roster is read", 15)
    await asyncio.sleep(1.5)
    assert await in_thread(names, server) == []


async def test_after_a_start_without_any_session_the_peer_is_touched_once(server: ApiServer, stage: Stage) -> None:
    """So that native speakers, which back off up to two minutes, dial at once."""
    server.put_node("leviathan1", stage.host(31))
    await start(stage, server)
    await until(lambda: len(stage.said("bgp_peer_kept")) == 2, "made, then touched", 25)
    assert [one["why"][:7] for one in stage.said("bgp_peer_kept")] == ["it was ", "no node"]
    await stage.node(1)
    await asyncio.sleep(2)
    assert len(stage.said("bgp_peer_kept")) == 2


async def test_kubectl_describe_shows_sessions_of_a_node(server: ApiServer, stage: Stage) -> None:
    server.put_node("leviathan1", stage.host(31))
    uid = server.request("GET", "/api/v1/nodes/leviathan1")["metadata"]["uid"]
    await start(stage, server)
    await until(lambda: stage.said("roster_changed"), "the roster is read", 15)
    await asyncio.sleep(1)
    wire = await stage.node(1)

    def events() -> list[str]:
        query = f"/api/v1/namespaces/default/events?fieldSelector=involvedObject.uid={uid}"
        return [item["reason"] for item in server.request("GET", query)["items"]]

    for drop, wanted in ((False, ["SessionUp"]), (True, ["SessionDown", "SessionUp"])):
        if drop:
            wire.drop()
        for _ in range(50):
            if sorted(seen := await in_thread(events)) == wanted:
                break
            await asyncio.sleep(0.1)
        assert sorted(seen) == wanted


async def test_a_node_that_is_not_ready_is_missing_on_the_page_and_not_only_told(
    server: ApiServer, stage: Stage
) -> None:
    """Onepeer is degraded by it, and so its reason stands where the verdict takes it from."""
    put_pool(server, "192.168.30.0/24")
    server.put_node("leviathan1", stage.host(31))
    server.put_node("leviathan2", stage.host(32), ready=False)
    router = await stage.router()
    await start(stage, server)
    await until(lambda: stage.said("roster_changed") and router.up, "the cluster is read", 15)
    await stage.node(1, PREFIX)
    await until(lambda: stage.status().not_expected, "the audit has looked", 15)
    page = await stage.report().overview(OverviewQuery())
    assert [(one.name, one.why) for one in page.missing if "leviathan" in one.name] == [
        ("leviathan2", "node-not-ready")
    ]
    assert page.told == []
    assert page.health == Health.DEGRADED


ROLES = {
    "nodes": ("", "nodes", ["list", "watch"]),
    "pools": ("metallb.io", "ipaddresspools", ["list", "watch"]),
    "advertisements": ("metallb.io", "bgpadvertisements", ["list", "watch"]),
    "peers": ("metallb.io", "bgppeers", ["list", "watch", "create", "patch", "delete"]),
    "events": ("events.k8s.io", "events", ["create"]),
}


def grant(server: ApiServer, *, without: str = "") -> None:
    """What Onepeer needs, all of it or all but one `what/verb`."""
    rules = [
        {"apiGroups": [group], "resources": [plural], "verbs": [v for v in verbs if f"{what}/{v}" != without]}
        for what, (group, plural, verbs) in ROLES.items()
    ]
    metadata, api = {"name": "onepeer-test"}, "rbac.authorization.k8s.io"
    role = {
        "apiVersion": f"{api}/v1", "kind": "ClusterRole", "metadata": metadata,
        "rules": [rule for rule in rules if rule["verbs"]],
    }  # fmt: skip
    binding = {
        "apiVersion": f"{api}/v1", "kind": "ClusterRoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": "onepeer-test"},
        "subjects": [{"apiGroup": api, "kind": "User", "name": "onepeer"}],
    }  # fmt: skip
    server.grant(role, binding)


async def test_the_rights_that_are_written_down_are_enough(server: ApiServer, stage: Stage) -> None:
    grant(server)
    put_pool(server, "192.168.30.0/24")
    server.put_node("leviathan1", stage.host(31))
    await start(stage, server, ONEPEER)
    await until(lambda: stage.said("bgp_peer_kept"), "the peer is made", 15)
    await stage.node(1)
    await asyncio.sleep(1.5)
    assert not stage.said("cluster_refused")
    assert stage.status().roster.problem is None


@pytest.mark.parametrize("right", ["nodes/list", "nodes/watch", "pools/list", "advertisements/watch", "peers/list",
                                   "peers/create", "peers/patch", "events/create"])  # fmt: skip
async def test_each_missing_right_is_named_with_the_way_out(server: ApiServer, stage: Stage, right: str) -> None:
    grant(server, without=right)
    put_pool(server, "192.168.30.0/24")
    server.put_node("leviathan1", stage.host(31))
    await start(stage, server, ONEPEER)
    what, verb = right.split("/")
    if right == "events/create":
        await until(lambda: stage.said("roster_changed"), "the roster is read", 15)
        await asyncio.sleep(1)
        await stage.node(1)

    def told() -> str:
        refused = " ".join(f"{one['why']}; {one['way_out']}" for one in stage.said("cluster_refused"))
        return f"{stage.status().roster.problem or ''} {refused}"

    await until(lambda: f'cannot {verb} resource "{ROLES[what][1]}"' in told(), f"it is told: {told()}", 20)
    assert "deploy/ has the roles" in told()


async def test_without_any_right_it_runs_and_says_so(server: ApiServer, stage: Stage) -> None:
    await start(stage, server, NOBODY)
    await until(lambda: stage.status().roster.problem, "it is told", 15)
    assert stage.status().nodes_up == []
    with pytest.raises(Refused):
        await in_thread(server.request, "GET", "/api/v1/nodes/leviathan1")
