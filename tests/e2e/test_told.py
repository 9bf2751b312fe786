"""What nobody announces: a fault has its alarm, what is so on purpose is told, and a restart forgets neither."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import objects
from tests.e2e.kubelet import Pod
from tests.e2e.signs import Fault, Signs
from tests.e2e.world import EXCLUDED, MEMBERS, SOON, TRAEFIK, World
from tests.lab import wait_until

FORGOTTEN, IDLE = "192.168.41.1", "192.168.30.41"
"""Of a pool that no BGPAdvertisement takes, and of a Service without pods."""
UNADVERTISED = Fault("service", "default/forgotten", "no-advertisement")


@pytest.fixture(scope="module")
def told(running: World) -> Iterator[Pod]:
    """Both Services, and a node with Kubernetes' exclusion label."""
    running.cluster.apply(objects.pool("forgotten", "192.168.41.0/28"))
    running.cluster.apply(objects.endpoints("forgotten", "leviathan1"), objects.service("forgotten", FORGOTTEN))
    running.cluster.apply(objects.service("idle", IDLE))
    running.cluster.kubectl("label", "node", "leviathan2", f"{EXCLUDED}=")
    assert running.pod is not None
    yield running.pod
    running.cluster.kubectl("label", "node", "leviathan2", f"{EXCLUDED}-")
    running.withdraw("forgotten", "idle")
    running.cluster.delete("bgpadvertisements", "forgotten", objects.METALLB)
    running.cluster.delete("ipaddresspools", "forgotten", objects.METALLB)
    running.two_minutes_pass()
    running.all_up(*MEMBERS)
    running.routed(TRAEFIK, *MEMBERS)


def service(pod: Pod, address: str) -> dict[str, Any]:
    return next((one for one in pod.ask("audit")["services"] if one["address"] == address), {})


def test_a_service_that_no_node_may_announce_is_an_alarm_within_a_minute(told: Pod, signs: Signs) -> None:
    """By every sign, and in `status`; the one without pods is told, and is none."""
    signs.named([UNADVERTISED], time.monotonic())
    assert any("default/forgotten" in warning for warning in told.status()["warnings"])
    done = told.cli("explain", IDLE)
    assert done.returncode == 0
    assert "no-endpoints" in done.stdout, done.stdout
    assert not any("default/idle" in warning for warning in told.status()["warnings"])


def test_an_excluded_node_is_told_as_not_expected_and_nowhere_as_missing(running: World, told: Pod) -> None:
    """It is not even in the roster."""
    done = told.cli("explain", "node", "leviathan2")
    assert done.returncode == 0
    assert "nothing is expected of it: excluded" in done.stdout, done.stdout
    status = told.status()
    assert [(one["node"], one["reason"]) for one in status["not_expected"]] == [("leviathan2", "excluded")]
    assert all(one["name"] != "leviathan2" for one in status["nodes_down"])
    assert 'onepeer_node_not_expected{node="leviathan2",reason="excluded"} 1.0' in told.metrics()


def test_since_when_outlives_a_restart(running: World, told: Pod) -> None:
    """Also one by SIGKILL."""
    since = service(told, FORGOTTEN)["since"]
    told.crash()
    told.start()
    wait_until(lambda: service(told, FORGOTTEN).get("since"), SOON, "it is found again", seen=running.story, every=0.2)
    found = service(told, FORGOTTEN)
    assert (found["since"], found["alarm"]) == (since, False)


def test_it_is_green_again_when_its_pool_is_advertised(running: World, signs: Signs) -> None:
    """And routed, once FRR has dialled again after Onepeer's restart."""
    running.two_minutes_pass()
    running.cluster.apply(objects.advertisement("forgotten", ["forgotten"]))
    signs.well([UNADVERTISED])
    running.routed(FORGOTTEN, *MEMBERS[::2])
