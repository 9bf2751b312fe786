"""The machines of these tests, and what runs on them.

    client ── router .1 ──┬── onepeer .10 .11 .12 .13        192.168.3.0/24, fd00:3::/64
                          └── n1 .31 ... n10 .40

192.168.30.0/24 and fd00:30::/64 are the services; every node answers for all of them.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.lab import Host, Lab, Onepeer, Peer, Speaker, wait_until
from tests.modes.cluster import Cluster

ASN = 64512
PORT = 1790
LANES = ["192.168.3.10", "192.168.3.11", "192.168.3.12", "192.168.3.13"]
GUARD = ["192.168.30.0/24", "fd00:30::/64"]
CONVERGED = 20.0
"""Seconds to wait at most for daemons to start and find each other."""
SOON = 5.0
"""Seconds to wait at most for what follows from a message; milliseconds are usual."""

Table = dict[str, frozenset[str]]
"""The next hops of every service prefix."""


def services(count: int, family: int = 4) -> list[str]:
    """The prefixes of the first services."""
    base, length = ("192.168.30.", 32) if family == 4 else ("fd00:30::", 128)
    return [f"{base}{number if family == 4 else format(number, 'x')}/{length}" for number in range(1, count + 1)]


class Stage:
    """Machines that stay, daemons that come and go."""

    def __init__(self, lab: Lab, nodes: int, routers: int = 1) -> None:
        self.lab = lab
        self.onepeer_host = self._on_lan("onepeer", 10)
        self.onepeer_host.ip(*(f"addr add {address}/24 dev eth0" for address in LANES[1:]))
        self.router_hosts = [self._on_lan("router", 1)]
        self.router_hosts += [self._on_lan(f"router{i}", 100 + i) for i in range(2, routers + 1)]
        gateways = ("192.168.3.1", "fd00:3::1")
        self.node_hosts = [self._on_lan(f"n{i}", 30 + i, *gateways) for i in range(1, nodes + 1)]
        for host in self.node_hosts:
            host.ip("route add local 192.168.30.0/24 dev lo")
            host.run("ip", "-6", "route", "add", "local", "fd00:30::/64", "dev", "lo")
        for host in self.router_hosts:
            host.forward()
        self.client = lab.host("client")
        ends = (["10.99.0.2/24", "fd00:99::2/64"], ["10.99.0.1/24", "fd00:99::1/64"])
        lab.link(self.client, ends[0], self.router_hosts[0], ends[1])
        self.client.ip("route add default via 10.99.0.1", "route add default via fd00:99::1")
        self.cluster = Cluster(self.node_hosts, ASN)
        lab.on_close(self.cluster.close)
        self.running: list[Speaker | Onepeer] = []

    def _on_lan(self, name: str, number: int, *gateways: str) -> Host:
        return self.lab.host(name, f"192.168.3.{number}/24", f"fd00:3::{number}/64", gateways=gateways)

    @property
    def router_host(self) -> Host:
        return self.router_hosts[0]

    def onepeer(
        self,
        routers: Sequence[Mapping[str, Any]],
        roster: Sequence[Mapping[str, Any]] | None = None,
        **settings: object,
    ) -> Onepeer:
        """Start Onepeer for these entries of `routers`."""
        tree = {
            "asn": ASN,
            "listen": {"addresses": [self.onepeer_host.v4]},
            "routers": [dict(one) for one in routers],
            "nodes": {"file": "nodes.yaml", "hold_paths": "0s"},
            "guard": {"prefixes": GUARD},
            "http": None,
            **settings,
        }
        onepeer = Onepeer(self.onepeer_host, tree, roster or self.cluster.roster())
        self.running.append(onepeer)
        onepeer.start()
        return onepeer

    def start(self, daemons: Iterable[Speaker]) -> None:
        """Start all of them together, and wait for the last."""
        started = list(daemons)
        for daemon in started:
            self.running.append(daemon)
            daemon.launch()
        for daemon in started:
            wait_until(daemon.ready, CONVERGED, f"{daemon.kind} on {daemon.host.name} answers", seen=daemon.output)

    def end(self) -> None:
        """End all daemons and speakers, and take what they left in the kernel."""
        self.cluster.stop()
        for one in self.running:
            if isinstance(one, Onepeer):
                one.kill()
            else:
                one.stop()
        self.running.clear()
        for host in self.router_hosts:
            host.run("ip", "nexthop", "flush")  # and every route that uses one


def lines(count: int, *, add_path: bool, families: tuple[int, ...] = (4,)) -> list[Peer]:
    """The neighbor lines of a router for so many lanes."""
    return [Peer(address, ASN, add_path=add_path, families=families) for address in LANES[:count]]


def kernel(host: Host, family: int = 4) -> Table:
    """What the kernel of a router has for the services."""
    table: Table = {}
    pool = ipaddress.ip_network(GUARD[0] if family == 4 else GUARD[1])
    for entry in host.ip_json(*(["-6"] if family == 6 else []), "route", "show"):
        prefix = entry["dst"]
        if prefix == "default" or not _inside(prefix, pool):
            continue
        hops = {hop.get("gateway") or hop["via"]["host"] for hop in entry.get("nexthops", [entry])}
        table[f"{prefix}/{pool.max_prefixlen}"] = frozenset(host.lab.global_of(hop) for hop in hops)
    return table


def _inside(prefix: str, pool: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    network = ipaddress.ip_network(prefix)
    return network.version == pool.version and network.subnet_of(pool)  # type: ignore[arg-type]


def lost(before: Table, after: Table) -> dict[str, frozenset[str]]:
    """The next hops that each prefix had and has no more."""
    gone = {prefix: hops - after.get(prefix, frozenset()) for prefix, hops in before.items()}
    return {prefix: hops for prefix, hops in gone.items() if hops}
