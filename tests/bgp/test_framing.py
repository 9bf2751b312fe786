"""However TCP cuts the stream, the framer finds the messages that a naive reader finds in it, one by one."""

from itertools import chain, pairwise

import pytest
from bgp_wire import (
    ALIVE,
    GITEA,
    KEEPALIVE,
    MARKER,
    NOTIFICATION,
    OPEN,
    PLAIN,
    ROUTE_REFRESH,
    TRAEFIK,
    UPDATE,
    attribute,
    message,
    update,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from speaker.bgp.errors import ProtocolError
from speaker.bgp.framing import Framer, Message, Update
from speaker.bgp.iana import MessageType

Fields = tuple[bytes, bytes, bytes]


def naive(one: bytes) -> Fields:
    """(withdrawn, attributes, NLRI) of an UPDATE; of another message its type and its body."""
    if one[18] != UPDATE:
        return one[18:19], one[19:], b""
    at = 21 + int.from_bytes(one[19:21], "big")
    end = at + 2 + int.from_bytes(one[at : at + 2], "big")
    return one[21:at], one[at + 2 : end], one[end:]


def framed(pieces: list[bytes]) -> list[Fields]:
    """The same of what the framer makes of these pieces, its runs taken apart."""
    framer = Framer()
    found: list[Fields] = []
    for piece in pieces:
        for item in framer.feed(piece):
            if isinstance(item, Message):
                found.append((bytes((item.kind,)), item.body, b""))
            else:
                found += [(item.withdrawn, item.attributes, nlri) for nlri in item.announced or [b""]]
    return found


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    """The stream in pieces that end at these places."""
    return [stream[a:b] for a, b in pairwise([0, *sorted(at), len(stream)])]


SETS = [PLAIN, PLAIN + attribute(0x80, 4, bytes(4)), PLAIN + attribute(0xC0, 8, b"\xfc\0\0\x64")]
PREFIXES = [TRAEFIK, GITEA, TRAEFIK + GITEA, b"\x18\xc0\xa8\x1f", b"\0", b""]
LONE = [ALIVE, update(), message(ROUTE_REFRESH, b"\0\1\0\1"), message(NOTIFICATION, b"\6\2")]


def run(attributes: bytes, withdrawn: bytes, prefixes: list[bytes], times: int) -> list[bytes]:
    """UPDATEs with one head or few."""
    return [update(attributes, one, withdrawn) for one in prefixes * times]


# Long enough for blocks to double, broken off anywhere.
runs = st.builds(
    run,
    st.sampled_from(SETS),
    st.sampled_from([b"", b"", b"", TRAEFIK]),
    st.lists(st.sampled_from([*PREFIXES, TRAEFIK, GITEA]), min_size=1, max_size=6),
    st.integers(1, 20),
)
lone = st.sampled_from(LONE).map(lambda one: [one])
streams = st.lists(st.one_of(runs, runs, lone), max_size=8).map(lambda parts: list(chain.from_iterable(parts)))


@given(streams, st.data())
@settings(deadline=None, max_examples=400)
def test_runs_are_what_a_naive_reader_finds_message_by_message(messages: list[bytes], data: st.DataObject) -> None:
    """UPDATEs that differ in their NLRI alone come in one piece, and nothing else does."""
    stream = b"".join(messages)
    at = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    assert framed(cut(stream, at)) == [naive(one) for one in messages]


@pytest.mark.parametrize("size", [1, 7, 19, 23, 24, 4096])
def test_pieces_of_any_size_give_the_same(size: int) -> None:
    """Alternating heads, the case in which no run is longer than one."""
    messages = [update(SETS[i % 2], GITEA if i % 3 else TRAEFIK) for i in range(100)]
    stream = b"".join(messages)
    assert framed(cut(stream, list(range(0, len(stream), size)))) == [naive(one) for one in messages]


def test_a_node_with_many_prefixes_costs_one_update() -> None:
    """MetalLB announces one prefix in each message, all with the same attributes: nothing is decoded twice."""
    prefixes = [b"\x20\x0a\0" + number.to_bytes(2, "big") for number in range(1000)]
    (run,) = Framer().feed(b"".join(update(PLAIN, one) for one in prefixes))
    assert run == Update(b"", PLAIN, prefixes)


def test_a_withdrawal_or_other_attributes_end_a_run() -> None:
    """The order of what happened to a prefix is kept."""
    messages = [update(PLAIN, TRAEFIK), update(PLAIN, GITEA), update(withdrawn=GITEA), update(PLAIN, GITEA)]
    assert list(Framer().feed(b"".join(messages))) == [
        Update(b"", PLAIN, [TRAEFIK, GITEA]),
        Update(GITEA, b"", []),
        Update(b"", PLAIN, [GITEA]),
    ]


BAD = [
    ("a marker that is not all ones", "1/1", "", b"\xff" * 15 + b"\xfe" + b"\0\x13\4"),
    ("HTTP", "1/1", "", b"GET / HTTP/1.1\r\nHost: x\r\n"),
    ("a length below the header's", "1/2", "0012", MARKER + b"\0\x12\4"),
    ("a KEEPALIVE with a body", "1/2", "0014", MARKER + b"\0\x14\4\0"),
    ("an OPEN too short", "1/2", "001c", message(OPEN, bytes(9))),
    ("an OPEN too long (RFC 8654 does not stretch it)", "1/2", "1001", MARKER + b"\x10\1\1"),
    ("an UPDATE too short", "1/2", "0016", message(UPDATE, bytes(3))),
    ("a NOTIFICATION too short", "1/2", "0014", message(NOTIFICATION, bytes(1))),
    ("a ROUTE-REFRESH too short", "1/2", "0016", message(ROUTE_REFRESH, bytes(3))),
    ("a message of type 0", "1/3", "00", message(0)),
    ("a message of type 6", "1/3", "06", message(6)),
    ("withdrawn routes longer than the UPDATE", "3/1", "", message(UPDATE, b"\0\1\0\0")),
    ("attributes longer than the UPDATE", "3/1", "", message(UPDATE, b"\0\0\0\1")),
]


@pytest.mark.parametrize("cuts", ["whole", "octet by octet"])
@pytest.mark.parametrize(("what", "answer", "data", "bad"), BAD, ids=[row[0] for row in BAD])
def test_a_stream_that_cannot_be_followed_ends_with_the_right_words(
    what: str, answer: str, data: str, bad: bytes, cuts: str
) -> None:
    """RFC 4271 6.1: the subcode, and as data the length or type that was wrong; what came before it counts."""
    framer = Framer()
    found: list[Message | Update] = []
    stream = update(PLAIN, TRAEFIK) + ALIVE + bad
    pieces = [stream] if cuts == "whole" else cut(stream, list(range(1, len(stream))))

    def read() -> None:
        for piece in pieces:
            found.extend(framer.feed(piece))

    with pytest.raises(ProtocolError) as caught:
        read()
    assert found == [Update(b"", PLAIN, [TRAEFIK]), Message(MessageType.KEEPALIVE, b"")]
    fault = caught.value
    assert (f"{fault.code}/{fault.subcode}", fault.data.hex()) == (answer, data)


@pytest.mark.parametrize(("kind", "least"), [(OPEN, 29), (UPDATE, 23), (NOTIFICATION, 21), (KEEPALIVE, 19)])
def test_the_shortest_message_of_each_type_is_one(kind: int, least: int) -> None:
    """RFC 4271 4."""
    one = message(kind, bytes(least - 19))
    assert framed([one]) == [naive(one)]


def test_an_update_of_65535_octets_is_taken_from_anyone() -> None:
    """MetalLB's native speaker withdraws in messages above 4096 octets without having agreed to (RFC 8654)."""
    gone = (TRAEFIK * 13102)[: 65535 - 23]
    assert framed([update(withdrawn=gone)]) == [(gone, b"", b"")]
