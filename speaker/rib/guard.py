"""What may a node announce? The import policy: prefixes out of the cluster's own pools, next hop = the node itself.

A node that is compromised, or wrongly set up, can hurt its own paths and nobody else's. What is refused is kept with
its reason (table.py), so that a widened guard takes effect without asking the node again: MetalLB's native speaker
has no route refresh.
"""

from collections.abc import Iterable
from enum import StrEnum

from speaker.bgp import nlri
from speaker.bgp.attributes import Attributes
from speaker.bgp.iana import Family, SegmentType
from speaker.rib.source import Source

#: Prefixes remembered as allowed, by family. Far above what a cluster announces; past it all are looked at anew.
REMEMBERED = 1 << 18


class Reason(StrEnum):
    """Why a path is refused. The value is what logs, metrics and the CLI print."""

    PREFIX = "prefix-not-allowed"  # not inside guard.prefixes
    NEXT_HOP = "next-hop-not-own"  # the next hop is not one of the node's addresses
    AS_LOOP = "as-loop"  # our AS in AS_PATH (RFC 4271 9.1.2)
    FIRST_AS = "first-as-not-peer"  # an eBGP path does not begin with the peer's AS (RFC 4271 6.3)
    ORIGINATOR_LOOP = "originator-loop"  # ORIGINATOR_ID is ours (RFC 4456 8)
    CLUSTER_LOOP = "cluster-loop"  # our cluster in CLUSTER_LIST (RFC 4456 8)
    DRAINED = "drained"  # the node is taken out on purpose (drain.py)
    SILENT = "node-silent"  # the node does not answer on its link any more (host/pulse.py)


class Guard:
    """The policy in force.

    prefixes    networks that announced prefixes must lie in
    router_id, cluster_id   ours, 4 octets each
    """

    def __init__(self, prefixes: Iterable[nlri.Network], asn: int, router_id: bytes, cluster_id: bytes) -> None:
        self._asn = asn
        self._router_id = router_id
        self._cluster_id = cluster_id
        self._allowed: dict[Family, list[tuple[int, int]]] = {family: [] for family in Family}
        for network in prefixes:
            family = Family.IPV4 if network.version == 4 else Family.IPV6
            host_bits = family.bits - network.prefixlen
            self._allowed[family].append((host_bits, int(network.network_address) >> host_bits))
        self._known: dict[Family, dict[bytes, bytes]] = {family: {} for family in Family}

    def admit(self, family: Family, prefixes: list[bytes]) -> tuple[list[bytes], list[bytes]]:
        """Those inside the allowed networks, and those outside; each in its canonical form, one object a prefix."""
        known = self._known[family]
        try:
            return [known[prefix] for prefix in prefixes], []
        except KeyError:
            pass
        inside, outside = [], []
        for prefix in prefixes:
            found = known.get(prefix)
            if found is None:
                found = nlri.canonical(prefix)
                if not self._is_inside(family, found):
                    outside.append(found)
                    continue
                if len(known) >= REMEMBERED:
                    known.clear()
                found = known.setdefault(found, found)
                known[prefix] = found
            inside.append(found)
        return inside, outside

    def judge(self, source: Source, attributes: Attributes) -> Reason | None:
        """Why paths with these attributes are refused from this source, or None."""
        a = attributes
        if a.next_hop not in source.next_hops:
            return Reason.NEXT_HOP
        if any(self._asn in segment.asns for segment in a.as_path):
            return Reason.AS_LOOP
        if not source.ibgp and _first_as(a) != source.asn:
            return Reason.FIRST_AS
        if a.originator_id == self._router_id:
            return Reason.ORIGINATOR_LOOP
        if self._cluster_id in a.cluster_list:
            return Reason.CLUSTER_LOOP
        return None

    def _is_inside(self, family: Family, prefix: bytes) -> bool:
        size = family.bits // 8
        value = int.from_bytes(prefix[1:].ljust(size, b"\0"), "big")
        bits = prefix[0]
        return any(
            bits >= family.bits - host_bits and value >> host_bits == network
            for host_bits, network in self._allowed[family]
        )


def _first_as(attributes: Attributes) -> int | None:
    if not attributes.as_path or attributes.as_path[0].kind != SegmentType.AS_SEQUENCE:
        return None
    return attributes.as_path[0].asns[0]
