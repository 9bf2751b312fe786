"""Services of type LoadBalancer, from `kubectl apply` to the client behind the router."""

from tests.e2e import objects
from tests.e2e.world import GITEA, MEMBERS, TRAEFIK, World


def test_a_service_is_reached_over_every_node(running: World) -> None:
    """Native speakers send LOCAL_PREF 0 and frr-k8s 100, and yet the router has all three as next hops."""
    running.all_up(*MEMBERS)
    running.reached(TRAEFIK, *MEMBERS)


def test_a_new_service_is_reached_and_a_deleted_one_leaves_the_router(running: World) -> None:
    """MetalLB chooses the address out of its pool; nobody typed a prefix anywhere."""
    address = running.serve("web")
    running.routed(address, *MEMBERS)
    running.reached(address, *MEMBERS)
    running.withdraw("web")
    running.routed(address)


def test_local_traffic_policy_follows_the_pods(running: World) -> None:
    """externalTrafficPolicy: Local is announced where its pods are, and moves with them."""
    running.serve("gitea", GITEA, "leviathan2", local=True)
    running.routed(GITEA, "leviathan2")
    running.reached(GITEA, "leviathan2")
    running.cluster.apply(objects.endpoints("gitea", "leviathan1", "leviathan3"))
    running.routed(GITEA, "leviathan1", "leviathan3")
    running.reached(GITEA, "leviathan1", "leviathan3")
    running.withdraw("gitea")
    running.routed(GITEA)


def test_a_pool_that_comes_and_goes_is_all_it_takes(running: World) -> None:
    """A new IPAddressPool widens what nodes may announce, and its end takes its services off the router."""
    pool, advertised = objects.pool("more", "192.168.40.0/28"), objects.advertisement("more", ["more"])
    running.cluster.apply(pool, advertised)
    running.serve("on-more", "192.168.40.1")
    running.routed("192.168.40.1", *MEMBERS)
    running.cluster.delete("bgpadvertisements", "more", objects.METALLB)
    running.routed("192.168.40.1")
    running.withdraw("on-more")
    running.cluster.delete("ipaddresspools", "more", objects.METALLB)
