"""A cluster whose speakers are all of MetalLB's frr-k8s kind: what native speakers stand in the way of."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.e2e import objects
from tests.e2e.apiserver import Refused, path_of
from tests.e2e.objects import METALLB
from tests.e2e.world import ASN, FRR_SOON, NATIVE, PORT, ROUTER, SOON, TRAEFIK, World
from tests.lab import Banner, Onepeer, flows, holds_for, wait_until

NODE, NEWCOMER = "leviathan3", "leviathan2"
OURS = "onepeer-192-168-3-31"
WEBHOOK: objects.Object = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "native"},
            "spec": {
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": ["metallb.io"],
                            "apiVersions": ["v1beta2"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": ["bgppeers"],
                        }
                    ]
                },
                "validations": [
                    {
                        "expression": "!has(object.spec.connectTime)",
                        "message": "peer 192.168.3.31 has connect time set on native bgp mode",
                    }
                ],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "native"},
            "spec": {"policyName": "native", "validationActions": ["Deny"]},
        },
    ],
}
DUAL = ("192.168.50.1", "fd00:50::1")


@pytest.fixture(scope="module")
def frr_only(world: World) -> Iterator[World]:
    """Without the native speakers; Onepeer runs, and Traefik is on the one node that has a speaker."""
    for name in NATIVE:
        world.speakers[name].stop()
        world.cluster.delete("pods", f"speaker-{name}", METALLB)
    members, world.members = world.members, (NODE,)
    world.deploy()
    world.serve("traefik", TRAEFIK)
    world.routed(TRAEFIK, NODE)
    yield world
    world.withdraw("traefik")
    world.members = members
    world.undeploy()
    for name in NATIVE:
        world.speakers[name].register()
        world.speakers[name].start()


def test_an_frr_node_is_back_within_seconds_of_onepeers_return(frr_only: World) -> None:
    """FRR would dial again after 120 s; Onepeer has said connectTime, for no speaker is native."""
    pod = frr_only.pod
    assert pod is not None
    assert _connect_time(frr_only) == "1s"
    pod.crash()
    wait_until(lambda: not _has_session(frr_only), FRR_SOON, "FRR has noticed", every=0.5)
    holds_for(lambda: not _has_session(frr_only), 5, "it dials in vain", every=0.5)
    pod.launch()
    begun = time.monotonic()
    wait_until(lambda: NODE in str(pod.events("session_established")), SOON, "it is back", seen=pod.output)
    print(f"\nthe frr-k8s node was back {time.monotonic() - begun:.1f} s after Onepeer's start")
    frr_only.routed(TRAEFIK, NODE)


def test_a_native_speaker_that_joins_is_not_kept_from_its_configuration(frr_only: World) -> None:
    """It would refuse all of it for a connectTime in any BGPPeer, so Onepeer takes it back before."""
    speaker = frr_only.speakers[NEWCOMER]
    speaker.register()
    speaker.start()
    try:
        wait_until(lambda: _connect_time(frr_only) is None, SOON, "connectTime is taken back")
        frr_only.routed(TRAEFIK, NODE, NEWCOMER)
    finally:
        speaker.stop()
        frr_only.cluster.delete("pods", f"speaker-{NEWCOMER}", METALLB)
    wait_until(lambda: _connect_time(frr_only) == "1s", SOON, "it is said again")


def test_a_webhook_that_takes_no_connect_time_gets_none(frr_only: World) -> None:
    """MetalLB's controller judges BGPPeers by its own mode. A policy of the API server stands in for its webhook, which
    needs a Service network; the words are MetalLB's."""
    frr_only.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(WEBHOOK))
    try:
        wait_until(lambda: _is_refused(frr_only), SOON, "the policy is in force", every=0.2)
        frr_only.cluster.delete("bgppeers", OURS, METALLB)
        wait_until(lambda: _connect_time(frr_only) is None, FRR_SOON, "the peer is made without", every=0.2)
    finally:
        frr_only.cluster.kubectl("delete", "-f", "-", stdin=json.dumps(WEBHOOK))


def test_a_node_has_the_bfd_that_its_bgppeer_names(frr_only: World) -> None:
    """A BFDProfile, Onepeer beside the cluster on a host without a bfdd, and frr-k8s does the rest."""
    world, host = frr_only, frr_only.stranger
    profile = objects.metallb("BFDProfile", "onepeer", {"transmitInterval": 100})
    world.cluster.apply(profile)
    cluster = {"kubeconfig": str(world.cluster.kubeconfig), "bgp_peers": {"bfd_profile": "onepeer"}}
    settings = {
        "asn": ASN,
        "listen": {"addresses": [host.v4]},
        "routers": [{"address": ROUTER}],
        "nodes": {"kubernetes": cluster, "bfd": {}, "probe": "0s"},
        "http": None,
    }
    onepeer = Onepeer(host, settings, [])
    onepeer.start()
    try:
        wait_until(lambda: NODE in str(onepeer.events("bfd_up")), FRR_SOON, "BFD is Up", seen=onepeer.output)
        wait_until(lambda: _bfd(world) == [(host.v4, "up", 100)], SOON, "FRR has it by the profile")
        holds_for(lambda: not onepeer.events("session_ended"), 1, "BGP stays up with it")
    finally:
        onepeer.kill()
        world.cluster.delete("bgppeers", f"onepeer-{host.v4.replace('.', '-')}", METALLB)
        world.cluster.delete("bfdprofiles", "onepeer", METALLB)


def _bfd(world: World) -> list[tuple[str, str, int]]:
    shown = json.loads(world.speakers[NODE].vtysh("show bfd peers json", "bfdd"))
    return [(one["peer"], one["status"], one["transmit-interval"]) for one in shown]


def _is_refused(world: World) -> bool:
    tried = objects.bgp_peer("tried", "192.168.3.99", connectTime="1s")
    try:
        world.cluster.request("POST", path_of("bgppeers", namespace=METALLB) + "?dryRun=All", tried)
    except Refused as error:
        return "native bgp mode" in str(error)
    return False


@pytest.fixture
def dual_stack(frr_only: World) -> Iterator[World]:
    """The same with IPv6: in the Node, on Onepeer's host, on the router and behind it; with a pool of both families."""
    world, pod = frr_only, frr_only.pod
    assert pod is not None
    with world.dual_stack("leviathan1", NODE):
        world.speakers[NODE].register()
        pod.stop()
        pod.start()
        pool = objects.pool("dual", "192.168.50.0/28", "fd00:50::/120")
        world.cluster.apply(pool, objects.advertisement("dual", ["dual"]))
        yield world
        world.withdraw("dual")
        world.cluster.delete("bgpadvertisements", "dual", METALLB)
        world.cluster.delete("ipaddresspools", "dual", METALLB)
    world.speakers[NODE].register()


def test_a_dual_stack_service_is_reached_over_both_families(dual_stack: World) -> None:
    """A session for each family, from the addresses of the Node object; native speakers announce IPv4 alone."""
    world, node = dual_stack, dual_stack.hosts[NODE]
    world.cluster.apply(objects.endpoints("dual", NODE), objects.service("dual", ",".join(DUAL), dual=True))
    for address in DUAL:
        node.add_service_address(address)
        Banner(node, address, PORT)
    world.routed(DUAL[0], NODE)
    wait_until(lambda: world.router_host.route(f"{DUAL[1]}/128") == [node.v6], FRR_SOON, "IPv6", seen=world.story)
    for address in DUAL:
        assert set(flows(world.client, address, PORT, 20)) == {NODE}


def _connect_time(world: World) -> str | None:
    found = world.cluster.find("bgppeers", OURS, METALLB)
    return found["spec"].get("connectTime") if found else "no peer"


def _has_session(world: World) -> bool:
    return "Established" in world.speakers[NODE].vtysh("show bgp neighbors")
