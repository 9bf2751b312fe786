"""A replica that never spoke to the router knows what the router has, from the octets alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.bgp import codec
from speaker.bgp.attributes import Attributes, Encoded
from speaker.bgp.iana import Family, Origin
from speaker.bgp.update import AdjRibOut
from speaker.replicas.mirror import Beyond, Mirror

IDS = [bytes((0, 0, 0, n)) for n in (1, 2, 3)]
HOPS = {Family.IPV4: [bytes((192, 168, 3, n)) for n in (31, 32)], Family.IPV6: [bytes(15) + b"\1", bytes(15) + b"\2"]}
PREFIXES = {
    Family.IPV4: [bytes((32, 192, 168, 30, n)) for n in range(6)] + [bytes((24, 10, 0, 1)), b"\0"],
    Family.IPV6: [bytes((128,)) + bytes(15) + bytes((n,)) for n in range(6)] + [bytes((48, 0xFD, 0, 0, 0, 0, 1))],
}


def encoded(family: Family, hop: bytes) -> Encoded:
    attributes = Attributes(next_hop=hop, origin=Origin.IGP, as_path=(), local_pref=100)
    return Encoded(codec.encode_attributes(attributes, as4=True, next_hop=family is Family.IPV4), hop)


ENCODED = {family: [encoded(family, hop) for hop in hops] for family, hops in HOPS.items()}


def steps(family: Family) -> st.SearchStrategy[list[tuple[int, int, int]]]:
    """(path identifier, prefix, next hop or 2 for a withdrawal)."""
    count = len(PREFIXES[family]) - 1
    return st.lists(st.tuples(st.integers(0, 2), st.integers(0, count), st.integers(0, 2)), max_size=40)


def wish(out: AdjRibOut, step: tuple[int, int, int], named: bool) -> None:
    number, prefix, hop = step
    path_id = IDS[number] if named else b""
    if hop == 2:
        out.withdraw(path_id, [PREFIXES[out.family][prefix]])
    else:
        out.announce(path_id, [PREFIXES[out.family][prefix]], ENCODED[out.family][hop])


def held(out: AdjRibOut) -> dict[bytes, dict[bytes, bytes]]:
    return {i: {prefix: e.next_hop or e.attributes[-11:-7] for prefix, e in s.items()} for i, s in out.sent.items()}


def test_the_next_hop_is_where_these_tests_look_for_it() -> None:
    assert ENCODED[Family.IPV4][0].next_hop == HOPS[Family.IPV4][0]


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("named", [True, False], ids=["add-path", "plain"])
@given(data=st.data())
def test_any_stream_cut_anywhere_leaves_what_the_adj_rib_out_has_sent(family: Family, named: bool, data: st.DataObject
                                                                       ) -> None:  # fmt: skip
    out = AdjRibOut(family, 4096)
    mirror = Mirror(frozenset((family,)) if named else frozenset(), 1000)
    before, after = data.draw(steps(family)), data.draw(steps(family))
    for step in before:
        wish(out, step, named)
    out.take(1 << 20)
    mirror.knows(b"".join(out.replay()))
    stream = b""
    for step in after:
        wish(out, step, named)
        stream += out.take(1 << 20)
    size = data.draw(st.integers(1, 200))
    for at in range(0, len(stream), size):
        mirror.sends(stream[at : at + size])
        if data.draw(st.booleans()):
            mirror.acknowledged(1000 + data.draw(st.integers(0, at + size)))
    mirror.read()
    assert mirror.held[family] == held(out)


def test_a_leader_that_dies_in_the_midst_of_a_message_is_gone_on_from_at_that_octet() -> None:
    mirror = Mirror(frozenset(), 0xFFFFFFF0)  # and the sequence number wraps
    stream = codec.KEEPALIVE * 5
    mirror.sends(stream)
    mirror.acknowledged(0xFFFFFFF8)
    assert mirror.missing((0xFFFFFFF0 + 37) % (1 << 32)) == stream[37:]
    assert mirror.missing((0xFFFFFFF0 + 95) % (1 << 32)) == b""


@pytest.mark.parametrize("sequence", [1101, 999, 1000 + (1 << 31)])
def test_a_router_that_has_what_we_do_not_know_of_is_noticed(sequence: int) -> None:
    """More was sent than we were told, or so long ago that it is forgotten: the session cannot be gone on with."""
    mirror = Mirror(frozenset(), 1000)
    mirror.sends(codec.KEEPALIVE * 5)
    with pytest.raises(Beyond):
        mirror.missing(sequence)


def test_end_of_rib_is_known_by_family() -> None:
    mirror = Mirror(frozenset(), 0)
    for family in Family:
        out = AdjRibOut(family, 4096)
        out.end_of_rib()
        mirror.sends(out.take(100))
    mirror.read()
    assert mirror.ended == set(Family)
