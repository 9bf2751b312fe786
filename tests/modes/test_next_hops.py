"""How many next hops does a router have: each mode on each router, 1 to 10 nodes, both families.

One Onepeer feeds all these routers at once. They differ in the daemon, in the number of neighbor lines, and in whether
these take ADD-PATH. `tests.modes.stage` has the drawing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab import BIRD, FRR, GoBGP, Lab, OpenBGPD, Speaker, wait_until
from tests.modes import counts
from tests.modes.stage import ASN, CONVERGED, LANES, PORT, SOON, Stage, Table, kernel, lines, lost, services

NODES = 10
SERVICES = 6
FAMILIES = (4, 6)
PLAIN = (1, 2, 3, 4)
"""Neighbor lines of the routers without ADD-PATH."""
KINDS: tuple[type[Speaker], ...] = (FRR, BIRD, OpenBGPD, GoBGP)


@dataclass(frozen=True, slots=True)
class Router:
    """One router of the test, and how many paths it should get at most."""

    daemon: Speaker
    lanes: int
    add_path: bool

    @property
    def name(self) -> str:
        return f"{self.daemon.kind}-{'addpath' if self.add_path else self.lanes}"

    @property
    def mode(self) -> str:
        return "addpath" if self.add_path else "spread" if self.lanes == 1 else f"{self.lanes} lanes"

    def due(self, nodes: int) -> int:
        """Next hops of a service that so many nodes have."""
        return nodes if self.add_path else min(self.lanes, nodes)

    def table(self, family: int) -> Table:
        """Next hops by service: the kernel's where the daemon has one, else its RIB's."""
        if self.daemon.installs:
            installed = kernel(self.daemon.host, family)
            return {prefix: installed.get(prefix, frozenset()) for prefix in self.services(family)}
        return {prefix: frozenset(self.daemon.next_hops(prefix)) for prefix in self.services(family)}

    def services(self, family: int) -> list[str]:
        """Those looked at. A RIB is asked through a CLI, prefix by prefix, so only one of those."""
        return services(SERVICES if self.daemon.installs else 1, family)


@dataclass(frozen=True, slots=True)
class World:
    """All routers, and the nodes that are up."""

    stage: Stage
    routers: list[Router]

    def join(self, number: int) -> None:
        """Node `number`, from 1, comes up with all services, unless it is."""
        node = self.stage.cluster.nodes[number - 1]
        if node.prefixes:
            return
        prefixes = services(SERVICES) + services(SERVICES, 6)
        node.start((self.stage.onepeer_host.v4, PORT), prefixes)

    def settle(self, nodes: int) -> dict[tuple[Router, int], Table]:
        """Wait until every router has the number of next hops that is due with so many nodes; what it has then."""
        settled = {}
        for router in self.routers:
            for family in FAMILIES:
                settled[router, family] = wait_until(
                    lambda router=router, family=family: _right(router, family, nodes),
                    SOON,
                    f"{router.name} has {router.due(nodes)} next hops (IPv{family}, {nodes} nodes)",
                    seen=lambda router=router, family=family: router.table(family),
                )
        return settled


def _right(router: Router, family: int, nodes: int) -> Table | None:
    """What a router has, if that is the number of next hops due."""
    table = router.table(family)
    return table if {len(hops) for hops in table.values()} == {router.due(nodes)} else None


@pytest.fixture(scope="module")
def world(real_parts: None) -> Iterator[World]:
    """Every kind of router with ADD-PATH and with 1 to 4 plain lines, and one Onepeer that feeds them."""
    with Lab() as lab:
        stage = Stage(lab, NODES, routers=len(KINDS) * (1 + len(PLAIN)))
        hosts = iter(stage.router_hosts)
        routers = []
        for kind in KINDS:
            for lanes, add_path in ((1, True), *((lanes, False) for lanes in PLAIN)):
                peers = lines(lanes, add_path=add_path, families=FAMILIES)
                routers.append(Router(kind(next(hosts), ASN, peers), lanes, add_path))
        stage.start(router.daemon for router in routers)
        entries = [
            {"name": one.name, "address": one.daemon.host.v4, "local_addresses": LANES[: one.lanes]} for one in routers
        ]
        stage.onepeer(entries)
        for router in routers:
            for address in LANES[: router.lanes]:
                daemon = router.daemon
                wait_until(lambda d=daemon, a=address: d.established(a), CONVERGED, f"{router.name} has {address}")
        yield World(stage, routers)


def test_a_router_has_as_many_next_hops_as_its_lines_can_carry(world: World) -> None:
    """With ADD-PATH one for each node, else the smaller of lanes and nodes: in the kernel, for both families, on every
    router at once, whatever mode its neighbors have. Each node that joins changes at most one next hop of a service."""
    head = ("mode", "router", "counted in", *(f"n={n}" for n in range(1, NODES + 1)))
    seen: dict[Router, list[int]] = {router: [] for router in world.routers}
    before = {(router, family): Table() for router in world.routers for family in FAMILIES}
    for nodes in range(1, NODES + 1):
        world.join(nodes)
        after = world.settle(nodes)
        for (router, family), table in after.items():
            for prefix, hops in lost(before[router, family], table).items():
                assert len(hops) <= 1, f"{router.name}: {prefix} lost {hops} when node {nodes} joined"
                assert router.due(nodes) == router.due(nodes - 1), f"{router.name}: {prefix} had room, lost {hops}"
        for router in world.routers:
            seen[router] += {len(hops) for hops in after[router, 4].values()}
        before = after
    for router in sorted(world.routers, key=lambda one: (not one.add_path, one.lanes)):
        place = "kernel" if router.daemon.installs else "RIB"
        counts.row("next hops of a service with n nodes", head, router.mode, router.daemon.kind, place, *seen[router])


def test_a_node_that_dies_costs_no_other_next_hop(world: World) -> None:
    """As long as there are more nodes than lanes the number stays; no next hop goes but the dead node's."""
    up = list(range(1, NODES + 1))
    for number in up:
        world.join(number)
    before = world.settle(NODES)
    while up:
        dead = world.stage.cluster.nodes[up.pop(len(up) // 2) - 1]
        dead.stop()
        after = world.settle(len(up))
        for (router, family), table in before.items():
            gone = {hop for hops in lost(table, after[router, family]).values() for hop in hops}
            assert gone <= {dead.host.address(family)}, f"{router.name}: {gone} went when {dead.name} died"
        before = after
