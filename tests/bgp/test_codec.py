"""The door to ExaBGP: whatever a peer sends, what comes out is a value or one of our own two errors."""

import json
from pathlib import Path

from bgp_sessions import ROUTER, TO_NODE, TO_ROUTER
from bgp_wire import HOP4, HOP6, NEXT_HOP, ORIGIN, PLAIN, as_path, attribute, attributes_of, open_body, split
from hypothesis import example, given, settings
from hypothesis import strategies as st

from speaker.bgp import codec
from speaker.bgp.attributes import Attributes, Segment, slice_attributes
from speaker.bgp.errors import ProtocolError, TreatAsWithdraw
from speaker.bgp.iana import Origin, SegmentType

GOLDEN = Path(__file__).parent.parent / "golden"
STREAMS = [bytes.fromhex(json.loads(path.read_text())["stream"]) for path in sorted(GOLDEN.glob("*.json"))]
MESSAGES = [one for stream in STREAMS for one in split(stream)]
OPENS = sorted({one[19:] for one in MESSAGES if one[18] == 1} | {open_body(ROUTER)})
NOTIFICATIONS = sorted({one[19:] for one in MESSAGES if one[18] == 3})
# Attributes of real daemons, and by hand those that none of them sent.
OLD_PEER = ORIGIN + as_path(65010, 23456, size=2) + NEXT_HOP + attribute(0xC0, 7, b"\x5b\xa0" + HOP4)
OLD_PEER += attribute(0xC0, 17, bytes.fromhex("020100010001")) + attribute(0xC0, 18, b"\0\1\0\1" + HOP4)
EVERYTHING = PLAIN + attribute(0x80, 4, bytes(4)) + attribute(0x40, 6, b"") + attribute(0xC0, 7, b"\0\0\xfd\xf2" + HOP4)
EVERYTHING += b"".join(
    attribute(flags, code, b"\1\2" + bytes(size - 2))
    for flags, code, size in ((0xC0, 8, 8), (0x80, 9, 4), (0x80, 10, 8), (0xC0, 16, 16), (0xC0, 32, 24), (0xC0, 99, 3))
)
FIELDS = sorted({one[23:][: int.from_bytes(one[21:23], "big")] for one in MESSAGES if one[18] == 2 and not one[20]})
FIELDS += [OLD_PEER, EVERYTHING]

ROWS = settings(deadline=None, max_examples=500)


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """One of these with some octets changed, put in, taken out, doubled or cut off."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        how = draw(st.sampled_from(["change", "change", "insert", "remove", "double", "cut"]))
        if how == "change" and at < len(data):
            data[at] = draw(st.one_of(st.sampled_from([0, 1, 4, 64, 255]), st.integers(0, 255)))
        elif how == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=4))
        elif how == "remove":
            del data[at : at + 1]
        elif how == "double":
            data[at:at] = data[at : at + 8]
        elif how == "cut":
            del data[at:]
    return bytes(data)


capabilities = st.builds(
    lambda code, value: bytes((code, len(value))) + value,
    st.one_of(st.sampled_from([1, 2, 5, 6, 64, 65, 69, 70, 71, 73, 75, 128, 130, 131]), st.integers(0, 255)),
    st.one_of(
        st.sampled_from([b"\0\1\0\1", b"\0\2\0\1", b"\0\0\xfc\0", b"\0\1\1\1", b"\7onepeer\0"]), st.binary(max_size=8)
    ),
)


@given(st.one_of(mutated(OPENS), st.lists(capabilities, max_size=8).map(open_body), st.binary(max_size=60)))
@example(open_body(version=4)[:9])
@ROWS
def test_any_open_is_understood_or_answered(body: bytes) -> None:
    """A test that fails when ExaBGP raises something that LIBRARY_ERRORS lacks (codec.py)."""
    answers = []
    for offer in (TO_NODE, TO_ROUTER):
        try:
            negotiated = codec.negotiate(offer, body)
        except ProtocolError as fault:
            answers.append(codec.encode_notification(codec.notification(fault.code, fault.subcode, data=fault.data)))
            continue
        assert set(negotiated.families) <= set(offer.families)
        assert negotiated.add_path_send <= set(negotiated.families)
        assert negotiated.hold_time <= offer.hold_time
    assert all(answer[19] in (1, 2) for answer in answers)


def text(a: Attributes) -> str:
    """All that is in a set, in words; sequences that follow each other are one path however they are cut."""
    path: list[Segment] = []
    for segment in a.as_path:
        if path and path[-1].kind == segment.kind == SegmentType.AS_SEQUENCE:
            path[-1] = Segment(segment.kind, path[-1].asns + segment.asns)
        else:
            path.append(segment)
    return str(a.but(as_path=tuple(path)))


@given(st.one_of(mutated(FIELDS), st.binary(max_size=60)), st.booleans(), st.booleans(), st.sampled_from([None, HOP6]))
@ROWS
def test_any_attributes_are_understood_or_withdraw_their_routes(
    field: bytes, as4: bool, ibgp: bool, next_hop: bytes | None
) -> None:
    """ProtocolError comes from the multiprotocol attributes alone; what is understood can be sent to any router."""
    try:
        found = codec.decode_attributes(slice_attributes(field), as4=as4, ibgp=ibgp, next_hop=next_hop)
    except (ProtocolError, TreatAsWithdraw):
        return
    for towards_as4 in (True, False):
        again = codec.encode_attributes(found, as4=towards_as4, next_hop=next_hop is None)
        assert str(
            codec.decode_attributes(slice_attributes(again), as4=towards_as4, ibgp=True, next_hop=next_hop)
        ) == str(found)


@given(st.one_of(mutated(NOTIFICATIONS), st.binary(max_size=300)))
@ROWS
def test_any_notification_is_told_in_printable_words(body: bytes) -> None:
    """It never raises: an error in a NOTIFICATION must not be answered (RFC 4271 6.4)."""
    heard = codec.decode_notification(body)
    assert heard.name
    assert str(heard).isprintable()


asns = st.one_of(st.integers(1, 70_000), st.sampled_from([23456, 65536, 4_200_000_010, 2**32 - 1]))
octets4 = st.binary(min_size=4, max_size=4)
attribute_sets = st.builds(
    Attributes,
    next_hop=octets4,
    origin=st.sampled_from(Origin),
    as_path=st.lists(
        st.builds(Segment, st.sampled_from([1, 2]), st.lists(asns, min_size=1, max_size=5).map(tuple)), max_size=3
    ).map(tuple),
    med=st.one_of(st.none(), st.integers(0, 2**32 - 1)),
    local_pref=st.one_of(st.none(), st.integers(0, 2**32 - 1)),
    originator_id=st.one_of(st.none(), octets4),
    cluster_list=st.lists(octets4, max_size=3).map(tuple),
    communities=st.lists(octets4, max_size=80, unique=True).map(lambda c: tuple(sorted(c))),
    extended_communities=st.lists(st.binary(min_size=8, max_size=8), max_size=3, unique=True).map(
        lambda c: tuple(sorted(c))
    ),
    large_communities=st.lists(st.binary(min_size=12, max_size=12), max_size=3, unique=True).map(
        lambda c: tuple(sorted(c))
    ),
    atomic_aggregate=st.booleans(),
    aggregator=st.one_of(st.none(), st.tuples(asns, octets4)),
    unknown=st.lists(
        st.tuples(st.just(0xE0), st.integers(40, 255), st.binary(max_size=300)), max_size=3, unique_by=lambda u: u[1]
    ).map(lambda u: tuple(sorted(u))),
)


@given(attribute_sets, st.booleans())
@ROWS
def test_what_is_encoded_is_decoded_to_the_same(attributes: Attributes, as4: bool) -> None:
    """Nothing is lost on the way, towards peers with two octets of AS number neither (RFC 6793 4.2.2)."""
    field = codec.encode_attributes(attributes, as4=as4, next_hop=True)
    again = codec.decode_attributes(slice_attributes(field), as4=as4, ibgp=True)
    assert text(again) == text(attributes)
    codes = [code for _, code, _, _ in attributes_of(field)]
    assert len(codes) == len(set(codes))
    if as4:
        assert codes == sorted(codes)
