"""Sessions in the state that a test wants, and what they say in words a table row can hold."""

from ipaddress import IPv4Address

from bgp_wire import ALIVE, METALLB, OPEN, capability, message, open_body, split

from speaker.bgp.events import Ended, Event, Transmit
from speaker.bgp.iana import Family
from speaker.bgp.opening import GracefulRestart, Offer
from speaker.bgp.session import Session, State

OURS = IPv4Address("192.168.3.10")
BOTH = (Family.IPV4, Family.IPV6)

#: What Onepeer says to a node, and to a router.
TO_NODE = Offer(64512, OURS, 90)
TO_ROUTER = Offer(
    64512,
    OURS,
    90,
    route_refresh=True,
    extended_message=True,
    add_path=BOTH,
    graceful_restart=GracefulRestart(120, restarting=False, notification=True, families=BOTH),
    hostname="onepeer",
)

#: A router that has everything: RFC 2918, 4724, 6793, 7313, 7911 (receive), 8654.
ROUTER = (
    *METALLB,
    capability(2),
    capability(70),
    capability(6),
    capability(69, "00010101 00020101"),
    capability(64, "0078 00010180 00020180"),
)


def established(
    offer: Offer = TO_NODE, capabilities: tuple[bytes, ...] = METALLB, *, asn: int = 64512, hold_time: int = 90
) -> Session:
    """A session that has just come up at time 0."""
    session = Session(offer, asn, lambda: 1.0)
    session.accept(0.0)
    session.receive(message(OPEN, open_body(capabilities, asn=asn, hold_time=hold_time)) + ALIVE, 0.0)
    assert session.state is State.ESTABLISHED
    return session


def sent(events: list[Event]) -> list[bytes]:
    """The messages that these events transmit."""
    return split(b"".join(event.data for event in events if isinstance(event, Transmit)))


def end_of(events: list[Event]) -> Ended:
    """How the session ended."""
    (ended,) = [event for event in events if isinstance(event, Ended)]
    return ended


def refusal(events: list[Event]) -> str:
    """The NOTIFICATION with which the session ended, as `code/subcode data`, read from the octets sent."""
    assert sent(events)[-1][18] == 3
    body = sent(events)[-1][19:]
    return f"{body[0]}/{body[1]} {body[2:].hex()}".strip()
