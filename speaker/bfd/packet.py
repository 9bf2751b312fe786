"""How does a BFD control packet look on the wire? RFC 5880 4.1, and the checks of 6.8.6 that need no session.

Authentication is not offered: a packet that has it is discarded, as 6.8.6 asks of a session that has none.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum, StrEnum

_FORM = struct.Struct("!BBBBIIIII")
_VERSION = 1
_POLL, _FINAL, _AUTHENTICATED, _DEMAND, _MULTIPOINT = 0x20, 0x10, 0x04, 0x02, 0x01


class State(IntEnum):
    """RFC 5880 4.1, Sta."""

    ADMIN_DOWN = 0
    DOWN = 1
    INIT = 2
    UP = 3

    def __str__(self) -> str:
        return {0: "AdminDown", 1: "Down", 2: "Init", 3: "Up"}[self]


class Diagnostic(IntEnum):
    """IANA "BFD Diagnostic Codes": why a session left Up."""

    NO_DIAGNOSTIC = 0
    CONTROL_DETECTION_TIME_EXPIRED = 1
    ECHO_FUNCTION_FAILED = 2
    NEIGHBOR_SIGNALED_SESSION_DOWN = 3
    FORWARDING_PLANE_RESET = 4
    PATH_DOWN = 5
    CONCATENATED_PATH_DOWN = 6
    ADMINISTRATIVELY_DOWN = 7
    REVERSE_CONCATENATED_PATH_DOWN = 8

    def __str__(self) -> str:
        return self.name.lower().replace("_", "-")


class Discard(StrEnum):
    """Why a packet is left aside; the words of the metric."""

    STRANGER = "stranger"  # from no address of the roster
    FAR = "ttl"  # its TTL or hop limit is not 255: not from this link (RFC 5881 5)
    MALFORMED = "malformed"  # RFC 5880 6.8.6, by its own fields
    AUTHENTICATED = "authenticated"
    UNKNOWN_SESSION = "unknown-session"  # for a session that is not, or is no more


@dataclass(frozen=True, slots=True)
class Control:
    """One control packet. Intervals are in microseconds, discriminators 32 bits."""

    state: State
    mine: int
    """My Discriminator: the sender's."""
    yours: int
    """Your Discriminator: the receiver's, 0 while the sender does not know it."""
    multiplier: int
    """Detect Mult: so many intervals of silence are the sender's end."""
    transmit: int
    """Desired Min TX Interval."""
    receive: int
    """Required Min RX Interval; 0 = it wants no periodic packets."""
    diagnostic: int = Diagnostic.NO_DIAGNOSTIC
    poll: bool = False
    final: bool = False
    demand: bool = False


def pack(control: Control) -> bytes:
    """24 octets. We offer no echo (Required Min Echo RX Interval 0)."""
    flags = control.state << 6 | _POLL * control.poll | _FINAL * control.final | _DEMAND * control.demand
    first = _VERSION << 5 | control.diagnostic
    ids, intervals = (control.mine, control.yours), (control.transmit, control.receive)
    return _FORM.pack(first, flags, control.multiplier, _FORM.size, *ids, *intervals, 0)


def parse(octets: bytes) -> Control | Discard:
    """What a datagram says, or why it is discarded (RFC 5880 6.8.6)."""
    if len(octets) < _FORM.size:
        return Discard.MALFORMED
    first, flags, multiplier, length, mine, yours, transmit, receive, _ = _FORM.unpack_from(octets)
    if first >> 5 != _VERSION or not _FORM.size <= length <= len(octets):
        return Discard.MALFORMED
    if flags & _AUTHENTICATED:
        return Discard.AUTHENTICATED
    state = State(flags >> 6)
    if not multiplier or flags & _MULTIPOINT or not mine or (not yours and state >= State.INIT):
        return Discard.MALFORMED
    return Control(
        state=state,
        mine=mine,
        yours=yours,
        multiplier=multiplier,
        transmit=transmit,
        receive=receive,
        diagnostic=first & 0x1F,
        poll=bool(flags & _POLL),
        final=bool(flags & _FINAL),
        demand=bool(flags & _DEMAND),
    )
