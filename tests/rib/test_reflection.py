"""What a router gets to see of a node's path: RFC 4456 within our AS, a route server's manners elsewhere."""

from dataclasses import replace

import pytest

from speaker.bgp import codec
from speaker.bgp.attributes import Attributes, Encoded, Segment, slice_attributes
from speaker.bgp.iana import AttributeCode, Family, Origin, SegmentType
from speaker.rib.reflection import Exporter, Stance, Withheld, export
from speaker.rib.source import Source
from tests.rib.paths import OURS, as_set, node, octets, sequence, via

CLUSTER = octets("10.255.0.1")
HOP = "10.0.0.1"
IBGP, EBGP = node(HOP), node(HOP, asn=65001)
TO_IBGP = Stance(OURS, CLUSTER, ibgp=True, as4=True, max_size=4096)
TO_EBGP = replace(TO_IBGP, ibgp=False)
REFLECTED = via(HOP, local_pref=0, originator_id=octets(HOP))


def seen(source: Source, attributes: Attributes, stance: Stance) -> Attributes:
    """What the router sees."""
    found = export(source, attributes, stance)
    assert isinstance(found, Attributes)
    return found


class TestReflectionToOurOwnAs:
    """iBGP node, iBGP router: RFC 4456."""

    def test_originator_id_of_the_node_is_kept(self) -> None:
        """RFC 4456 8: it is never overwritten."""
        assert seen(IBGP, REFLECTED, TO_IBGP).originator_id == octets(HOP)

    def test_our_cluster_id_is_prepended_to_cluster_list(self) -> None:
        """RFC 4456 8: the nearest cluster stands first."""
        assert seen(IBGP, REFLECTED, TO_IBGP).cluster_list == (CLUSTER,)
        nested = REFLECTED.but(cluster_list=(octets("1.1.1.1"),))
        assert seen(IBGP, nested, TO_IBGP).cluster_list == (CLUSTER, octets("1.1.1.1"))

    @pytest.mark.parametrize("local_pref", [None, 0, 100, 4294967295])
    def test_local_pref_is_the_same_for_every_node(self, local_pref: int | None) -> None:
        """MetalLB native sends 0, its FRR modes 100: unequal values would end ECMP."""
        assert seen(IBGP, REFLECTED.but(local_pref=local_pref), TO_IBGP).local_pref == 100

    def test_everything_else_stays(self) -> None:
        """RFC 4456 10: NEXT_HOP, AS_PATH, MED and the rest are not for a reflector to change."""
        full = REFLECTED.but(
            as_path=sequence(65009),
            med=7,
            origin=Origin.EGP,
            communities=(octets("1.2.3.4"),),
            extended_communities=(bytes(8),),
            large_communities=(bytes(12),),
            atomic_aggregate=True,
            aggregator=(65009, octets("9.9.9.9")),
            unknown=((0xE0, 99, b"x"),),
        )
        assert seen(IBGP, full, TO_IBGP) != full
        changed = {"local_pref": 100, "cluster_list": (CLUSTER,)}
        assert fields(seen(IBGP, full, TO_IBGP)) == fields(full) | changed


class TestRouterOfAnotherAs:
    """eBGP router: RFC 4271 5.1."""

    def test_our_as_is_prepended(self) -> None:
        """RFC 4271 5.1.2 b."""
        assert seen(IBGP, via(HOP), TO_EBGP).as_path == sequence(OURS)
        assert seen(EBGP, via(HOP, as_path=sequence(65001)), TO_EBGP).as_path == sequence(OURS, 65001)

    def test_before_an_as_set_goes_a_segment_of_our_own(self) -> None:
        """RFC 4271 5.1.2 b 2."""
        path = seen(IBGP, via(HOP, as_path=as_set(1, 2)), TO_EBGP).as_path
        assert path == sequence(OURS) + as_set(1, 2)

    @pytest.mark.parametrize(("asns", "segments"), [(254, [255]), (255, [1, 255])])
    def test_a_full_segment_gets_one_before_it(self, asns: int, segments: list[int]) -> None:
        """A segment counts its AS numbers in one octet."""
        path = seen(EBGP, via(HOP, as_path=sequence(*[65001] * asns)), TO_EBGP).as_path
        assert [len(segment.asns) for segment in path] == segments
        assert path[0].asns[0] == OURS

    def test_next_hop_stays_the_node(self) -> None:
        """A third party's next hop (RFC 4271 5.1.3): packets must go to the node, never to Onepeer."""
        assert seen(IBGP, REFLECTED, TO_EBGP).next_hop == octets(HOP)

    def test_what_belongs_to_ibgp_is_gone(self) -> None:
        """LOCAL_PREF (RFC 4271 5.1.5), ORIGINATOR_ID and CLUSTER_LIST (RFC 4456 8)."""
        inner = REFLECTED.but(cluster_list=(octets("1.1.1.1"),))
        found = seen(IBGP, inner, TO_EBGP)
        assert (found.local_pref, found.originator_id, found.cluster_list) == (None, None, ())

    def test_med_of_our_own_as_is_told_and_that_of_another_is_not(self) -> None:
        """RFC 4271 5.1.4: a MED heard from one neighboring AS must not go to another."""
        assert seen(IBGP, via(HOP, med=5), TO_EBGP).med == 5
        assert seen(EBGP, via(HOP, as_path=sequence(65001), med=5), TO_EBGP).med is None


class TestNodeOfAnotherAs:
    """eBGP node, iBGP router: as any border router."""

    def test_it_is_not_reflected(self) -> None:
        """ORIGINATOR_ID and CLUSTER_LIST are for paths heard over iBGP."""
        found = seen(EBGP, via(HOP, as_path=sequence(65001), med=5), TO_IBGP)
        assert (found.originator_id, found.cluster_list) == (None, ())
        assert (found.local_pref, found.as_path, found.med) == (100, sequence(65001), 5)
        assert found.next_hop == octets(HOP)


NO_EXPORT, NO_ADVERTISE, SUBCONFED = (bytes.fromhex(f"ffffff0{n}") for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("community", "to_ibgp", "to_ebgp"),
    [
        (NO_ADVERTISE, Withheld.NO_ADVERTISE, Withheld.NO_ADVERTISE),
        (NO_EXPORT, None, Withheld.NO_EXPORT),
        (SUBCONFED, None, Withheld.NO_EXPORT),
        (bytes.fromhex("ffffff04"), None, None),
        (bytes.fromhex("fc00ff01"), None, None),
    ],
)
def test_well_known_communities_are_kept(community: bytes, to_ibgp: Withheld | None, to_ebgp: Withheld | None) -> None:
    """RFC 1997: whom a path must not be told to."""
    marked = via(HOP, communities=(octets("1.2.3.4"), community))
    for stance, withheld in ((TO_IBGP, to_ibgp), (TO_EBGP, to_ebgp)):
        found = export(IBGP, marked, stance)
        assert found is withheld if withheld else isinstance(found, Attributes)


def test_stripped_communities_are_not_seen() -> None:
    """The others stay, in their order; a stripped one of 12 octets is a large community."""
    one, two, large = b"\0\1\0\1", b"\0\1\0\2", bytes(11) + b"\1"
    marked = via(
        HOP,
        communities=(one, two, one),
        large_communities=(large, bytes(12)),
        extended_communities=(bytes(8),),
    )
    found = seen(IBGP, marked, replace(TO_IBGP, strip=frozenset((one, large))))
    assert found.communities == (two,)
    assert found.large_communities == (bytes(12),)
    assert found.extended_communities == (bytes(8),)


def test_stripping_does_not_lift_a_well_known_community() -> None:
    """A path that must not be advertised is not, though the router would not see why."""
    marked = via(HOP, communities=(NO_ADVERTISE,))
    assert export(IBGP, marked, replace(TO_IBGP, strip=frozenset((NO_ADVERTISE,)))) is Withheld.NO_ADVERTISE


@pytest.mark.parametrize("size", [4096, 65535])
def test_attributes_that_fill_a_message_are_withheld(size: int) -> None:
    """RFC 8654 4: a path that does not fit in the longest message the router takes is not sent to it."""
    stance = replace(TO_IBGP, max_size=size)
    fits = via(HOP, communities=tuple(n.to_bytes(4, "big") for n in range((size - 200) // 4)))
    over = via(HOP, communities=tuple(n.to_bytes(4, "big") for n in range(size // 4)))
    assert isinstance(Exporter(stance, Family.IPV4)(IBGP, fits), Encoded)
    assert Exporter(stance, Family.IPV4)(IBGP, over) is Withheld.TOO_LARGE


def test_sets_that_look_alike_to_the_router_are_one_object() -> None:
    """A node that says the same again in other words costs the router nothing."""
    exporter = Exporter(TO_IBGP, Family.IPV4)
    one, other = exporter(IBGP, REFLECTED), exporter(IBGP, REFLECTED.but(local_pref=100))
    assert one is other
    assert exporter(IBGP, REFLECTED.but(med=1)) is not one
    assert exporter(node("10.0.0.2"), REFLECTED.but(next_hop=octets("10.0.0.2"))) is not one


def test_ipv6_sets_with_another_next_hop_are_two_objects() -> None:
    """Its next hop is not in the attributes, so it tells them apart by itself."""
    exporter = Exporter(TO_IBGP, Family.IPV6)
    one = exporter(IBGP, via("2001:db8::1"))
    other = exporter(IBGP, via("2001:db8::2"))
    assert isinstance(one, Encoded)
    assert isinstance(other, Encoded)
    assert one is not other
    assert (one.attributes, one.next_hop) == (other.attributes, octets("2001:db8::1"))
    assert AttributeCode.NEXT_HOP not in slice_attributes(one.attributes).codes


def test_what_is_remembered_of_sets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound all are encoded anew, to the same octets."""
    monkeypatch.setattr(Exporter, "REMEMBERED", 4)
    exporter = Exporter(TO_IBGP, Family.IPV4)
    sets = [via(HOP, med=med) for med in range(20)]
    octets_of = [exporter(IBGP, one).attributes for one in sets]
    assert [exporter(IBGP, one).attributes for one in sets] == octets_of
    assert len(exporter._by_set) <= 4
    assert len(exporter._by_value) <= 4


def test_what_is_sent_can_be_read_again() -> None:
    """The octets say what `export` says."""
    full = REFLECTED.but(as_path=(Segment(SegmentType.AS_SEQUENCE, (65001, 4200000000)),), med=3)
    encoded = Exporter(TO_IBGP, Family.IPV4)(IBGP, full)
    assert isinstance(encoded, Encoded)
    read = codec.decode_attributes(slice_attributes(encoded.attributes), as4=True, ibgp=True, next_hop=None)
    assert fields(read) == fields(seen(IBGP, full, TO_IBGP))


def fields(attributes: Attributes) -> dict[str, object]:
    """The fields of a set, to be compared by value."""
    return {name: getattr(attributes, name) for name in Attributes.__slots__}
