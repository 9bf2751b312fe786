"""Three replicas, one line on the router: `overlays/replicas` as people apply it, Leases of a real API server."""

import re
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT
from tests.e2e import objects
from tests.e2e.kubelet import NAMESPACE, Pod
from tests.e2e.objects import METALLB
from tests.e2e.world import ASN, FRR_SOON, GITEA, NATIVE, ONEPEER, SOON, TRAEFIK, Ping, World
from tests.lab import Peer, holds_for, wait_until

SHARED = "192.168.3.9"
"""The `local_address` of the overlay."""
HOSTS = ("leviathan1", "leviathan2", "leviathan3")


@pytest.fixture
def replicas(native: World) -> Iterator[list[Pod]]:
    """All three, each with every node; the router has Traefik's routes."""
    native.router.replace_peers([Peer(SHARED, ASN)])
    for name in HOSTS:
        native.label(name)
    first = native.deploy("overlays/replicas", node=HOSTS[0])
    pods = [first]
    for name in HOSTS[1:]:
        pod = Pod(native.cluster, native.hosts[name])
        pod.schedule()
        pod.start()
        pods.append(pod)
    native.serve("traefik", TRAEFIK)
    native.routed(TRAEFIK, *NATIVE)
    yield pods
    native.withdraw("traefik", "gitea")
    for pod in pods[1:]:
        pod.remove()
    native.undeploy()
    native.router.replace_peers([Peer(ONEPEER, ASN)])


def test_the_leader_is_stopped_and_not_a_packet_is_lost(native: World, replicas: list[Pod]) -> None:
    """As a drain does it. Another leads, and a new service reaches the router by it."""
    for pod in replicas:
        wait_until(lambda pod=pod: set(pod.status()["nodes_up"]) == set(NATIVE), FRR_SOON, "each has every node")
    leader = _leader(replicas)
    wait_until(lambda: len(_lead(leader)["followers"]) == 2, SOON, "both others could go on", seen=leader.output)
    before = native.router.neighbor(SHARED)["connectionsEstablished"]
    ping = Ping(native, TRAEFIK)
    leader.stop()
    others = [pod for pod in replicas if pod is not leader]
    wait_until(lambda: _leader(others), SOON, "another leads", seen=others[0].output)
    native.serve("gitea", GITEA)
    native.routed(GITEA, *NATIVE)
    lost, sent = ping.lost()
    sessions = native.router.neighbor(SHARED)["connectionsEstablished"] - before
    print(f"\nthe leader of three was stopped: {lost} of {sent} packets lost, {sessions} new sessions at the router")
    assert lost == 0


def test_a_node_drained_at_one_replica_is_drained_at_all_whatever_becomes_of_it(
    native: World, replicas: list[Pod]
) -> None:
    """Told to a follower, whose pod then goes with all it knew; a new one learns it, and so does the next leader."""
    leader = _leader(replicas)
    told = next(pod for pod in replicas[1:] if pod is not leader)
    assert told.cli("drain", NATIVE[0]).returncode == 0
    native.routed(TRAEFIK, NATIVE[1])
    told.remove()
    fresh = replicas[replicas.index(told)] = Pod(native.cluster, told.host)
    fresh.schedule()
    fresh.start()
    for pod in replicas:
        wait_until(lambda pod=pod: _drained(pod) == [NATIVE[0]], SOON, "each knows it", seen=pod.output)
    wait_until(lambda: len(_lead(leader)["followers"]) == 2, SOON, "both others could go on", seen=leader.output)
    leader.stop()
    after = _leader([pod for pod in replicas if pod is not leader])
    assert _drained(after) == [NATIVE[0]]
    native.routed(TRAEFIK, NATIVE[1])
    assert after.cli("undrain", NATIVE[0]).returncode == 0
    native.routed(TRAEFIK, *NATIVE)


def _drained(pod: Pod) -> list[str]:
    return [node["name"] for node in pod.ask("nodes")["nodes"] if node["drained"]]


def test_what_is_missing_is_told_once_and_not_by_each_replica(native: World, replicas: list[Pod]) -> None:
    """All three see that nobody announces a Service; the one that leads writes the Event."""
    native.cluster.apply(objects.pool("lonely", "192.168.41.0/28"))
    native.cluster.apply(objects.endpoints("lonely", NATIVE[0]), objects.service("lonely", "192.168.41.1"))

    def told() -> list[str]:
        found = native.missing_events()
        return [one["reportingInstance"] for one in found if one["regarding"]["name"] == "lonely"]

    for pod in replicas:
        wait_until(
            lambda pod=pod: [one["service"] for one in pod.ask("audit")["services"] if one["alarm"]],
            2 * FRR_SOON, "each sees it", seen=pod.output, every=0.5,
        )  # fmt: skip
    holds_for(lambda: told() in ([], [_leader(replicas).host.name]), SOON, "the leader alone tells", every=0.5)
    assert told() != []
    native.withdraw("lonely")
    native.cluster.delete("ipaddresspools", "lonely", METALLB)


def test_the_script_that_people_try_it_with_at_home(native: World, replicas: list[Pod]) -> None:
    """deploy/test-takeover, from behind the router: the leader is killed, and no connection is lost."""
    leader = _leader(replicas)
    wait_until(lambda: len(_lead(leader)["followers"]) == 2, SOON, "both others could go on", seen=leader.output)
    native.cluster.host.ip("route replace 10.99.0.0/24 via 192.168.3.1")
    url = f"http://{TRAEFIK}:8080/"
    ask = ("curl", "-s", url)
    for host in (native.hosts[name] for name in NATIVE):
        host.start("python3", "-m", "http.server", "8080", "--bind", TRAEFIK, log="http.log")
        wait_until(lambda host=host: "<html" in host.run(*ask, check=False).lower(), FRR_SOON, "each node serves it")
    script = str(ROOT / "deploy/test-takeover")
    command = (script, "--kill", "--yes", url)
    running = native.client.start(*command, log="test-takeover.log", env=native.cluster.environment())
    wait_until(lambda: native.cluster.find("pods", leader.name, NAMESPACE) is None, SOON, "the pod is deleted")
    leader.crash()
    assert running.wait(60) == 0, running.output()
    print(f"\n{running.output()}")
    assert re.search(r"was killed, and leviathan\d leads: 0 of \d+ connections were lost", running.output())


def _leader(pods: list[Pod]) -> Pod:
    """Whoever leads, once somebody does."""
    leading: list[Pod] = wait_until(
        lambda: [pod for pod in pods if _lead(pod).get("role") == "leads"], SOON, "one leads"
    )
    (leader,) = leading
    return leader


def _lead(pod: Pod) -> dict[str, list[str]]:
    (router,) = pod.status()["routers"]
    return dict(router["lead"] or {})  # none while it starts
