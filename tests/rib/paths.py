"""Sources and attribute sets for the tests of the RIB."""

from ipaddress import ip_address

from speaker.bgp.attributes import Attributes, Segment
from speaker.bgp.iana import SegmentType
from speaker.rib.source import Source

OURS = 64512


def node(address: str, *, asn: int = OURS, next_hops: tuple[str, ...] = ()) -> Source:
    """A node at this address, of our own AS unless said, with next hops of its own."""
    own = ip_address(address)
    hops = frozenset(ip_address(hop).packed for hop in (address, *next_hops))
    return Source(f"node-{address}", own, own.packed[-4:], asn, asn == OURS, hops)


def sequence(*asns: int) -> tuple[Segment, ...]:
    """An AS_PATH of one AS_SEQUENCE."""
    return (Segment(SegmentType.AS_SEQUENCE, asns),)


def as_set(*asns: int) -> tuple[Segment, ...]:
    """An AS_PATH of one AS_SET."""
    return (Segment(SegmentType.AS_SET, asns),)


def via(address: str, **fields: object) -> Attributes:
    """Attributes with this next hop."""
    return Attributes(ip_address(address).packed).but(**fields)


def octets(address: str) -> bytes:
    """An address as it stands in ORIGINATOR_ID, CLUSTER_LIST and NEXT_HOP."""
    return ip_address(address).packed
