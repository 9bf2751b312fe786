"""The 59 days: nodes that are Ready and carry no traffic are named, each with its cause, and are well when mended.

Named: by `onepeer explain`, in the metrics, by the shipped alert rules in a real Prometheus, in an Event on the Node,
and red on the status page in a real browser.

leviathan5  .35   a firewall keeps its speaker's calls from leaving
leviathan6  .36   no pod of MetalLB's speaker
leviathan7  .37   its speaker signs with a password that nobody else has
"""

import asyncio
import contextlib
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
import pytest

from tests.conftest import ROOT
from tests.e2e import objects
from tests.e2e.metallb import NodeSpeaker
from tests.e2e.prometheus import Prometheus
from tests.e2e.world import ONEPEER, TRAEFIK, World
from tests.lab import Host, wait_until
from tests.page.browser import Browser

NAMED = 60.0
"""Seconds until the fault is an alarm: the promise."""
FIREWALLED, BARE, SIGNING = "leviathan5", "leviathan6", "leviathan7"
CAUSES = {FIREWALLED: "never-dialed", BARE: "speaker-not-running", SIGNING: "never-dialed"}
"""While several nodes never dialled: whose calls it drops for their signature, the kernel does not tell."""
PAGE = "http://127.0.0.1:9790/"
RED = ".cell.m[data-cell], .cell.l[data-cell]"
LINES = "[...document.querySelectorAll('#missing > li')].map(one => one.innerText)"
DROP = "table inet fault { chain out { type filter hook output priority 0; policy accept;\ntcp dport 1790 drop\n}\n}\n"


@dataclass
class Watched:
    """The cluster, and who looks at Onepeer from outside."""

    world: World
    prometheus: Prometheus
    browser: Browser
    broken_at: float = 0.0

    def left(self) -> float:
        """Seconds of the promise."""
        return self.broken_at + NAMED - time.monotonic()

    def alarms(self) -> dict[str, str]:
        """By the audit."""
        assert self.world.pod is not None
        return {one["node"]: one["reason"] for one in self.world.pod.ask("audit")["findings"] if one["alarm"]}

    def alerts(self) -> dict[str, str]:
        """By the rule for a node that does not announce what it should."""
        return {alert[1]: alert[2] for alert in self.prometheus.alerts() if alert[0] == "OnepeerAddressesMissing"}

    def events(self) -> dict[str, str]:
        """On the Nodes."""
        found = self.world.cluster.get("events", namespace="default")["items"]
        missing = [one for one in found if one["reason"] == "PathsMissing" and one["regarding"]["kind"] == "Node"]
        notes = {one["regarding"]["name"]: one["note"] for one in missing}
        return {name: cause for name, cause in CAUSES.items() if cause in notes.get(name, "")}

    def red(self) -> dict[str, str]:
        """On the page: each node under `Missing`, and the reason that is written beside it."""
        assert self.world.pod is not None
        return self.world.pod.host.inside(asyncio.run, self._look())

    async def _look(self) -> dict[str, str]:
        async with aiohttp.ClientSession() as session:
            await self.browser.open(session, PAGE, 1100, 900)
            await self.browser.until("document.getElementById('health').textContent !== 'asking'", "it has an answer")
            await self.browser.until(f"document.querySelectorAll({RED!r}).length > 0", "something is red")
            items: list[str] = await self.browser.ask(LINES)
            assert self.browser.errors == []
        return {line.split()[0]: line.split()[1].rstrip(",:") for line in items if line.split()[0] in CAUSES}


@pytest.fixture(scope="module")
def watched(running: World) -> Iterator[Watched]:
    """Nothing is broken yet."""
    subprocess.run([ROOT / "scripts/debian", "prometheus", "chromium"], check=True, stdout=subprocess.DEVNULL)
    assert running.pod is not None
    made = Watched(running, Prometheus(running.pod.host, PAGE.split("/")[2]), Browser(running.pod.host))
    made.prometheus.start()
    made.browser.start()
    yield made
    made.prometheus.process.terminate()


@pytest.fixture(scope="module")
def broken(watched: Watched) -> Iterator[Watched]:
    """Three nodes more, each with another fault."""
    world, stop = watched.world, threading.Event()
    hosts = {
        name: world.lab.host(name, f"192.168.3.{35 + at}/24", gateways=["192.168.3.1"])
        for at, name in enumerate(CAUSES)
    }
    speakers = {name: NodeSpeaker(world.metallb, host, "native") for name, host in hosts.items()}
    for host in hosts.values():
        host.add_service_address(TRAEFIK)
    hosts[FIREWALLED].run("sh", "-c", f"printf '{DROP}' | nft -f -")
    watched.broken_at = time.monotonic()
    for name, speaker in speakers.items():
        speaker.register()
        if name == BARE:
            world.cluster.delete("pods", f"speaker-{BARE}", objects.METALLB)
    speakers[FIREWALLED].start()
    signer = threading.Thread(target=hosts[SIGNING].inside, args=(_dial_signed, stop), daemon=True)
    signer.start()
    world.cluster.patch("nodes", "leviathan1", {"metadata": {"annotations": {"e2e": "1"}}})
    yield watched
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


def test_each_cause_is_told_apart_within_a_minute(broken: Watched) -> None:
    """By all five; and those that are well by none."""
    pod, signs = broken.world.pod, {}
    assert pod is not None
    for what, said in (("alarm", broken.alarms), ("event", broken.events), ("alert", broken.alerts)):
        wait_until(lambda said=said: said() == CAUSES, broken.left(), what, seen=said, every=0.3)
        signs[what] = NAMED - broken.left()
    assert broken.red() == CAUSES
    signs["page"] = NAMED - broken.left()
    for name, cause in CAUSES.items():
        done = pod.cli("explain", "node", name)
        assert done.returncode == 3
        assert cause in done.stdout, done.stdout
        assert f'onepeer_node_missing_addresses{{node="{name}",reason="{cause}"}}' in pod.metrics()
    assert "onepeer_alarms 3.0" in pod.metrics()
    assert pod.cli("explain", "node", "leviathan2").returncode == 0
    done = pod.cli("explain", TRAEFIK)
    assert all(name in done.stdout for name in CAUSES)
    signs["explain"] = NAMED - broken.left()
    assert broken.left() > 0, signs
    print("\nseconds from the fault: " + ", ".join(f"{what} {at:.0f}" for what, at in signs.items()))


def test_a_node_that_is_mended_carries_traffic_and_is_named_no_more(broken: Watched) -> None:
    """The firewall is opened; MetalLB's native speaker has backed off meanwhile, up to two minutes."""
    host: Host = broken.world.lab[FIREWALLED]
    host.run("nft", "delete", "table", "inet", "fault")
    wait_until(lambda: FIREWALLED not in broken.alarms(), 130, "it is well", seen=broken.world.story, every=0.5)
    assert host.v4 in broken.world.router_host.route(f"{TRAEFIK}/32")
    wait_until(lambda: FIREWALLED not in broken.alerts(), NAMED, "no alert", seen=broken.alerts, every=0.5)
    assert FIREWALLED not in broken.red()


def test_the_only_one_that_never_dialled_while_signatures_fail_has_a_wrong_password(broken: Watched) -> None:
    """The others are well by now, or have no speaker."""
    wait_until(
        lambda: broken.alarms() == {BARE: "speaker-not-running", SIGNING: "wrong-password"},
        NAMED,
        "the wrong password is named",
        seen=broken.world.story,
        every=0.5,
    )
    pod = broken.world.pod
    assert pod is not None
    assert "passwordSecret" in pod.cli("explain", "node", SIGNING).stdout
