"""The 59 days: nodes that are Ready and carry no traffic are named, each with its cause, and are well when mended.

leviathan5  .35   a firewall keeps its speaker's calls from leaving
leviathan6  .36   no pod of MetalLB's speaker
leviathan7  .37   its speaker signs with a password that nobody else has
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from tests.e2e import objects
from tests.e2e.metallb import NodeSpeaker
from tests.e2e.world import ONEPEER, TRAEFIK, World
from tests.lab import Host, wait_until

NAMED = 60.0
"""Seconds until the fault is an alarm: the promise."""
FIREWALLED, BARE, SIGNING = "leviathan5", "leviathan6", "leviathan7"
CAUSES = {FIREWALLED: "never-dialed", BARE: "speaker-not-running", SIGNING: "never-dialed"}
"""While several nodes never dialled: whose calls it drops for their signature, the kernel does not tell."""
DROP = "table inet fault { chain out { type filter hook output priority 0; policy accept;\ntcp dport 1790 drop\n}\n}\n"


@pytest.fixture(scope="module")
def broken(running: World) -> Iterator[World]:
    """Three nodes more, each with another fault."""
    world, stop = running, threading.Event()
    hosts = {
        name: world.lab.host(name, f"192.168.3.{35 + at}/24", gateways=["192.168.3.1"])
        for at, name in enumerate(CAUSES)
    }
    speakers = {name: NodeSpeaker(world.metallb, host, "native") for name, host in hosts.items()}
    for host in hosts.values():
        host.add_service_address(TRAEFIK)
    hosts[FIREWALLED].run("sh", "-c", f"printf '{DROP}' | nft -f -")
    for name, speaker in speakers.items():
        speaker.register()
        if name == BARE:
            world.cluster.delete("pods", f"speaker-{BARE}", objects.METALLB)
    speakers[FIREWALLED].start()
    signer = threading.Thread(target=hosts[SIGNING].inside, args=(_dial_signed, stop), daemon=True)
    signer.start()
    world.cluster.patch("nodes", "leviathan1", {"metadata": {"annotations": {"e2e": "1"}}})
    yield world
    stop.set()
    signer.join()
    for name, speaker in speakers.items():
        speaker.stop()
        world.cluster.delete("nodes", name)


def _dial_signed(stop: threading.Event) -> None:
    """What a speaker with a passwordSecret of its own does: its SYNs are signed, and dropped."""
    while not stop.wait(0.2):
        with socket.socket() as one, contextlib.suppress(OSError):
            address = struct.pack("=H2x4s", socket.AF_INET, socket.inet_aton(ONEPEER)).ljust(128, b"\0")
            one.setsockopt(
                socket.IPPROTO_TCP, 14, address + struct.pack("=BBHi", 0, 0, 5, 0) + b"wrong".ljust(80, b"\0")
            )
            one.settimeout(1.0)
            one.connect((ONEPEER, 1790))


def _alarms(world: World) -> dict[str, str]:
    assert world.pod is not None
    return {one["node"]: one["reason"] for one in world.pod.ask("audit")["findings"] if one["alarm"]}


def test_each_cause_is_told_apart_within_a_minute(broken: World) -> None:
    """In `explain`, in the metrics, in the log and in an Event on the Node; and those that are well are in none."""
    assert broken.pod is not None
    wait_until(lambda: _alarms(broken) == CAUSES, NAMED, "each is named with its cause", seen=broken.story, every=0.5)
    for name, cause in CAUSES.items():
        done = broken.pod.cli("explain", "node", name)
        assert done.returncode == 3
        assert cause in done.stdout, done.stdout
        assert f'onepeer_node_missing_addresses{{node="{name}",reason="{cause}"}}' in broken.pod.metrics()
    assert "onepeer_alarms 3.0" in broken.pod.metrics()
    assert broken.pod.cli("explain", "node", "leviathan2").returncode == 0
    done = broken.pod.cli("explain", TRAEFIK)
    assert all(name in done.stdout for name in CAUSES)
    wait_until(lambda: _events(broken) == CAUSES, 10, "Events on the Nodes", seen=lambda: _events(broken), every=0.5)


def _events(world: World) -> dict[str, str]:
    found = world.cluster.get("events", namespace="default")["items"]
    missing = [one for one in found if one["reason"] == "PathsMissing" and one["regarding"]["kind"] == "Node"]
    notes = {one["regarding"]["name"]: one["note"] for one in missing}
    return {name: cause for name, cause in CAUSES.items() if cause in notes.get(name, "")}


def test_a_node_that_is_mended_carries_traffic_and_is_named_no_more(broken: World) -> None:
    """The firewall is opened; MetalLB's native speaker has backed off meanwhile, up to two minutes."""
    host: Host = broken.lab[FIREWALLED]
    host.run("nft", "delete", "table", "inet", "fault")
    wait_until(lambda: FIREWALLED not in _alarms(broken), 130, "it is well", seen=broken.story, every=0.5)
    assert host.v4 in broken.router_host.route(f"{TRAEFIK}/32")


def test_the_only_one_that_never_dialled_while_signatures_fail_has_a_wrong_password(broken: World) -> None:
    """The others are well by now, or have no speaker."""
    wait_until(
        lambda: _alarms(broken) == {BARE: "speaker-not-running", SIGNING: "wrong-password"},
        NAMED,
        "the wrong password is named",
        seen=broken.story,
        every=0.5,
    )
    assert broken.pod is not None
    assert "passwordSecret" in broken.pod.cli("explain", "node", SIGNING).stdout
