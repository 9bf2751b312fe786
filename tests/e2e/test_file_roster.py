"""MetalLB's own speakers and a roster in a file: nothing of Kubernetes is asked."""

from collections.abc import Iterator

import pytest

from tests.e2e import objects
from tests.e2e.world import GITEA, MEMBERS, ONEPEER, TRAEFIK, World

SETTINGS = """\
asn: 64512
listen: {addresses: [192.168.3.31]}
router_id: 192.168.3.10
routers:
  - address: 192.168.3.1
nodes: {file: nodes.yaml}
guard: {prefixes: [192.168.30.0/24]}
"""
NODES = "nodes:\n" + "".join(
    f"  - {{name: leviathan{number}, addresses: [192.168.3.{30 + number}]}}\n" for number in (1, 2, 3)
)


@pytest.fixture(scope="module")
def peered(world: World) -> Iterator[World]:
    """Onepeer in its pod with a roster from its ConfigMap, and a BGPPeer that a person wrote."""
    folder = world.manifests(settings=SETTINGS)
    (folder / "nodes.yaml").write_text(NODES)
    kustomization = folder / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("- onepeer.yaml", "- onepeer.yaml\n      - nodes.yaml"))
    world.run_pod(folder)
    world.cluster.apply(objects.bgp_peer("to-onepeer", ONEPEER, peerPort=1790))
    yield world
    world.withdraw("traefik", "gitea")
    world.undeploy()


def test_a_client_behind_the_router_reaches_a_service_over_every_node(peered: World) -> None:
    """Native speakers send LOCAL_PREF 0 and frr-k8s 100, and yet the router has all three as next hops."""
    address = peered.serve("traefik", TRAEFIK)
    peered.all_up(*MEMBERS)
    peered.routed(address, *MEMBERS)
    peered.reached(address, *MEMBERS)


def test_a_service_that_goes_leaves_the_router(peered: World) -> None:
    """Withdrawn by every speaker, each in its own words."""
    address = peered.serve("gitea", GITEA)
    peered.routed(address, *MEMBERS)
    peered.withdraw("gitea")
    peered.routed(address)
