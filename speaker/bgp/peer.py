"""Which connections to one peer should there be? Dialing again, back-off, and collision (RFC 4271 6.8, 8.1).

A peer may have two connections for a moment, one that we dialed and one that it dialed; session.py knows one each.
Pure, like session.py: `now` comes from outside, `deadline` says when to ask again.
"""

from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv4Address

from speaker.bgp.events import Cause, Ended
from speaker.bgp.opening import PeerOpen
from speaker.bgp.session import Session, State

#: Seconds before the first new attempt; doubles up to the last. FRR closes about half of the first connections after a
#: restart of either side, and takes one 10 to 20 ms later (measured with 8.4.4); a dial costs one SYN.
RETRY_FIRST, RETRY_LAST = 0.02, 10.0

#: The same for a peer whose session we had to end: MetalLB dials again with no delay after an OPEN of ours, so it is
#: refused before one for that long (RFC 4271 8.1.1, DampPeerOscillations).
HOLD_OFF_FIRST, HOLD_OFF_LAST = 1.0, 60.0

#: A session that was Established for so many seconds clears the record.
STABLE = 30.0


class Connect(StrEnum):
    """Who opens the connection."""

    BOTH = "both"
    ACTIVE = "active"
    PASSIVE = "passive"


class Refused(StrEnum):
    """Why a call is not taken. The value is what logs and the CLI print."""

    ALREADY_UP = "already-established"  # another connection of this peer carries routes
    HELD_OFF = "held-off"  # its last session ended by its own fault, a moment ago
    ACTIVE_ONLY = "active-only"  # `connect: active`: we dial this peer, it does not call


class Peer:
    """The connections to one peer.

    router_id, asn  ours: they decide collisions
    jitter          gives a factor from 0.75 to 1.0 for timers (RFC 4271 10)
    gives_way       an established session with graceful restart makes room for a new call (RFC 4724 4.2)
    """

    def __init__(
        self, router_id: IPv4Address, asn: int, connect: Connect, jitter: Callable[[], float], *, gives_way: bool = True
    ) -> None:
        self._identity = (int(router_id), asn)
        self._gives_way = gives_way
        self._connect = connect
        self._jitter = jitter
        self._failures = 0
        self._faults = 0
        self._retry_at: float | None = None
        self._held_off_until = 0.0
        self._up_since: float | None = None
        self.dialed: Session | None = None
        self.accepted: Session | None = None

    @property
    def established(self) -> Session | None:
        """The connection that carries routes."""
        for session in (self.dialed, self.accepted):
            if session is not None and session.state is State.ESTABLISHED:
                return session
        return None

    # --- dialing ---

    def start(self, now: float) -> None:
        """Begin to want a session."""
        if self._connect is not Connect.PASSIVE:
            self._retry_at = now

    def wants_to_dial(self, now: float) -> bool:
        """Whether a connection should be opened now."""
        return self._retry_at is not None and now >= self._retry_at and self.dialed is None and self.established is None

    def dialing(self, session: Session) -> None:
        """It is being opened."""
        self.dialed = session
        self._retry_at = None

    def deadline(self) -> float | None:
        """When `wants_to_dial` may become true by time alone."""
        return self._retry_at if self.dialed is None and self.established is None else None

    # --- being called ---

    def refuses(self, now: float) -> Refused | None:
        """Why a call that comes now is not taken, or None. An established session that both sides agreed to restart
        gracefully gives way, because the caller has lost it (RFC 4724 4.2)."""
        if self._connect is Connect.ACTIVE:
            return Refused.ACTIVE_ONLY
        if now < self._held_off_until:
            return Refused.HELD_OFF
        held = self.established
        if held is None:
            return None
        graceful = held.negotiated is not None and held.negotiated.graceful is not None
        return None if graceful and self._gives_way else Refused.ALREADY_UP

    def accepting(self, session: Session) -> list[Session]:
        """A call is taken; those that come back are to be abandoned for it. A caller that calls again before it was
        answered has given up on the call before."""
        established = self.established
        replaced = [s for s in (self.accepted, established) if s is not None]
        if established is self.dialed:
            self.dialed = None
        self.accepted = session
        return list(dict.fromkeys(replaced))

    # --- what sessions report ---

    def opened(self, session: Session, peer: PeerOpen) -> Session | None:
        """An OPEN came: which of the two connections loses, if there are two (RFC 4271 6.8, RFC 6286)."""
        other = self.accepted if session is self.dialed else self.dialed
        if other is None or other.state not in (State.OPEN_CONFIRM, State.ESTABLISHED):
            return None
        if other.state is State.ESTABLISHED:
            return session
        ours_wins = self._identity > (int(peer.router_id), peer.asn)
        return self.accepted if ours_wins else self.dialed

    def came_up(self, now: float) -> None:
        """A session is established."""
        self._up_since = now

    def ended(self, session: Session, ended: Ended, now: float) -> None:
        """A connection is over."""
        if session is self.dialed:
            self.dialed = None
        elif session is self.accepted:
            self.accepted = None
        else:
            return
        if ended.was_established:
            if self._up_since is not None and now - self._up_since >= STABLE:
                self._failures = self._faults = 0
            self._up_since = None
        if ended.cause is Cause.COLLISION:
            return
        if ended.cause is Cause.NOTIFICATION_SENT:
            self.hold_off(now)
        if self._connect is not Connect.PASSIVE and self.dialed is None:
            wait = _back_off(RETRY_FIRST, RETRY_LAST, self._failures) * self._jitter()
            self._retry_at = max(now + wait, self._held_off_until)
            self._failures += 1

    def hold_off(self, now: float) -> None:
        """Take no call for a while, the longer the oftener: the peer's session had to be ended."""
        self._held_off_until = now + _back_off(HOLD_OFF_FIRST, HOLD_OFF_LAST, self._faults) * self._jitter()
        self._faults += 1


def _back_off(first: float, last: float, times: int) -> float:
    return float(min(last, first * 2 ** min(times, 16)))
