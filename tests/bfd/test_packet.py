"""BFD control packets: golden octets, both ways, and what is discarded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.bfd.packet import Control, Diagnostic, Discard, State, pack, parse

FRR_DOWN = bytes.fromhex("20400318 bb29baec 00000000 000f4240 000f4240 0000c350")
"""FRR 8.4.4's first packet: Down, 3 times a second apart, echo each 50 ms."""
OURS_UP = bytes.fromhex("20d00a18 00000007 3c6f1a55 000f4240 000186a0 00000000")
GOOD = Control(State.UP, 7, 0x3C6F1A55, 10, 1_000_000, 100_000)


def test_octets_of_frr_are_read() -> None:
    assert parse(FRR_DOWN) == Control(State.DOWN, 0xBB29BAEC, 0, 3, 1_000_000, 1_000_000)


def test_what_we_send_has_the_form_of_the_rfc_and_no_echo() -> None:
    """Version 1, Up with the F bit, multiplier 10, 24 octets."""
    assert pack(Control(State.UP, 7, 0x3C6F1A55, 10, 1_000_000, 100_000, final=True)) == OURS_UP


MALFORMED = {
    "shorter than 24 octets": FRR_DOWN[:23],
    "version 0": bytes([0]) + FRR_DOWN[1:],
    "longer than it is": FRR_DOWN[:3] + bytes([25]) + FRR_DOWN[4:],
    "a length below 24": FRR_DOWN[:3] + bytes([23]) + FRR_DOWN[4:],
    "multiplier 0": FRR_DOWN[:2] + bytes([0]) + FRR_DOWN[3:],
    "multipoint": FRR_DOWN[:1] + bytes([0x41]) + FRR_DOWN[2:],
    "no discriminator": FRR_DOWN[:4] + bytes(4) + FRR_DOWN[8:],
    "Up to nobody": OURS_UP[:8] + bytes(4) + OURS_UP[12:],
}


@pytest.mark.parametrize("octets", MALFORMED.values(), ids=MALFORMED)
def test_malformed_packets_are_discarded(octets: bytes) -> None:
    """RFC 5880 6.8.6, before any session is asked."""
    assert parse(octets) is Discard.MALFORMED


def test_authentication_is_not_offered_and_so_not_taken() -> None:
    assert parse(FRR_DOWN[:1] + bytes([0x44]) + FRR_DOWN[2:]) is Discard.AUTHENTICATED


WORD = st.integers(0, 2**32 - 1)
CONTROLS = st.builds(
    Control,
    state=st.sampled_from(State),
    mine=st.integers(1, 2**32 - 1),
    yours=st.integers(1, 2**32 - 1),
    multiplier=st.integers(1, 255),
    transmit=WORD,
    receive=WORD,
    diagnostic=st.integers(0, 31) | st.sampled_from(Diagnostic),
    poll=st.booleans(),
    final=st.booleans(),
    demand=st.booleans(),
)


@given(CONTROLS, st.binary(max_size=8))
def test_what_is_packed_is_read_as_it_was(control: Control, tail: bytes) -> None:
    """Also with octets behind it: UDP may carry more."""
    assert parse(pack(control) + tail) == control


@given(st.binary(max_size=40))
def test_any_octets_are_read_or_discarded(octets: bytes) -> None:
    said = parse(octets)
    assert isinstance(said, Discard) or parse(pack(said)) == said
