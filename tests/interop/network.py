"""The network of the interop tests, and how its daemons are put on it.

    client ── router .1 ──┬── onepeer .10           192.168.3.0/24, fd00:3::/64
                          ├── n1 .31  n2 .32  n3 .33
                          └── second .2               (another router)

Every node answers on the service addresses of both families. Daemons differ from test to test; machines do not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.lab import Banner, Host, Lab, Onepeer, OpenBGPD, Peer, Speaker, flows, wait_until

ASN = 64512
PORT = 1790
SERVICE_PORT = 8080
SERVICE = {4: "192.168.30.1", 6: "fd00:30::1"}
"""The service that lives on every node."""
PREFIX = {4: "192.168.30.1/32", 6: "fd00:30::1/128"}
LONELY = {4: "192.168.30.22/32", 6: "fd00:30::22/128"}
"""A service that lives on n3 alone."""
GUARD = ["192.168.30.0/24", "fd00:30::/64"]

CONVERGED = 20.0
"""Seconds to wait at most: FRR starts its peers after one and announces after another, GoBGP dials after five."""
SOON = 5.0
"""Seconds to wait at most for what follows from a message; milliseconds are usual."""


class Network:
    """The machines, and what runs on them now."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.router_host = self._on_lan("router", 1)
        self.second_host = self._on_lan("second", 2)
        self.onepeer_host = self._on_lan("onepeer", 10)
        self.router_host.forward()
        gateways = ("192.168.3.1", "fd00:3::1")
        self.node_hosts = [self._on_lan(f"n{i}", 30 + i, *gateways) for i in (1, 2, 3)]
        self.client = lab.host("client")
        ends = (["10.99.0.2/24", "fd00:99::2/64"], ["10.99.0.1/24", "fd00:99::1/64"])
        lab.link(self.client, ends[0], self.router_host, ends[1])
        self.client.ip("route add default via 10.99.0.1", "route add default via fd00:99::1")
        for host in self.node_hosts:
            for address in SERVICE.values():
                host.add_service_address(address)
                Banner(host, address, SERVICE_PORT)
        self.running: list[Speaker | Onepeer] = []

    def _on_lan(self, name: str, number: int, *gateways: str) -> Host:
        addresses = (f"192.168.3.{number}/24", f"fd00:3::{number}/64")
        return self.lab.host(name, *addresses, gateways=gateways)

    def reset(self) -> None:
        """End everything that a test started, and take what it may have left in the kernel."""
        for one in self.running:
            if isinstance(one, Onepeer):
                one.kill()
            else:
                one.stop()
        self.running.clear()
        for host in (self.router_host, self.second_host):
            host.ip("route flush proto bgp", "route flush proto bird")
            host.run("ip", "-6", "route", "flush", "proto", "bgp")
            host.run("ip", "-6", "route", "flush", "proto", "bird")

    def onepeer(
        self,
        *,
        family: int = 4,
        router_asn: int = ASN,
        node_asn: int = ASN,
        router: Mapping[str, Any] | None = None,
        nodes: Mapping[str, Any] | None = None,
        roster: Sequence[Mapping[str, Any]] | None = None,
        **settings: object,
    ) -> Onepeer:
        """Start Onepeer with one router of this family. `router`, `nodes`, `settings`: further keys of the file.

        A speaker that ends takes its paths with it (`hold_paths`), unless the test is about that.
        """
        host = self.onepeer_host
        line = {"address": self.router_host.address(family), **(router or {})}
        line |= {"asn": router_asn} if router_asn != ASN else {}
        tree: dict[str, Any] = {
            "asn": ASN,
            "router_id": host.v4,
            "listen": {"addresses": [host.v4, host.v6]},
            "routers": [line],
            "nodes": {"file": "nodes.yaml", "hold_paths": "0s", "asn": node_asn, **(nodes or {})},
            "guard": {"prefixes": GUARD},
            "http": None,
            **settings,
        }
        if roster is None:
            roster = [{"name": one.name, "addresses": [one.v4, one.v6]} for one in self.node_hosts]
        onepeer = Onepeer(host, tree, roster)
        self.running.append(onepeer)
        onepeer.start()
        return onepeer

    def router(
        self,
        kind: type[Speaker],
        *,
        family: int = 4,
        asn: int = ASN,
        host: Host | None = None,
        **peer: Any,
    ) -> Speaker:
        """Start a router with one neighbor line, for Onepeer. `peer`: further fields of that `Peer`."""
        line = Peer(self.onepeer_host.address(family), ASN, **peer)
        return self.run(kind(host or self.router_host, asn, [line]))

    def nodes(
        self,
        kind: type[Speaker] = OpenBGPD,
        *,
        family: int = 4,
        asns: Sequence[int] = (ASN, ASN, ASN),
        count: int = 3,
        **peer: Any,
    ) -> list[Speaker]:
        """Start speakers on the first `count` nodes, each with the service that all have; n3 has its own, too.

        OpenBGPD where it does not matter which: it announces 30 ms after its start, FRR after 2 s.
        """
        line = Peer(self.onepeer_host.address(family), ASN, port=PORT, **peer)
        started = []
        for host, asn in list(zip(self.node_hosts, asns, strict=True))[:count]:
            networks = [PREFIX[family]] + ([LONELY[family]] if host.name == "n3" else [])
            started.append(self.run(kind(host, asn, [line], networks)))
        return started

    def run(self, speaker: Speaker) -> Speaker:
        """Start a daemon; it is stopped when the test ends."""
        self.running.append(speaker)
        speaker.start()
        return speaker

    def addresses(self, family: int, count: int = 3) -> list[str]:
        """The addresses of the first `count` nodes, sorted."""
        return [host.address(family) for host in self.node_hosts][:count]

    def sees(self, router: Speaker, prefix: str, hops: Sequence[str], deadline: float = CONVERGED) -> None:
        """Wait until the router holds exactly these next hops for a prefix: in its RIB, and its kernel if it can."""
        want = sorted(hops)
        wait_until(
            lambda: router.next_hops(prefix) == want,
            deadline,
            f"{router.kind} has {prefix} via {want}",
            seen=lambda: f"{router.paths(prefix)}\n{self.logs()}",
        )
        if router.installs:
            wait_until(
                lambda: router.host.route(prefix) == want,
                SOON,
                f"the kernel of {router.host.name} has {prefix} via {want}",
                seen=lambda: router.host.show_route(prefix),
            )

    def logs(self) -> str:
        """The end of Onepeer's log, for a failure's text."""
        text = "".join(one.output() for one in self.running if isinstance(one, Onepeer))
        return "onepeer said:\n" + text[-4000:]

    def who_answers(self, family: int = 4, count: int = 60) -> set[str]:
        """The nodes that answered real connections to the service."""
        return set(flows(self.client, SERVICE[family], SERVICE_PORT, count))
