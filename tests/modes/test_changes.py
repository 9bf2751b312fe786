"""What moves when: long-lived flows through FRR and the kernel while something changes, in each mode.

300 TCP connections to 20 services are open and in use. A flow that breaks is one of three kinds:

    dead      its node has died: nothing could have saved it
    moved     its node lives, but the router was without that next hop at some moment
    rehashed  the router had its node's next hop all the time, and the kernel sent the flow elsewhere: Linux hashes
              over the list of next hops, so a list that changes moves flows between those that stay

The first two are for Onepeer to answer for, and asserted. The third is the router's, and is the same with a neighbor
line for each node: `direct` is that, without Onepeer, for comparison.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.lab import FRR, Host, Lab, Onepeer, Peer, wait_until
from tests.modes import counts
from tests.modes.cluster import Node
from tests.modes.stage import ASN, CONVERGED, LANES, PORT, SOON, Stage, Table, kernel, lines, services
from tests.modes.traffic import Flow, LongFlows, Services
from tests.modes.watch import QUIET, Watch

SERVICES = 20
FLOWS = 300
ROUTER = "192.168.3.1"
HEAD = ("change", "mode", "flows", "dead", "moved", "rehashed", "next hops taken from living nodes", "for a moment")


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to bring paths to the router, and the number of nodes at rest."""

    name: str
    nodes: int
    lanes: int = 1
    add_path: bool = False
    direct: bool = False

    def due(self, nodes: int) -> int:
        """Next hops of a service that so many nodes have."""
        return nodes if self.add_path or self.direct else min(self.lanes, nodes)


ADD_PATH = Mode("addpath, 5 nodes", 5, add_path=True)
ROOMY = Mode("4 lanes, 3 nodes", 3, lanes=4)
FULL = Mode("4 lanes, 6 nodes", 6, lanes=4)
SPREAD = Mode("spread, 5 nodes", 5)
DIRECT = Mode("direct, 5 nodes", 5, direct=True)


@dataclass(slots=True)
class Change:
    """What one change did."""

    flows: list[Flow] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)
    """Addresses of the nodes that died."""
    before: Table = field(default_factory=dict)
    after: Table = field(default_factory=dict)
    lacked: dict[str, set[str]] = field(default_factory=dict)
    """By prefix, the next hops that it was without at some moment, of those it had before."""
    changed: set[str] = field(default_factory=set)
    """Prefixes whose next hops changed at all."""
    fewest: int = 0
    """Next hops that any prefix had at any moment."""

    def broken(self, kind: str) -> list[Flow]:
        """The flows that broke so."""
        return [flow for flow in self.flows if flow.broken and self._kind(flow) == kind]

    def taken(self) -> int:
        """Next hops of living nodes that prefixes had before and have no more."""
        return sum(len(hops - self.after.get(p, frozenset()) - self.dead) for p, hops in self.before.items())

    def momentary(self) -> int:
        """Next hops of living nodes that prefixes had before and have again, but not all the time."""
        return sum(len(hops & self.after.get(p, frozenset())) for p, hops in self.lacked.items())

    def _kind(self, flow: Flow) -> str:
        hop = _address_of(flow.node)
        if hop in self.dead:
            return "dead"
        return "moved" if hop in self.lacked.get(f"{flow.address}/32", ()) else "rehashed"


def _address_of(node: str) -> str:
    return f"192.168.3.{30 + int(node[1:])}"


def wait_steady(host: Host, right: Callable[[Table], bool]) -> Table:
    """The table of a router's kernel, once it is right and stays the same for a while."""
    since, last = time.monotonic(), kernel(host)

    def steady() -> Table | None:
        nonlocal since, last
        now = kernel(host)
        if now != last or not right(now):
            since, last = time.monotonic(), now
        return last if time.monotonic() - since > QUIET else None

    return wait_until(steady, CONVERGED, "the router's table is right and steady", seen=lambda: last)


class World:
    """A router, its way to the nodes, and the nodes."""

    def __init__(self, stage: Stage, mode: Mode) -> None:
        self.stage = stage
        self.mode = mode
        self.prefixes = services(SERVICES)
        nodes = stage.cluster.nodes[: mode.nodes]
        peers = [Peer(n.host.v4, ASN) for n in nodes] if mode.direct else lines(mode.lanes, add_path=mode.add_path)
        self.router = FRR(stage.router_host, ASN, peers)
        stage.start([self.router])
        self.onepeer: Onepeer | None = None
        if not mode.direct:
            entry = {"address": ROUTER, "local_addresses": LANES[: mode.lanes]}
            self.onepeer = stage.onepeer([entry], stage.cluster.roster()[: mode.nodes])
        self.rest()

    def node(self, number: int) -> Node:
        return self.stage.cluster.nodes[number - 1]

    def join(self, number: int) -> None:
        """A node is let in and comes up."""
        node = self.node(number)
        if self.onepeer is None:
            self.router.configure(f"router bgp {ASN}", f"neighbor {node.host.v4} remote-as {ASN}")
        elif node.name not in {one["name"] for one in self.onepeer.nodes}:
            self.onepeer.nodes.append(self.stage.cluster.roster()[number - 1])
            self.onepeer.write_nodes()
        node.start((ROUTER, 179) if self.onepeer is None else (LANES[0], PORT), self.prefixes)

    def rest(self) -> None:
        """Exactly the mode's nodes are up, and the router has what is due."""
        for node in self.stage.cluster.nodes[self.mode.nodes :]:
            node.stop()
        if self.onepeer is not None and len(self.onepeer.nodes) > self.mode.nodes:
            del self.onepeer.nodes[self.mode.nodes :]
            self.onepeer.write_nodes()
        for number in range(1, self.mode.nodes + 1):
            if not self.node(number).prefixes:
                self.node(number).host.plug()
                self.join(number)
        self.settle(self.mode.nodes)
        here = {node.host.v4 for node in self.stage.cluster.nodes[: self.mode.nodes]}
        used = wait_steady(self.stage.router_host, lambda table: frozenset().union(*table.values()) == here)
        assert used, "nobody else is a next hop"

    def settle(self, nodes: int) -> None:
        """Wait until each service has as many next hops as are due with so many nodes."""
        self.due({self.mode.due(nodes)})

    def due(self, numbers: set[int], deadline: float = CONVERGED) -> None:
        """Wait until the services have these numbers of next hops."""
        host = self.stage.router_host
        wait_until(
            lambda: len(table := kernel(host)) == SERVICES and {len(hops) for hops in table.values()} == numbers,
            deadline,
            f"{self.mode.name}: every service has {numbers} next hops",
            seen=lambda: f"{kernel(host)}\n{self.onepeer.output()[-3000:] if self.onepeer else ''}",
        )

    @contextmanager
    def change(self, title: str, dead: tuple[Node, ...] = ()) -> Iterator[Change]:
        """What happens in the body is watched. At its end the router must have all that it will have."""
        watch = Watch(self.stage.router_host)
        flows = LongFlows(self.stage.client, [prefix.partition("/")[0] for prefix in self.prefixes], FLOWS)
        change = Change(dead={node.host.v4 for node in dead})
        try:
            yield change
            watch.wait()
        finally:
            change.flows = flows.end()
            watch.stop()
        change.before, change.after = watch.start, kernel(self.stage.router_host)
        change.lacked, change.fewest = watch.lacked(), watch.fewest()
        change.changed = {prefix for prefix, hops in watch.moments if hops != watch.start.get(prefix)}
        kinds = [len(change.broken(kind)) for kind in ("dead", "moved", "rehashed")]
        counts.row("what moves when", HEAD, title, self.mode.name, FLOWS, *kinds, change.taken(), change.momentary())
        untouched = [flow for flow in change.flows if f"{flow.address}/32" not in change.changed and flow.broken]
        assert not untouched, "a flow broke though nothing changed for its service"


@pytest.fixture(scope="module")
def stage(real_parts: None) -> Iterator[Stage]:
    """The machines, and services on the nodes."""
    with Lab() as lab:
        stage = Stage(lab, 7)
        lab.on_close(Services(stage.node_hosts).close)
        yield stage


@pytest.fixture(scope="module")
def running(stage: Stage, request: pytest.FixtureRequest) -> Iterator[World]:
    """One mode at work."""
    try:
        yield World(stage, request.param)
    finally:
        stage.end()


@pytest.fixture
def world(running: World) -> World:
    """One mode at rest."""
    running.rest()
    return running


def modes(*which: Mode) -> pytest.MarkDecorator:
    """Run a test in these modes."""
    return pytest.mark.parametrize("running", which, ids=lambda mode: mode.name, indirect=True)


@modes(ADD_PATH, ROOMY, FULL, SPREAD, DIRECT)
def test_a_node_that_joins_takes_no_more_than_its_share(world: World) -> None:
    """Where there is room nobody loses anything. Where there is none, each service gives it one next hop at most, and
    no other one moves."""
    newcomer = world.node(world.mode.nodes + 1)
    with world.change("a node joins") as change:
        world.join(world.mode.nodes + 1)
        host = world.stage.router_host
        wait_until(
            lambda: any(newcomer.host.v4 in hops for hops in kernel(host).values()), SOON, "the newcomer gets traffic"
        )
        world.settle(world.mode.nodes + 1)
    got = sum(newcomer.host.v4 in hops for hops in change.after.values())
    room = world.mode.due(world.mode.nodes + 1) > world.mode.due(world.mode.nodes)
    assert change.taken() == (0 if room else got)
    assert got == SERVICES if room else got <= 1.25 * SERVICES * world.mode.lanes / (world.mode.nodes + 1) + 1
    assert change.momentary() == 0, "nothing is away for a moment"
    if room:
        assert not change.broken("moved")


@modes(ADD_PATH, ROOMY, FULL, SPREAD, DIRECT)
def test_a_node_that_dies_takes_only_its_own_next_hops_along(world: World) -> None:
    """Every next hop of a living node stays where it is, and a service that did not use the dead one sees nothing."""
    dying = world.node(2)
    with world.change("a node dies", (dying,)) as change:
        dying.stop()
        dying.host.unplug()
        wait_steady(world.stage.router_host, lambda table: all(dying.host.v4 not in hops for hops in table.values()))
    assert change.taken() == 0
    assert change.momentary() == 0
    assert not change.broken("moved")
    assert all(dying.host.v4 not in hops for hops in change.after.values())
    assert change.changed == {prefix for prefix, hops in change.before.items() if dying.host.v4 in hops}


@modes(ROOMY, FULL)
def test_a_lane_that_falls_costs_a_next_hop_only_where_no_other_lane_is_free(world: World) -> None:
    """With more lanes than nodes its paths move over; with fewer each service has one next hop less. When the lane is
    back, so is the path that it had."""
    ends = world.mode.due(world.mode.nodes)
    left = min(ends, world.mode.lanes - 1)
    line = f"neighbor {LANES[1]} shutdown"
    with world.change("a lane falls") as fall:
        world.router.configure(f"router bgp {ASN}", line)
        wait_until(lambda: not world.router.established(LANES[1]), SOON, "the router has closed the lane")
        world.due({left}, SOON)
    with world.change("the lane comes back") as back:
        world.router.configure(f"router bgp {ASN}", f"no {line}")
        wait_until(lambda: world.router.established(LANES[1]), CONVERGED, "the lane is up")
        world.due({ends})
    assert fall.taken() == SERVICES * (ends - left)
    assert back.taken() == 0
    assert back.momentary() == 0
    assert back.after == fall.before


@modes(ADD_PATH, ROOMY, FULL, SPREAD)
@pytest.mark.parametrize("way", ["SIGTERM", "SIGKILL"])
def test_a_restart_of_onepeer_takes_nothing_away_for_a_moment(world: World, way: str) -> None:
    """With graceful restart agreed (RFC 4724) the router keeps everything meanwhile, and gets the same again: what each
    lane carried is remembered, a few seconds after it changed last. No flow breaks."""
    assert world.onepeer is not None
    if not world.mode.add_path and way == "SIGKILL":
        wait_until(lambda: _remembered(world) == kernel(world.stage.router_host), CONVERGED, "the lanes are kept")
    with world.change(f"Onepeer restarts ({way})") as change:
        if way == "SIGTERM":
            assert world.onepeer.stop() == 0
        else:
            world.onepeer.crash()
        lanes = LANES[: world.mode.lanes]
        wait_until(lambda: not any(map(world.router.established, lanes)), SOON, "the router sees the sessions end")
        world.onepeer.start()
        wait_until(lambda: all(map(world.router.established, lanes)), CONVERGED, "the sessions are back")
        wait_until(lambda: "end_of_rib_sent" in world.onepeer.output(), CONVERGED, "Onepeer has sent End-of-RIB")
        world.settle(world.mode.nodes)
    assert change.momentary() == 0
    assert change.fewest == world.mode.due(world.mode.nodes)
    assert not change.changed
    assert not any(flow.broken for flow in change.flows)


def _remembered(world: World) -> Table:
    """What Onepeer has kept of its lanes, as the router's kernel has it."""
    assert world.onepeer is not None
    kept = world.onepeer.state / "lanes.json"
    table: dict[str, frozenset[str]] = {}
    for lanes in json.loads(kept.read_text())["routers"].values() if kept.exists() else ():
        for families in lanes:
            for prefix, next_hop in families.get("ipv4", {}).items():
                table[prefix] = table.get(prefix, frozenset()) | {next_hop}
    return table


@modes(ADD_PATH, ROOMY, FULL, SPREAD)
def test_another_mode_costs_no_more_than_the_routers_own_resets(world: World) -> None:
    """The router's administrator allows ADD-PATH line by line, or forbids it, and FRR resets each line for that. The
    mode changes with the last (or first) of them: no service ever has less than the other lanes carry."""
    word = "forbidden" if world.mode.add_path else "allowed"
    left = min(world.mode.due(world.mode.nodes), world.mode.lanes - 1)
    with world.change(f"ADD-PATH is {word}") as there:
        _allow(world, not world.mode.add_path)
        world.due({1 if world.mode.add_path else world.mode.nodes})
    with world.change(f"ADD-PATH is {word} no more") as back:
        _allow(world, world.mode.add_path)
        world.settle(world.mode.nodes)
    assert there.fewest >= left
    assert back.fewest >= left
    if not world.mode.add_path:
        assert there.taken() == 0


def _allow(world: World, yes: bool) -> None:
    """Type, for each line, that it may take ADD-PATH or not, and wait for the line to come back."""
    for lane in LANES[: world.mode.lanes]:
        before = world.router.neighbor(lane)["connectionsDropped"]
        typed = f"{'no ' if yes else ''}neighbor {lane} disable-addpath-rx"
        world.router.configure(f"router bgp {ASN}", "address-family ipv4 unicast", typed)
        wait_until(
            lambda lane=lane, before=before: world.router.neighbor(lane)["connectionsDropped"] > before,
            SOON,
            "FRR resets the line",
        )
        wait_until(lambda lane=lane: world.router.established(lane), CONVERGED, f"{lane} is up again")
