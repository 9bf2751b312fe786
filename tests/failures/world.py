"""The machines, and what of them may be hurt: replicas, speakers, cables, the API server, the router."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e import objects
from tests.e2e.apiserver import Cluster
from tests.e2e.metallb import MetalLB, NodeSpeaker
from tests.failures.routers import ASN, ROUTER, ROUTER6, Variant
from tests.failures.stream import Receivers, Stream
from tests.lab import Host, Lab, Onepeer, Process, wait_until
from tests.lab.netns import run
from tests.lab.onepeer import answer
from tests.modes.traffic import Services

NODES = tuple(f"leviathan{number}" for number in range(1, 6))
REPLICAS = NODES[:3]
SERVICE = "192.168.30.1"
STEADY = 1.0
"""Seconds without a change."""
WHOLE = 90.0
"""Seconds until all is well again, at most: beside a router's hold time nothing of Onepeer's takes half as long."""


class Replica(Onepeer):
    """Onepeer on a node, which it is told the name of as its pod would be."""

    def __init__(self, world: "World", host: Host) -> None:
        router = {"address": world.variant.address, "local_addresses": list(world.variant.addresses)}
        if world.variant.password is not None:
            key = host.folder / "router.key"
            key.write_text(world.variant.password)
            router["password_file"] = str(key)
        tree = {
            "asn": ASN,
            "listen": {"addresses": [host.v4]},
            "routers": [router],
            "nodes": {"kubernetes": {"kubeconfig": str(world.cluster.kubeconfig)}},
            "replicas": {},
            "state_dir": str(host.folder / "state"),
            "http": None,
        }
        super().__init__(host, tree, [])
        self._logs: list[Path] = []
        self.environment = {"NODE_NAME": host.name, "POD_NAMESPACE": "onepeer-system"}

    def holds(self, address: str) -> bool:
        """Whether its host has the router-facing address now, whatever it says itself."""
        return any(
            one.get("local") == address for link in self.host.ip_json("addr", "show") for one in link["addr_info"]
        )

    def launch(self) -> Process:
        """Start it without waiting; its earlier logs are kept."""
        process = super().launch()
        self._logs.append(process.log)
        return process

    def mark(self) -> int:
        """Where its logs stand."""
        return len(self._logged())

    def ways(self, since: int) -> Iterator[str]:
        """How it took the router's sessions over since a mark, whatever became of the process that did."""
        yield from (said["way"] for said in self.told("taken_over", since))

    def told(self, event: str, since: int = 0) -> Iterator[dict[str, Any]]:
        """What it logged under this name since a mark."""
        lines = (line for line in self._logged()[since:].splitlines() if line.startswith("{"))
        yield from (said for said in map(json.loads, lines) if said["event"] == event)

    def _logged(self) -> str:
        return "".join(log.read_text(errors="replace") for log in self._logs)

    def said(self) -> Any:
        """What it answers to `onepeer status -o json`, asked without a start of Python."""
        return answer(self.socket, "status")


class World:
    """Everything up, with one kind of router."""

    def __init__(self, lab: Lab, variant: Variant) -> None:
        self.lab = lab
        self.variant = variant
        self.router_host = lab.host("router", f"{ROUTER}/24", f"{ROUTER6}/64")
        self.router_host.forward()
        self.client = lab.host("client")
        lab.link(self.client, ["10.99.0.2/24"], self.router_host, ["10.99.0.1/24"])
        self.client.ip("route add default via 10.99.0.1")
        self.hosts = {
            name: lab.host(name, f"192.168.3.{30 + at}/24", f"fd00:3::{30 + at}/64", gateways=[ROUTER])
            for at, name in enumerate(NODES, 1)
        }
        for host in self.hosts.values():
            host.ip("route add local 192.168.30.0/24 dev lo")
        self.cluster = Cluster(lab.host("cluster", "192.168.3.100/24"))
        self.router = variant.build(self.router_host)
        self.metallb = MetalLB(self.cluster)
        self.speakers = {name: NodeSpeaker(self.metallb, host, "native") for name, host in self.hosts.items()}
        self.replicas: dict[str, Replica] = {}
        self._receivers = Receivers(list(self.hosts.values()))
        self._services = Services(list(self.hosts.values()))
        lab.on_close(self._receivers.close)
        lab.on_close(self._services.close)

    def start(self) -> None:
        """All of it; returns when the router's kernel has every node."""
        self.router.start()
        self.cluster.start()
        self.metallb.start()
        self.cluster.apply(objects.namespace("onepeer-system"))
        for speaker in self.speakers.values():
            speaker.register()
        self.cluster.apply(objects.pool("services", "192.168.30.0/24"))
        self.cluster.apply(objects.advertisement("services", ["services"]))
        self.cluster.apply(objects.endpoints("traefik", *NODES), objects.service("traefik", SERVICE))
        for name in REPLICAS:
            self.replicas[name] = Replica(self, self.hosts[name])
            self.replicas[name].start()
        for speaker in self.speakers.values():
            speaker.start()
        self.wait_whole()

    # --- who leads, and is all well ---

    def leader(self) -> str | None:
        """The one replica that runs and whose host has the first router-facing address; None while none or two do."""
        running = {name: replica for name, replica in self.replicas.items() if replica.process is not None}
        holders = [name for name, replica in running.items() if replica.holds(self.variant.addresses[0])]
        return holders[0] if len(holders) == 1 else None

    def leading(self) -> str:
        """The same where there is no doubt."""
        leader = self.leader()
        assert leader is not None, self.story()
        return leader

    def next_hops(self) -> set[str]:
        """What the router's kernel has for the service."""
        return set(self.router_host.route(f"{SERVICE}/32"))

    def wait_whole(self, *, without: Sequence[str] = (), seconds: float = WHOLE) -> None:
        """One replica leads, every session of the router is up, and its kernel has the nodes (but for `without`) as
        far as there are lanes."""
        nodes = {self.hosts[name].v4 for name in NODES if name not in without}
        count = min(len(nodes), self.variant.lanes) if self.variant.lanes > 1 else len(nodes)
        wait_until(lambda: self._is_whole(nodes, count, without), seconds, "all is whole", seen=self.story, every=0.02)

    def _is_whole(self, nodes: set[str], count: int, without: Sequence[str]) -> bool:
        hops, leader = self.next_hops(), self.leader()
        return (
            len(hops) == count
            and hops <= nodes
            and leader is not None
            and leader not in without
            and all(self.router.established(lane) for lane in self.variant.addresses)
        )

    def wait_steady(self) -> None:
        """The router's next hops have been the same for a second: nothing moves for what was mended before."""
        seen, since = self.next_hops(), time.monotonic()
        while time.monotonic() - since < STEADY:
            time.sleep(0.05)
            if (now := self.next_hops()) != seen:
                seen, since = now, time.monotonic()

    def wait_hot(self) -> None:
        """Every replica that runs has a session of every node, and those that follow know all that the leader does."""
        wait_until(self._all_hot, WHOLE, "every replica is hot", seen=self.story, every=0.2)

    def _all_hot(self) -> bool:
        if not all(replica.ready() for replica in self.replicas.values()):
            return False
        said = [replica.said() for replica in self.replicas.values()]
        leads = [one["routers"][0]["lead"] or {} for one in said]
        followed = [len(lead["followers"]) for lead in leads if lead.get("role") == "leads"]
        mirrored = [lead["mirrored"] for lead in leads if lead.get("role") == "follows"]
        return (
            all(len(one["nodes_up"]) == len(NODES) for one in said)
            and followed == [len(self.replicas) - 1]
            and mirrored == [self.variant.lanes] * (len(self.replicas) - 1)
        )

    def stream(self) -> Stream:
        """Packets, once one has come to each node that the router knows."""
        stream = Stream(self.client, self._receivers, SERVICE)
        wait_until(lambda: len(stream.nodes()) >= len(self.next_hops()), 10, "packets reach every node")
        return stream

    # --- what is hurt ---

    @contextmanager
    def cut(self, one: Host, *others: Host) -> Iterator[None]:
        """No frame passes between these hosts, in either direction: not even ARP."""
        ports = [(self.lab.port(one), self.lab.port(other)) for other in others]
        rules = [f'iifname "{a}" oifname "{b}" drop' for pair in ports for a, b in (pair, pair[::-1])]
        head = ["table bridge cut {", "chain forward { type filter hook forward priority 0; policy accept;"]
        self._nft("\n".join([*head, *rules, "}", "}", ""]))
        try:
            yield
        finally:
            self._nft("delete table bridge cut\n")

    def _nft(self, text: str) -> None:
        run(["ip", "netns", "exec", self.lab.switch, "nft", "-f", "-"], stdin=text)

    def story(self) -> str:
        """What explains a failure."""
        parts = [self.router_host.run("ip", "route", check=False), f"leader: {self.leader()}"]
        parts += [f"{name} said:\n{one.output()[-3000:]}" for name, one in self.replicas.items()]
        return "\n".join(parts)
