"""What people see of the modes: `onepeer routes`, `onepeer status`, and weights in the router's kernel."""

import re
from collections.abc import Iterator

import pytest

from tests.lab import FRR, Host, Lab, Onepeer, wait_until
from tests.modes.stage import ASN, CONVERGED, LANES, PORT, Stage, kernel, lines, services

ROUTER = "192.168.3.1"
NODES = 5
SERVICE = services(1)[0]


@pytest.fixture(scope="module")
def machines(real_parts: None) -> Iterator[Stage]:
    """The machines."""
    with Lab() as lab:
        yield Stage(lab, NODES, routers=2)


@pytest.fixture
def stage(machines: Stage) -> Iterator[Stage]:
    """The machines, nothing running before and after the test."""
    yield machines
    machines.end()


def _up(stage: Stage, onepeer: Onepeer, due: dict[Host, int]) -> None:
    """All nodes come up with the service; the routers have so many next hops for it."""
    for node in stage.cluster.nodes:
        node.start((stage.onepeer_host.v4, PORT), services(1))
    for host, number in due.items():
        wait_until(
            lambda host=host, number=number: len(kernel(host).get(SERVICE, ())) == number,
            CONVERGED,
            f"{host.name} has {number} next hops",
            seen=onepeer.output,
        )


def test_routes_names_the_lane_of_every_path_and_why_the_others_have_none(stage: Stage) -> None:
    """Two routers, one with ADD-PATH and one with three lanes: for each path, where it goes and why not."""
    able, plain = stage.router_hosts
    stage.start([FRR(able, ASN, lines(1, add_path=True)), FRR(plain, ASN, lines(3, add_path=False))])
    entries = [
        {"name": "able", "address": able.v4},
        {"name": "plain", "address": plain.v4, "local_addresses": LANES[:3]},
    ]
    onepeer = stage.onepeer(entries)
    _up(stage, onepeer, {able: NODES, plain: 3})

    paths = onepeer.ask("routes", SERVICE.partition("/")[0])["routes"][0]["paths"]
    told = {
        path["next_hop"]: {sent["router"]: (sent["lane"], sent["reason"]) for sent in path["sent"]} for path in paths
    }
    assert len(told) == NODES
    assert all(one["able"] == (None, None) for one in told.values())
    lanes = {hop: one["plain"][0] for hop, one in told.items() if one["plain"][0] is not None}
    assert sorted(lanes.values()) == [1, 2, 3]
    assert set(lanes) == kernel(plain)[SERVICE]
    assert {one["plain"] for hop, one in told.items() if hop not in lanes} == {(None, "lanes-full")}

    shown = onepeer.cli("routes", SERVICE).stdout
    assert re.search(r"plain \(lane 2\)", shown)
    assert re.search(r"plain: lanes.full", shown)
    out = {one["name"]: one["lanes"][0]["families"][0] for one in onepeer.ask("status")["routers"]}
    assert (out["able"]["mode"], out["able"]["mode_reason"]) == ("addpath", "the router takes ADD-PATH")
    assert (out["plain"]["mode"], out["plain"]["mode_reason"]) == ("lanes", "3 local addresses are configured")


@pytest.mark.parametrize(("lanes", "add_path"), [(1, True), (4, False)], ids=["addpath", "lanes"])
def test_frr_weighs_next_hops_as_the_roster_does(stage: Stage, lanes: int, add_path: bool) -> None:
    """With `link_bandwidth: true` the next hops in the router's kernel have the nodes' weights."""
    stage.start([FRR(stage.router_host, ASN, lines(lanes, add_path=add_path))])
    entry = {"address": ROUTER, "local_addresses": LANES[:lanes], "link_bandwidth": True}
    weights = [1, 2, 3, 4, 0][: 4 if lanes == 4 else NODES]
    roster = [one | {"weight": weight or 1} for one, weight in zip(stage.cluster.roster(), weights, strict=False)]
    onepeer = stage.onepeer([entry], roster)
    _up(stage, onepeer, {stage.router_host: len(roster)})
    hops = stage.router_host.ip_json("route", "show", "exact", SERVICE)[0]["nexthops"]
    shares = {hop["gateway"]: hop["weight"] for hop in hops}
    total = sum(one["weight"] for one in roster)
    for one in roster:
        wanted = one["weight"] / total
        assert shares[one["addresses"][0]] / sum(shares.values()) == pytest.approx(wanted, abs=0.02), shares
