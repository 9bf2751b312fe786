"""The channel between replicas: only who has the key is believed, and only what was said, once and in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.replicas.frames import HELLO_SIZE, PROOF, VERSION, ChannelError, Handshake, Opener, Sealer

KEY = bytes(range(32))


def pair(caller_key: bytes = KEY, called_key: bytes = KEY) -> tuple[tuple[Sealer, Opener], tuple[Sealer, Opener]]:
    """What both sides have after the greeting."""
    caller, called = Handshake(caller_key, b"a" * 32, caller=True), Handshake(called_key, b"b" * 32, caller=False)
    proofs = caller.proof(called.hello()), called.proof(caller.hello())
    assert len(caller.hello()) == HELLO_SIZE
    assert len(proofs[0]) == PROOF
    return caller.check(proofs[1]), called.check(proofs[0])


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=400)), max_size=8), st.integers(1, 50))
def test_what_is_said_arrives_whole_however_it_is_cut(frames: list[tuple[int, bytes]], size: int) -> None:
    (sealer, _), (_, opener) = pair()
    octets = b"".join(sealer.seal(kind, body) for kind, body in frames)
    parts = [octets[at : at + size] for at in range(0, len(octets), size)]
    assert [frame for part in parts for frame in opener.feed(part)] == frames


def test_another_key_is_found_out_before_anything_is_said() -> None:
    with pytest.raises(ChannelError, match="another key"):
        pair(called_key=b"x" * 32)


def test_a_proof_cannot_be_sent_back_to_who_made_it() -> None:
    caller = Handshake(KEY, b"a" * 32, caller=True)
    proof = caller.proof(Handshake(KEY, b"b" * 32, caller=False).hello())
    with pytest.raises(ChannelError):
        caller.check(proof)
    with pytest.raises(ChannelError, match="what we had said"):
        caller.proof(caller.hello())


def test_another_version_is_named() -> None:
    hello = bytearray(Handshake(KEY, b"b" * 32, caller=False).hello())
    hello[15] = VERSION + 1
    with pytest.raises(ChannelError, match=f"version {VERSION + 1}"):
        Handshake(KEY, b"a" * 32, caller=True).proof(bytes(hello))
    with pytest.raises(ChannelError, match="does not speak"):
        Handshake(KEY, b"a" * 32, caller=True).proof(b"GET / HTTP/1.1".ljust(HELLO_SIZE))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_octet_ends_it(at: int, change: int) -> None:
    (sealer, _), (_, opener) = pair()
    octets = bytearray(sealer.seal(7, b"an UPDATE") + sealer.seal(8, b"another"))
    octets[at % len(octets)] ^= change
    try:
        got = list(opener.feed(bytes(octets)))
    except ChannelError:
        return
    assert got in ([], [(7, b"an UPDATE")])  # a longer length: the rest is waited for, and nothing of it believed


def test_a_frame_that_is_repeated_left_out_or_sent_back_ends_it() -> None:
    first, second = (lambda s: (s.seal(1, b"one"), s.seal(1, b"two")))(pair()[0][0])
    for octets in (first + first, second):
        with pytest.raises(ChannelError):
            list(pair()[1][1].feed(octets))
    with pytest.raises(ChannelError):
        list(pair()[0][1].feed(first))
