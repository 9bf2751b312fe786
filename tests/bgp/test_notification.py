"""The last word of a session: for people in both directions."""

import pytest
from bgp_wire import message
from hypothesis import given
from hypothesis import strategies as st

from speaker.bgp import codec

SHUTDOWN, RESET, REJECTED, HARD_RESET = 2, 4, 5, 9
GERMAN = "Wartung für alle Router, Ende gegen 22 Uhr"


@pytest.mark.parametrize("subcode", [SHUTDOWN, RESET])
@pytest.mark.parametrize("text", ["planned work", GERMAN, "x" * 128, "x" * 255])
def test_the_reason_of_a_shutdown_travels(subcode: int, text: str) -> None:
    """RFC 9003: one octet of length, then UTF-8, 255 octets at most; RFC 8203 had allowed 128."""
    wire = codec.encode_notification(codec.notification(6, subcode, text))
    said = text.encode()
    assert wire == message(3, bytes((6, subcode, len(said))) + said)
    assert codec.decode_notification(wire[19:]).text == text


@pytest.mark.parametrize("text", ["x" * 256, "ü" * 128, "x" + "ü" * 127 + "y", "€" * 86])
def test_a_reason_that_is_too_long_is_cut_between_characters(text: str) -> None:
    """255 octets, and never half a character."""
    wire = codec.encode_notification(codec.notification(6, SHUTDOWN, text))
    size = wire[21]
    assert 252 <= size <= 255
    assert text.startswith(wire[22:].decode())
    assert len(wire) == 22 + size


@pytest.mark.parametrize(("code", "subcode"), [(6, REJECTED), (2, 2), (4, 0)])
def test_a_reason_goes_only_where_the_protocol_has_a_place_for_it(code: int, subcode: int) -> None:
    """Elsewhere the data of a NOTIFICATION means something else."""
    wire = codec.encode_notification(codec.notification(code, subcode, "not for the wire"))
    assert wire == message(3, bytes((code, subcode)))


HEARD = [
    ("0602", "6/2 Cease / Administrative Shutdown"),
    ("0602 00", "6/2 Cease / Administrative Shutdown"),
    ("0602 0c 706c616e6e656420776f726b", '6/2 Cease / Administrative Shutdown: "planned work"'),
    ("0604 02 6f6b 626f6f", '6/4 Cease / Administrative Reset: "ok"'),
    ("0602 05 6f6b", "6/2 Cease / Administrative Shutdown"),  # longer than the message
    ("0602 04 6f6bff21", '6/2 Cease / Administrative Shutdown: "ok\ufffd!"'),
    ("0602 05 6f6b0a6f6b", '6/2 Cease / Administrative Shutdown: "ok ok"'),
    ("0602 04 1b5b324a", '6/2 Cease / Administrative Shutdown: " [2J"'),  # clears a terminal
    ("0603", "6/3 Cease / Peer De-configured"),
    ("0605 0c 706c616e6e656420776f726b", "6/5 Cease / Connection Rejected"),
    ("0609 0602 02 6f6b", '6/9 Cease / Hard Reset (Cease / Administrative Shutdown): "ok"'),
    ("0609 0400", "6/9 Cease / Hard Reset (Hold timer expired)"),
    ("0609", "6/9 Cease / Hard Reset"),
    ("060a", "6/10 Cease / BFD Down"),
    ("0663", "6/99 Cease / subcode 99"),
    ("0400", "4/0 Hold timer expired"),
    ("0800", "8/0 Send hold timer expired"),
    ("0701 00", "7/1 ROUTE-REFRESH message error / Invalid Message Length"),
    ("020b", "2/11 OPEN message error / Role Mismatch"),
    ("0202", "2/2 OPEN message error / Bad Peer AS"),
    ("0503", "5/3 State machine error / Receive Unexpected Message in Established State"),
    ("6300", "99/0 error 99 / subcode 0"),
]


@pytest.mark.parametrize(("wire", "words"), HEARD)
def test_what_a_peer_says_is_told_in_words(wire: str, words: str) -> None:
    """The IANA name of code and subcode, and the peer's reason without anything that could hurt a terminal."""
    assert str(codec.decode_notification(bytes.fromhex(wire))) == words


@pytest.mark.parametrize("wire", ["", "06"])
def test_a_notification_without_a_code_is_one_still(wire: str) -> None:
    """It must not be answered (RFC 4271 6.4), so it is told as it came."""
    assert codec.decode_notification(bytes.fromhex(wire)).name == "a NOTIFICATION without code"


def test_a_hard_reset_within_a_hard_reset_ends_somewhere() -> None:
    """Nobody sends it but to see what happens; the message has room for two thousand."""
    assert "Hard Reset" in codec.decode_notification(bytes((6, HARD_RESET)) * 30_000).name


@given(st.text(max_size=300))
def test_any_reason_comes_out_printable_and_recognisable(text: str) -> None:
    """What is printable comes through as it is, up to the octets that there is room for."""
    wire = codec.encode_notification(codec.notification(6, SHUTDOWN, text))
    heard = codec.decode_notification(wire[19:]).text
    assert heard.isprintable()
    assert heard == "".join(c if c.isprintable() else " " for c in text[: len(heard)])
