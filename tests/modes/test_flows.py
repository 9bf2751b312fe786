"""Who gets the traffic: 10,000 flows through FRR and the kernel, in each mode."""

import ipaddress
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.lab import FRR, Lab, wait_until
from tests.modes import counts
from tests.modes.stage import ASN, CONVERGED, LANES, PORT, SOON, Stage, kernel, lines, services
from tests.modes.traffic import Services, short_flows

FLOWS = 10_000
NODES = 6
HEAD = ("mode", "services", "flows", "kernel's own answer: busiest/mean", "real UDP flows: busiest/mean", "lost")


@pytest.fixture(scope="module")
def stage(real_parts: None) -> Iterator[Stage]:
    """The machines."""
    with Lab() as lab:
        yield Stage(lab, NODES)


@pytest.fixture
def answers(stage: Stage) -> Iterator[Services]:
    """What the nodes answer; nothing else runs before and after the test."""
    answers = Services(stage.node_hosts)
    yield answers
    answers.close()
    stage.end()


@pytest.mark.parametrize(
    ("mode", "lanes", "add_path", "prefixes"),
    [("addpath", 1, True, 1), ("4 lanes", 4, False, 40), ("spread", 1, False, 40)],
    ids=["addpath", "lanes", "spread"],
)
def test_every_node_carries_its_share(
    stage: Stage, answers: Services, mode: str, lanes: int, add_path: bool, prefixes: int
) -> None:
    """10,000 flows, each from a port of its own: with ADD-PATH those of a single service spread over all nodes. With
    4 lanes and with one line, those of 40 services do: a node has at most a quarter more than the mean."""
    stage.start([FRR(stage.router_host, ASN, lines(lanes, add_path=add_path))])
    stage.onepeer([{"address": stage.router_host.v4, "local_addresses": LANES[:lanes]}])
    names = services(prefixes)
    for node in stage.cluster.nodes:
        node.start((stage.onepeer_host.v4, PORT), names)
    hops = NODES if add_path else lanes
    wait_until(lambda: {len(h) for h in kernel(stage.router_host).values()} == {hops}, CONVERGED, f"{hops} next hops")

    addresses = [str(ipaddress.ip_network(name).network_address) for name in names]
    answered = _kernel_answers(stage, addresses)
    short_flows(stage.client, addresses, FLOWS)
    came = answers.datagrams
    wait_until(lambda: came.total() == FLOWS, SOON, "every datagram has come to a node", seen=came.copy)
    busiest = [max(found.values()) * NODES / FLOWS for found in (answered, came)]
    cells = (f"{one:.2f}" for one in busiest)
    counts.row(f"{FLOWS} flows over {NODES} nodes", HEAD, mode, prefixes, FLOWS, *cells, FLOWS - came.total())
    assert set(came) == {node.name for node in stage.cluster.nodes}
    assert max(busiest) <= 1.25


def _kernel_answers(stage: Stage, addresses: list[str]) -> Counter[str]:
    """The next hop that the router's kernel names for each of as many TCP flows, by next hop."""
    questions = [
        f"route get {addresses[i % len(addresses)]} from 10.99.0.2 iif to-client ipproto tcp sport {20000 + i} dport 80"
        for i in range(FLOWS)
    ]
    file = stage.router_host.folder / "questions"
    file.write_text("\n".join(questions) + "\n")
    said = stage.router_host.run("ip", "-o", "-batch", str(file))
    return Counter(line.split(" via ")[1].split()[0] for line in said.splitlines() if " via " in line)
