"""What a look of the audit costs: `python -m tests.audit.bench [NODES] [SERVICES]`, in milliseconds."""

import sys
import time
from ipaddress import IPv4Address

from speaker.audit.compare import NodeState, compare
from speaker.audit.expect import expect
from speaker.bgp.attributes import Attributes
from speaker.bgp.iana import Family
from speaker.cluster.kube.landscape import Landscape
from speaker.cluster.kube.nodes import NodeFacts
from speaker.cluster.kube.pools import AdvertisementFacts, PoolFacts
from speaker.cluster.kube.services import ServiceFacts, SliceFacts
from speaker.config import Kubernetes
from speaker.rib.source import Source
from speaker.rib.table import Table


class Live:
    """A table in which every node announces everything."""

    def __init__(self, nodes: int, prefixes: list[bytes]) -> None:
        self.table = Table(Family.IPV4)
        self.states = {f"n{at}": NodeState(None, paths=len(prefixes)) for at in range(nodes)}
        for at in range(nodes):
            address = IPv4Address("10.1.0.0") + at
            hops = frozenset((address.packed,))
            self.table.announce(
                Source(f"n{at}", address, address.packed, 64512, True, hops, 1), prefixes, Attributes(address.packed)
            )

    def nodes(self) -> dict[str, NodeState]:
        return self.states

    def announcers(self, family: Family, prefix: bytes) -> set[str]:
        return {source.node for source in self.table.paths(prefix)}

    def kept_out(self, node: str, family: Family, prefix: bytes) -> str | None:
        return None

    def routers(self) -> dict[str, str]:
        return {}


def main() -> None:
    """Prints what each half takes, the median of five."""
    nodes, services = (int(argument) for argument in (*sys.argv[1:3], 1000, 1000)[:2])
    addresses = [str(IPv4Address("192.168.0.0") + at) for at in range(services)]
    landscape = Landscape(
        nodes=tuple(NodeFacts(f"n{at}", ready=True) for at in range(nodes)),
        pools=(PoolFacts("services", ("192.168.0.0/16",)),),
        advertisements=(AdvertisementFacts("all"),),
        services=tuple(ServiceFacts(f"default/s{at}", "", (a,), local=False) for at, a in enumerate(addresses)),
        slices=tuple(SliceFacts(f"default/s{at}", (("n1", "10.0.0.1", True),)) for at in range(services)),
    )
    wanted = expect(landscape, [], [f"n{at}" for at in range(nodes)], Kubernetes()).wanted
    live = Live(nodes, [each.prefixes[0] for each in wanted])
    expecting, comparing = [], []
    for _ in range(5):
        begun = time.process_time()
        expect(landscape, [], [f"n{at}" for at in range(nodes)], Kubernetes())
        middle = time.process_time()
        compare(wanted, live)
        expecting.append(middle - begun)
        comparing.append(time.process_time() - middle)
    print(f"{nodes} nodes x {services} Services: expect {1e3 * sorted(expecting)[2]:.1f} ms, ", end="")
    print(f"compare {1e3 * sorted(comparing)[2]:.1f} ms")


if __name__ == "__main__":
    main()
