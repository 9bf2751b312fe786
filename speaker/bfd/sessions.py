"""Which nodes do we have BFD with, what are they to be sent, and which is gone? Pure; the clock is an argument.

Gone is who was Up and has not been heard for its detection time, all the while that our own end was beyond doubt. It is
in doubt

- when we come late: what the nodes sent meanwhile may not have fitted into the socket;
- while more of the sessions that are Up are silent than heard: it is our own cable, or a switch.

A session in doubt stays Up, and has a whole detection time from the end of the doubt.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from speaker.bfd.packet import Diagnostic, Discard, State, parse
from speaker.bfd.session import Session

Address = IPv4Address | IPv6Address
Ends = tuple[Address, Address]
"""Our address and the node's."""

#: Seconds between two looks from which on the later one is late. In less than this a node sends one packet.
LATE = 0.1

#: The TTL, or hop limit, of what comes from our own link (RFC 5881 5).
NEAR = 255


@dataclass(frozen=True, slots=True)
class Change:
    """A session is in another state, or says something else of its node. `gone`: it was Up and fell silent."""

    ends: Ends
    before: State
    state: State
    diagnostic: Diagnostic
    gone: bool


class Sessions:
    """All of them.

    receive         seconds: how often we take packets of each node, at most; for sessions that begin from now on
    discriminator   makes a number of 32 bits, any but zero, that nobody can guess
    """

    def __init__(self, receive: float, discriminator: Callable[[], int], now: float) -> None:
        self.receive = receive
        self._discriminator = discriminator
        self._by_ends: dict[Ends, Session] = {}
        self._local: set[Address] = set()  # few
        self._known: dict[str, Address] = {}
        self._looked_at = self._doubt = now
        self._changes: list[Change] = []

    def watch(self, addresses: Iterable[Address]) -> list[Ends]:
        """These nodes and no others from now on; the sessions that are over for it."""
        self._known = {str(address): address for address in addresses}
        over = [ends for ends in self._by_ends if str(ends[1]) not in self._known]
        for ends in over:
            del self._by_ends[ends]
        return over

    def state(self, node: Address) -> State | None:
        """The best of the sessions with this address of a node; None where it has said nothing yet."""
        found = (self._by_ends.get((local, node)) for local in self._local)
        return max((session.state for session in found if session is not None), default=None)

    def hear(self, local: Address, sender: str, ttl: int, octets: bytes, now: float) -> Discard | None:
        """A datagram has come in at an address of ours; why it is left aside, if it is."""
        node = self._known.get(sender)
        if node is None:
            return Discard.STRANGER
        if ttl != NEAR:
            return Discard.FAR
        control = parse(octets)
        if isinstance(control, Discard):
            return control
        ends = (local, node)
        session = self._by_ends.get(ends)
        if session is None:
            self._local.add(local)
            session = self._by_ends[ends] = Session(self._discriminator(), self.receive, now)
        before = session.state, session.gone
        if not session.hear(control, now):
            return Discard.UNKNOWN_SESSION
        self._tell(ends, session, *before)
        return None

    def look(self, now: float, chance: Callable[[], float]) -> Iterator[tuple[Ends, bytes]]:
        """Once all that has come in is heard: judges who is silent, and says what is to be sent to whom."""
        if now - self._looked_at >= LATE:
            self._doubt = now
        self._looked_at = now
        due = [(ends, session) for ends, session in self._by_ends.items() if session.wake_at <= now]
        self._judge([one for one in due if one[1].silent(now)], now)
        for ends, session in due:
            octets = session.send(now, chance())
            if octets is not None:
                yield ends, octets

    def changes(self) -> list[Change]:
        """What has changed since last asked."""
        changes, self._changes = self._changes, []
        return changes

    def close(self) -> Iterator[tuple[Ends, bytes]]:
        """The last packets: a node that gets one does not take us for dead."""
        for ends, session in self._by_ends.items():
            if (octets := session.close()) is not None:
                yield ends, octets

    # --- inside ---

    def _judge(self, silent: list[tuple[Ends, Session]], now: float) -> None:
        up = [session for _, session in silent if session.state is State.UP]
        if up and len(up) > sum(_heard(session, now) for session in self._by_ends.values()):
            self._doubt = now
        for ends, session in silent:
            if session.state is State.UP and now - self._doubt < session.detection_time:
                continue
            before = session.state, session.gone
            session.expire(now)
            self._tell(ends, session, *before)

    def _tell(self, ends: Ends, session: Session, state: State, gone: bool) -> None:
        if session.state is not state or session.gone is not gone:
            self._changes.append(Change(ends, state, session.state, session.diagnostic, session.gone))


def _heard(session: Session, now: float) -> bool:
    """Whether the last packet that should have come has come."""
    return session.state is State.UP and now - session.heard_at < 1.5 * session.interval
