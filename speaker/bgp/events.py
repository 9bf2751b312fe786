"""What does a session tell its owner? Everything that leaves session.py is one of these values."""

from dataclasses import dataclass
from enum import StrEnum

from speaker.bgp.attributes import Attributes
from speaker.bgp.iana import Family
from speaker.bgp.opening import Negotiated, Notification, PeerOpen


class Cause(StrEnum):
    """Why a session ended; the word that logs, metrics and `onepeer nodes` print."""

    STOPPED = "stopped"  # we were asked to
    NOTIFICATION_SENT = "notification-sent"
    NOTIFICATION_RECEIVED = "notification-received"
    CONNECTION_LOST = "connection-lost"  # TCP ended without a word
    CONNECTION_FAILED = "connection-failed"  # TCP never came up
    COLLISION = "collision"  # another connection to the same peer was kept (RFC 4271 6.8)
    HOLD_TIMER = "hold-timer-expired"


@dataclass(frozen=True, slots=True)
class Transmit:
    """Write these octets: one or more whole messages."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Dial:
    """Open the TCP connection."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close the TCP connection, after what has been transmitted."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The peer's OPEN is in and acceptable. The owner resolves collisions now (RFC 4271 6.8)."""

    peer: PeerOpen


@dataclass(frozen=True, slots=True)
class Established:
    """Routes may flow."""

    negotiated: Negotiated


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over; nothing follows.

    `was_established` tells whether routes could have flowed. `notification` is the one sent or received.
    `text` is for people where there is none.
    """

    cause: Cause
    was_established: bool
    notification: Notification | None = None
    text: str = ""

    @property
    def words(self) -> str:
        """The cause, and what there is to say of it."""
        said = self.notification or self.text
        return f"{self.cause}: {said}" if said else str(self.cause)


@dataclass(frozen=True, slots=True)
class Announced:
    """These prefixes are reachable with these attributes. `prefixes` are NLRI (nlri.py), as they came."""

    family: Family
    attributes: Attributes
    prefixes: list[bytes]


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """These prefixes are not reachable any more; `reason` is empty unless RFC 7606 made a withdrawal of it."""

    family: Family
    prefixes: list[bytes]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EndOfRib:
    """The peer has sent all it had (RFC 4724 2)."""

    family: Family


@dataclass(frozen=True, slots=True)
class RefreshRequested:
    """The peer wants our whole Adj-RIB-Out of this family again (RFC 2918)."""

    family: Family


@dataclass(frozen=True, slots=True)
class Ignored:
    """Something was left aside; `what` says what and why."""

    what: str


Event = (
    Transmit
    | Dial
    | Disconnect
    | Opened
    | Established
    | Ended
    | Announced
    | Withdrawn
    | EndOfRib
    | RefreshRequested
    | Ignored
)
