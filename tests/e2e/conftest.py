"""The cluster that all e2e tests share. `make e2e` is `pytest tests/e2e` in three parts."""

import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.apiserver import ROOT
from tests.e2e.signs import Signs
from tests.e2e.world import MEMBERS, TRAEFIK, World
from tests.lab import Lab

PACKAGES = ("etcd-server", "curl", "openssl", "iputils-ping", "nftables", "util-linux")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that share a running Onepeer last, for the others begin without one. Of them those last that take the API
    server away: MetalLB's parts ask it again only every half minute then."""
    items.sort(key=lambda item: ("running" in getattr(item, "fixturenames", ()), "api_away" in item.nodeid))


@pytest.fixture(scope="session")
def world(real_parts: None) -> Iterator[World]:
    """A cluster without Onepeer."""
    subprocess.run([ROOT / "scripts/debian", *PACKAGES], check=True, stdout=subprocess.DEVNULL)
    # frr-k8s' reloader is told by SIGHUP, which a shell cannot take that was started with it ignored, as by nohup(1).
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with Lab() as lab:
        made = World(lab)
        made.start()
        yield made


@pytest.fixture(scope="session")
def running(world: World) -> Iterator[World]:
    """The cluster with Onepeer deployed as it stands in deploy/, and Traefik on every node, seen by the router.

    Tests that use it come last, one after the other (`pytest_collection_modifyitems`): it is set up once.
    """
    world.deploy()

    world.serve("traefik", TRAEFIK)
    world.routed(TRAEFIK, *MEMBERS)
    yield world
    assert world.pod is not None
    assert world.pod.stop() == 0


@pytest.fixture(scope="session")
def signs(world: World) -> Signs:
    """Beside the Onepeer that runs on leviathan1, whichever that is."""
    return Signs(world, world.hosts["leviathan1"])


@pytest.fixture(scope="module")
def native(world: World) -> Iterator[World]:
    """The cluster without its frr-k8s node, where the mode of MetalLB is not the point."""
    world.without_frr()
    yield world
    world.with_frr()
