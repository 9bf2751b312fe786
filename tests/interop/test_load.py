"""Many nodes at once, and a router that cannot keep up."""

import asyncio
import struct
import time

from tests.interop.network import ASN, CONVERGED, PORT, Network
from tests.lab import FRR, wait_until
from tests.lab.raw import UPDATE, Message, Raw, RawRouter, Swarm, attributes, updates

NODES = 1000
PREFIXES, ROUNDS = 2000, 200


def test_a_thousand_nodes_that_reconnect_at_once_all_come_up(net: Network) -> None:
    """Their connections drop in the same instant and are dialled again in the same instant."""
    addresses = [f"10.77.{number // 250}.{number % 250 + 1}" for number in range(NODES)]
    host = net.node_hosts[0]
    host.ip("route add local 10.77.0.0/16 dev lo")
    for other in (net.onepeer_host, net.router_host):
        other.ip(f"route replace 10.77.0.0/16 via {host.v4}")
    router = net.router(FRR)
    roster = [{"name": f"node{number}", "addresses": [one]} for number, one in enumerate(addresses)]
    net.onepeer(roster=roster, guard={"prefixes": ["10.88.0.0/16"]})
    assert isinstance(router, FRR)
    swarm = Swarm(host, addresses, (net.onepeer_host.v4, PORT), ASN)

    def prefix(number: int) -> str:
        return f"10.88.{number // 250}.{number % 250 + 1}/32"

    def received() -> int:
        peers = router.ask("show bgp ipv4 unicast summary json").get("peers", {})
        return int(peers.get(net.onepeer_host.v4, {}).get("pfxRcd", 0))

    async def story() -> None:
        for _ in range(2):
            await swarm.connect(prefix, 30)
            await asyncio.to_thread(
                wait_until, lambda: received() == NODES, 15, "the router has every node's path", seen=received
            )
            await swarm.close()
            await asyncio.to_thread(
                wait_until, lambda: received() == 0, 15, "the router has none of them", seen=received
            )

    asyncio.run(story())


def test_a_router_that_does_not_read_gets_the_newest_state_and_not_the_history(net: Network) -> None:
    """While it sleeps every prefix changes 200 times; when it wakes it is sent about one table, and the last."""
    slow = RawRouter(net.second_host, net.second_host.v4, receive_buffer=4096)
    quick = net.router(FRR)
    host = net.node_hosts[0]
    lines = [{"address": net.router_host.v4}, {"address": net.second_host.v4}]
    net.onepeer(routers=lines, guard={"prefixes": ["10.88.0.0/16"]})
    router = slow.accept()
    router.establish(ASN, net.second_host.v4)
    wait_until(lambda: quick.established(net.onepeer_host.v4), CONVERGED, "the other router is up")
    node = Raw.dial(host, net.onepeer_host.v4, PORT)
    node.establish(ASN, host.v4)
    prefixes = [f"10.88.{number // 250}.{number % 250 + 1}/32" for number in range(PREFIXES)]
    for med in range(1, ROUNDS + 1):
        node.send(*updates(attributes(host.v4, med=med), prefixes))
        time.sleep(0.01)  # a round each, not one burst that Onepeer could take in at one look

    def metric() -> int:
        assert isinstance(quick, FRR)
        paths = quick.ask(f"show bgp ipv4 unicast {prefixes[-1]} json").get("paths", [{}])
        return int(paths[0].get("metric", 0))

    wait_until(lambda: metric() == ROUNDS, CONVERGED, "the router that reads has the last round", seen=metric)
    before = router.received
    meds: dict[bytes, int] = {}
    while len(meds) < PREFIXES or set(meds.values()) != {ROUNDS}:
        found = router.read(10)
        assert found is not None, "the slow router's session was ended"
        meds.update(_announced(found))
    history = PREFIXES * 5 * ROUNDS
    assert router.received - before < history / 4


def _announced(found: Message) -> dict[bytes, int]:
    """Prefix -> MED of an UPDATE; empty for any other message."""
    if found.kind != UPDATE or len(found.body) < 5:
        return {}
    (withdrawn,) = struct.unpack_from("!H", found.body, 0)
    (length,) = struct.unpack_from("!H", found.body, 2 + withdrawn)
    path = found.body[4 + withdrawn : 4 + withdrawn + length]
    rest = found.body[4 + withdrawn + length :]
    med = _med(path)
    announced = {}
    while rest:
        size = 1 + (rest[0] + 7) // 8
        announced[rest[:size]] = med
        rest = rest[size:]
    return announced


def _med(path: bytes) -> int:
    """MULTI_EXIT_DISC of an attribute set; 0 when it has none."""
    while path:
        wide = path[0] & 0x10
        size = struct.unpack_from("!H", path, 2)[0] if wide else path[2]
        start = 4 if wide else 3
        if path[1] == 4:
            return int.from_bytes(path[start : start + size])
        path = path[start + size :]
    return 0
