"""`make demo`: one neighbor line on the router, told with real parts.

    client ── router 192.168.3.1 ──┬── leviathan1..4  192.168.3.31-34   (FRR, as MetalLB's FRR mode sets it up)
              (FRR, AS 64512)      └── onepeer        192.168.3.10

Then (demo_lanes.py) the same router without ADD-PATH, and four lines to Onepeer's 192.168.3.10-13.

Traefik's 192.168.30.1 lives on every node, Gitea's 192.168.30.22 on leviathan3 alone. Each claim that the story
makes is checked; the first one that is not so ends the demo with exit status 1.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.lab import FRR, NOBODY, Banner, Host, Lab, NotInTime, Onepeer, Peer, Traffic, ask, flows, wait_until
from tests.lab.demo_lanes import four_lines, one_line
from tests.lab.sniff import FirstWords

ASN = 64512
TRAEFIK, HTTP = "192.168.30.1", 80
GITEA, SSH = "192.168.30.22", 22
ROUTER, ONEPEER = "192.168.3.1", "192.168.3.10"
HOLD = 3
"""Hold time of the nodes' sessions, seconds: the least that MetalLB's BGPPeer takes. A dead host says nothing."""
FLOWS = 90
"""Enough that a node among four is left out by chance once in 10^11."""

FRR_WAITS = "of which a speaker that is FRR holds its routes back for 1050, whoever its peer is"
"""bgpd 8.4.4, measured towards BIRD: from Established to the first UPDATE, in any configuration tried."""

SETTINGS = """\
asn: 64512
listen: {addresses: [192.168.3.10]}
routers:
  - address: 192.168.3.1
nodes: {file: nodes.yaml}
guard: {prefixes: [192.168.30.0/24]}
"""

PACKAGES = ("frr", "frr-pythontools", "iproute2")
ROOT = Path(__file__).resolve().parents[2]


class NotSo(Exception):
    """A claim of the story that the machines do not bear out."""


class Story:
    """What is printed, and when, seconds from the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def act(self, title: str) -> None:
        print(f"\n━━ {title} {'━' * max(0, 96 - len(title))}", flush=True)

    def does(self, text: str) -> None:
        print(f"\n[{time.monotonic() - self._start:5.1f} s] {text}", flush=True)

    def shows(self, prompt: str, text: str) -> None:
        """Something a person would have typed and read."""
        print(f"    {prompt}")
        for line in text.splitlines():
            print(f"      {line.rstrip()}")
        sys.stdout.flush()

    def notes(self, text: str) -> None:
        """Something measured on the way, for which no claim is made."""
        print(f"    {text}", flush=True)

    def claim(self, so: object, text: str) -> None:
        """State a fact. Raises NotSo when it is none."""
        print(f"    {'✔' if so else '✘'} {text}", flush=True)
        if not so:
            raise NotSo(text)

    def comes_true(self, condition: Callable[[], object], deadline: float, text: str) -> float:
        """State a fact that becomes one within `deadline` seconds; how many milliseconds it took."""
        start = time.monotonic()
        try:
            wait_until(condition, deadline, text, every=0.01)
        except NotInTime as error:
            print(error)
            self.claim(False, f"{text} within {deadline:g} s")
        self.claim(True, text)
        return (time.monotonic() - start) * 1000


class Stage:
    """The machines: built once, used by every act."""

    def __init__(self, lab: Lab) -> None:
        self.router_host = lab.host("router", f"{ROUTER}/24")
        self.router_host.forward()
        self.client = lab.host("client")
        lab.link(self.client, ["10.0.0.2/24"], self.router_host, ["10.0.0.1/24"])
        self.client.ip("route add default via 10.0.0.1")
        self.onepeer_host = lab.host("onepeer", f"{ONEPEER}/24")
        self.node_hosts = [self._node(lab, number) for number in (1, 2, 3, 4)]
        self.router = FRR(self.router_host, ASN, [])

    def _node(self, lab: Lab, number: int) -> Host:
        host = lab.host(f"leviathan{number}", f"192.168.3.{30 + number}/24", gateways=[ROUTER])
        services = [(TRAEFIK, HTTP)] + ([(GITEA, SSH)] if number == 3 else [])
        for address, port in services:
            host.add_service_address(address)
            Banner(host, address, port)
        return host

    def speaker(self, host: Host, peer: Peer) -> FRR:
        """MetalLB's speaker on this node, in FRR mode."""
        networks = [f"{TRAEFIK}/32"] + ([f"{GITEA}/32"] if host.name == "leviathan3" else [])
        return FRR(host, ASN, [peer], networks)

    def router_says(self, story: Story, *commands: str) -> None:
        for command in commands:
            story.shows(f"router# {command}", self.router.vtysh(command))

    def router_routes(self, story: Story, *addresses: str) -> None:
        for address in addresses:
            shown = self.router_host.show_route(f"{address}/32") or "(no route)"
            story.shows(f"router$ ip route show {address}", shown)

    def lines(self) -> str:
        """The router's BGP lines, as its administrator sees them."""
        running = self.router.vtysh("show running-config").splitlines()
        start = next(number for number, line in enumerate(running) if line.startswith("router bgp"))
        end = next(number for number, line in enumerate(running) if number > start and line == "exit")
        return "\n".join(line for line in running[start:end] if line not in (" !",))

    def spread(self, story: Story) -> Counter[str]:
        answered = flows(self.client, TRAEFIK, HTTP, FLOWS)
        said = ", ".join(f"{name} {count}" for name, count in sorted(answered.items()))
        story.shows(f"client$ {FLOWS} connections to Traefik, {TRAEFIK}:{HTTP}: answered by", said)
        return answered


def before(story: Story, stage: Stage) -> list[FRR]:
    """A neighbor line for each node, one node forgotten."""
    story.act("Before: a neighbor line per node, and leviathan3 forgotten")
    story.does("The router starts with the lines its administrator typed; three nodes start their speakers.")
    stage.router.peers = [Peer(stage.node_hosts[number].v4, ASN) for number in (0, 1)]
    stage.router.start()
    nodes = [stage.speaker(host, Peer(ROUTER, ASN, hold=HOLD)) for host in stage.node_hosts[:3]]
    for node in nodes:
        node.start()
    story.shows("router# show running-config", stage.lines())
    known = [host.v4 for host in stage.node_hosts[:2]]
    route = stage.router_host.route
    story.comes_true(lambda: route(f"{TRAEFIK}/32") == known, 15, "Traefik is routed to the two nodes with a line")
    stage.router_routes(story, TRAEFIK, GITEA)
    answered = stage.spread(story)
    story.claim(set(answered) == {"leviathan1", "leviathan2"}, "leviathan3 carries no traffic, and nothing complains")
    story.claim(not route(f"{GITEA}/32"), "the router has no route to Gitea, which lives on leviathan3 alone")
    story.claim(ask(stage.client, GITEA, SSH) == NOBODY, f"Gitea's SSH at {GITEA} is unreachable")
    return nodes


def after(story: Story, stage: Stage, nodes: list[FRR]) -> Onepeer:
    """One line; every node's path."""
    story.act("After: one line on the router")
    roster = [_roster_line(node.host) for node in nodes]
    onepeer = Onepeer(stage.onepeer_host, SETTINGS, roster)
    story.does(f"Onepeer starts on {ONEPEER}; the router's node lines become one; the nodes' BGPPeer names Onepeer.")
    onepeer.start()
    story.shows("$ cat onepeer.yaml", onepeer.file.read_text())
    story.shows("$ cat nodes.yaml", (onepeer.folder / "nodes.yaml").read_text())
    stage.router.replace_peers([Peer(ONEPEER, ASN)])
    for node in nodes:
        node.replace_peers([Peer(ONEPEER, ASN, port=1790, hold=HOLD)])
    story.shows("router# show running-config", stage.lines())
    everyone = [node.host.v4 for node in nodes]
    route = stage.router_host.route
    story.comes_true(lambda: route(f"{TRAEFIK}/32") == everyone, 15, "all three nodes are next hops of Traefik")
    story.comes_true(lambda: route(f"{GITEA}/32") == everyone[2:], 5, "Gitea is routed to leviathan3")
    stage.router_says(story, f"show bgp ipv4 unicast {TRAEFIK}/32 multipath")
    stage.router_routes(story, TRAEFIK, GITEA)
    story.shows("$ onepeer status", onepeer.cli("status").stdout)
    answered = stage.spread(story)
    story.claim(set(answered) == {node.host.name for node in nodes}, "flows spread over all three nodes")
    story.claim(ask(stage.client, GITEA, SSH) == "leviathan3", f"Gitea's SSH at {GITEA} answers, from leviathan3")
    return onepeer


def a_node_joins(story: Story, stage: Stage, onepeer: Onepeer) -> FRR:
    """A fourth node carries traffic; nobody has touched the router."""
    story.act("A fourth node joins")
    host = stage.node_hosts[3]
    lines = stage.lines()
    story.does(f"{host.name} ({host.v4}) is added to nodes.yaml, and its speaker starts.")
    onepeer.nodes.append(_roster_line(host))
    onepeer.write_nodes()
    taken = f"Onepeer has taken up {host.name}"
    story.comes_true(lambda: host.name in onepeer.cli("nodes", "-o", "json").stdout, 5, taken)
    words = FirstWords(host, 1790)
    traffic = Traffic(stage.client, TRAEFIK, HTTP, every=0.002)
    node = stage.speaker(host, Peer(ONEPEER, ASN, port=1790, hold=HOLD))
    node.start()
    story.comes_true(lambda: host.name in traffic.first, 15, f"{host.name} carries traffic")
    answered = traffic.stop()
    words.close()
    story.claim(words.dialled and words.announced, "its first dial and first announcement were seen on its interface")
    assert words.dialled is not None
    assert words.announced is not None
    own, took = (words.announced - words.dialled) * 1000, (traffic.first[host.name] - words.announced) * 1000
    story.notes(f"from its first dial to its first announcement: {own:.0f} ms, {FRR_WAITS}")
    story.claim(took < 1000, f"from its first announcement to its first answered connection: {took:.0f} ms")
    stage.router_routes(story, TRAEFIK)
    story.claim(answered[NOBODY] == 0, f"of {answered.total()} connections meanwhile none was lost")
    story.claim(stage.lines() == lines, "the router's configuration is what it was, line for line")
    return node


def a_node_dies(story: Story, stage: Stage, onepeer: Onepeer, dying: FRR) -> None:
    """A node without power leaves the router's table when its hold time is over."""
    story.act("A node dies")
    name = dying.host.name
    story.does(f"{name} loses its power: no goodbye, its link is down. The hold time is {HOLD} s.")
    dying.host.unplug()
    dying.crash()
    living = [host.v4 for host in stage.node_hosts if host is not dying.host]
    route = stage.router_host.route
    took = story.comes_true(lambda: route(f"{TRAEFIK}/32") == living, HOLD + 2, f"{name} has left the router's table")
    story.notes(f"after {took:.0f} ms")
    stage.router_routes(story, TRAEFIK)
    answered = stage.spread(story)
    story.claim(set(answered) == {host.name for host in stage.node_hosts} - {name}, "the other three answer them all")
    story.shows("$ onepeer nodes", onepeer.cli("nodes").stdout)


def _roster_line(host: Host) -> dict[str, object]:
    return {"name": host.name, "addresses": [host.v4]}


def play(story: Story) -> None:
    """The whole story. Raises NotSo at the first claim that does not hold."""
    with Lab() as lab:
        stage = Stage(lab)
        nodes = before(story, stage)
        onepeer = after(story, stage, nodes)
        a_node_joins(story, stage, onepeer)
        a_node_dies(story, stage, onepeer, nodes[1])
        living = [host.v4 for host in stage.node_hosts if host is not nodes[1].host]
        one_line(story, stage, living)
        four_lines(story, stage, onepeer, living)
        story.act("The end")
        story.does("Onepeer and all machines stop.")
        onepeer.stop()


def main() -> int:
    """Exit status: 0 = every claim held; 1 = one did not; 2 = this user cannot make network namespaces."""
    if os.geteuid() != 0:
        print("demo: network namespaces need root; run it as root, as in: sudo make demo", file=sys.stderr)
        return 2
    subprocess.run([ROOT / "scripts" / "debian", *PACKAGES], check=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the lab is taken down then, too
    start = time.monotonic()
    try:
        play(Story())
    except (NotSo, AssertionError) as error:
        print(f"\ndemo: NOT SO: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped; its machines are gone", file=sys.stderr)
        return 130
    print(f"\nEvery claim held. {time.monotonic() - start:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
