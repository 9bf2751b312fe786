"""What does a router get to see of a node's path?

Between peers of our own AS this is route reflection (RFC 4456): ORIGINATOR_ID and CLUSTER_LIST are added, NEXT_HOP is
left. With another AS on either side Onepeer has a route server's manners: AS_PATH as RFC 4271 5.1.2 asks, NEXT_HOP kept
as a third party's (RFC 4271 5.1.3), because the packets must go to the node and never to Onepeer.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum

from speaker.bgp import codec
from speaker.bgp.attributes import Attributes, Encoded, Segment
from speaker.bgp.iana import NO_ADVERTISE, NO_EXPORT, NO_EXPORT_SUBCONFED, Family, SegmentType
from speaker.rib.decide import is_leaving
from speaker.rib.source import Source

#: The same for every node: MetalLB native sends 0 and its FRR modes 100, which would leave one path of both kinds.
LOCAL_PREF = 100
#: Of a path that is about to go (RFC 8326 4): any other is better. A router in another AS has the community to go by.
LEAST_PREF = 0

_SEGMENT_MAX = 255
# Two-octet AS specific, link bandwidth. The transitive form, since FRR 10.3 to 10.5 weigh by it alone and older ones by
# both; the other is taken away where a node sent it, because a router that sees two takes the lower.
_LINK_BANDWIDTH = bytes((0x00, 0x04))
_LINK_BANDWIDTH_FORMS = (_LINK_BANDWIDTH, bytes((0x40, 0x04)))
_GIGABIT = 125_000_000.0
_AS_MAX, _AS_TRANS = 65535, 23456

#: Octets of an UPDATE beside its attributes, with one IPv6 host route, both next hops and a path identifier.
_OVERHEAD = 96


class Withheld(StrEnum):
    """Why a path is kept from a router. The value is what the CLI prints."""

    NO_ADVERTISE = "community-no-advertise"  # RFC 1997
    NO_EXPORT = "community-no-export"  # RFC 1997, the router is in another AS
    TOO_LARGE = "attributes-too-large"  # for the longest message the router takes (RFC 8654 4)


@dataclass(frozen=True, slots=True)
class Stance:
    """How we stand to one router.

    asn, cluster_id     ours; the latter 4 octets
    ibgp                the router is in our AS
    as4                 it takes four-octet AS numbers (RFC 6793)
    max_size            octets in the longest message it takes
    strip               communities it must not see, as on the wire: 4 octets, or 12 for large ones
    link_bandwidth      each path says its node's weight (draft-ietf-idr-link-bandwidth)
    """

    asn: int
    cluster_id: bytes
    ibgp: bool
    as4: bool
    max_size: int
    strip: frozenset[bytes] = frozenset()
    link_bandwidth: bool = False


def withheld(attributes: Attributes, *, ibgp: bool) -> Withheld | None:
    """Why a router, in our AS or another, must not see paths with these communities (RFC 1997); None where it may."""
    communities = attributes.communities
    if NO_ADVERTISE in communities:
        return Withheld.NO_ADVERTISE
    if not ibgp and (NO_EXPORT in communities or NO_EXPORT_SUBCONFED in communities):
        return Withheld.NO_EXPORT
    return None


def export(source: Source, attributes: Attributes, stance: Stance) -> Attributes | Withheld:
    """The attributes as the router should see them, or why it must not."""
    a = attributes
    why = withheld(a, ibgp=stance.ibgp)
    if why is not None:
        return why
    a = a.but(
        communities=tuple(c for c in a.communities if c not in stance.strip),
        large_communities=tuple(c for c in a.large_communities if c not in stance.strip),
    )
    if stance.link_bandwidth:
        others = tuple(c for c in a.extended_communities if c[:2] not in _LINK_BANDWIDTH_FORMS)
        a = a.but(extended_communities=(*others, link_bandwidth(stance.asn, source.weight)))
    if stance.ibgp:
        reflected = source.ibgp
        return a.but(
            local_pref=LEAST_PREF if is_leaving(attributes) else LOCAL_PREF,
            cluster_list=(stance.cluster_id, *a.cluster_list) if reflected else (),
        )
    return a.but(
        as_path=_prepend(stance.asn, a.as_path),
        local_pref=None,
        originator_id=None,
        cluster_list=(),
        # RFC 4271 5.1.4: a MED heard from one neighboring AS is not passed on to another.
        med=a.med if source.ibgp else None,
    )


def link_bandwidth(asn: int, weight: int) -> bytes:
    """The link bandwidth extended community: `weight` times 1 Gbit/s, as IEEE floating point in octets a second.

    Routers use the ratios alone. An AS number above 65535 is written as AS_TRANS, since the community has two octets
    for it.
    """
    return _LINK_BANDWIDTH + struct.pack("!Hf", asn if asn <= _AS_MAX else _AS_TRANS, weight * _GIGABIT)


def _prepend(asn: int, path: tuple[Segment, ...]) -> tuple[Segment, ...]:
    if path and path[0].kind == SegmentType.AS_SEQUENCE and len(path[0].asns) < _SEGMENT_MAX:
        return (Segment(SegmentType.AS_SEQUENCE, (asn, *path[0].asns)), *path[1:])
    return (Segment(SegmentType.AS_SEQUENCE, (asn,)), *path)


class Exporter:
    """Encodes each attribute set once for one router and one family.

    Sets that look alike to the router come out as the same object, so that a path is not sent twice.
    """

    #: Sets remembered. A node has a handful; past it all are encoded anew.
    REMEMBERED = 1 << 16

    def __init__(self, stance: Stance, family: Family) -> None:
        self.stance = stance
        self._family = family
        self._by_set: dict[Attributes, Encoded | Withheld] = {}
        self._by_value: dict[tuple[bytes, bytes], Encoded] = {}

    def __call__(self, source: Source, attributes: Attributes) -> Encoded | Withheld:
        """What to send, or why the path must not be sent."""
        try:
            return self._by_set[attributes]
        except KeyError:
            pass
        if len(self._by_set) >= self.REMEMBERED:
            self._by_set.clear()
            self._by_value.clear()
        encoded = self._by_set[attributes] = self._encode(source, attributes)
        return encoded

    def _encode(self, source: Source, attributes: Attributes) -> Encoded | Withheld:
        seen = export(source, attributes, self.stance)
        if isinstance(seen, Withheld):
            return seen
        field = codec.encode_attributes(seen, as4=self.stance.as4, next_hop=self._family is Family.IPV4)
        if len(field) + _OVERHEAD > self.stance.max_size:
            return Withheld.TOO_LARGE
        return self._by_value.setdefault((field, seen.next_hop), Encoded(field, seen.next_hop))
