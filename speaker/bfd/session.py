"""What does one BFD session say next, and what has become of it? Asynchronous mode of RFC 5880 6.8, the time given.

- Passive (6.1): a session begins with a packet of the node's, and without one for a detection time nothing is said.
- A node is heard fast and spoken to slowly. How soon it counts as gone is its multiplier times the interval that both
  agree on; how soon we count as gone for it is MULTIPLIER times INTERVAL, which is longer than any pause of ours.
  Since these never change, Onepeer asks for no Poll Sequence; it answers those of the node.
- Silence is the caller's to judge (`silent`, `expire`): it alone knows whether it was listening.
- Demand mode and echo are not offered; a node in Demand mode is not sent what it does not want (6.8.7).
"""

from speaker.bfd.packet import Control, Diagnostic, State, pack

#: Seconds between two of our packets: the least that RFC 5880 6.8.3 allows before Up, and kept then.
INTERVAL = 1.0

#: So many of them missing, and a node takes us for gone. FRR then ends its BGP session, too.
MULTIPLIER = 10

_NEXT = {
    (State.DOWN, State.DOWN): State.INIT,
    (State.DOWN, State.INIT): State.UP,
    (State.INIT, State.ADMIN_DOWN): State.DOWN,
    (State.INIT, State.INIT): State.UP,
    (State.INIT, State.UP): State.UP,
    (State.UP, State.ADMIN_DOWN): State.DOWN,
    (State.UP, State.DOWN): State.DOWN,
}
"""Our state and the received one make our next (RFC 5880 6.8.6). What is missing changes nothing."""


class Session:
    """One session, from Down. `mine` is our discriminator; `receive` our Required Min RX Interval, in seconds."""

    def __init__(self, mine: int, receive: float, now: float) -> None:
        self.mine = mine
        self.state = State.DOWN
        self.diagnostic = Diagnostic.NO_DIAGNOSTIC
        self.gone = False
        """Whether it was Up, and nothing has been heard since it fell silent."""
        self.heard_at = now
        self.wake_at = now
        """When there is something to do at the earliest: to send, or to see that nothing was heard."""
        self.interval = INTERVAL
        """Seconds between two packets of the node, at most."""
        self._receive = receive
        self._multiplier = 1
        self._yours = 0
        self._remote_state = State.DOWN
        self._remote_receive = INTERVAL
        self._remote_demand = False
        self._final = False
        self._send_at = now

    @property
    def detection_time(self) -> float:
        """Seconds of silence after which the node counts as gone (6.8.4)."""
        return self._multiplier * self.interval

    def hear(self, control: Control, now: float) -> bool:
        """A packet of the node's; whether it was for this session.

        One for a session before this, of an Onepeer that crashed, is left aside as 6.8.6 asks. But its sender is told
        that we are Down: else it would find out later, and end the BGP session that it has made meanwhile.
        """
        if control.yours not in (0, self.mine):
            if self.state is State.DOWN:
                self._yours = control.mine
                self.wake_at = min(self.wake_at, self._send_at)
            return False
        self.heard_at, self.gone = now, False
        self._yours, self._remote_state = control.mine, control.state
        self._remote_demand = control.demand
        self._remote_receive = control.receive / 1e6
        self._multiplier = control.multiplier
        self.interval = max(self._receive, control.transmit / 1e6)
        self._final = self._final or control.poll
        self._send_at = min(self._send_at, now + self._pause)
        self._become(_NEXT.get((self.state, control.state), self.state), Diagnostic.NEIGHBOR_SIGNALED_SESSION_DOWN, now)
        self.wake_at = now if self._final else min(self.wake_at, self._send_at)
        return True

    def silent(self, now: float) -> bool:
        """Whether nothing was heard for the detection time."""
        return now - self.heard_at >= self.detection_time

    def expire(self, now: float) -> None:
        """The detection time is over (6.8.4); whoever is there now may be another (6.8.1, bfd.RemoteDiscr)."""
        self._yours = 0
        self.gone = self.gone or self.state is State.UP
        if self.state in (State.INIT, State.UP):
            self._become(State.DOWN, Diagnostic.CONTROL_DETECTION_TIME_EXPIRED, now)

    def close(self) -> bytes | None:
        """The last packet: we are taken down on purpose. None where the node knows of no session."""
        self.state, self.diagnostic, self._final = State.ADMIN_DOWN, Diagnostic.ADMINISTRATIVELY_DOWN, False
        return pack(self._control()) if self._yours else None

    def send(self, now: float, chance: float) -> bytes | None:
        """What is to be sent now. `chance`, 0..1, makes the next pause up to a quarter shorter (6.8.7)."""
        octets = None
        if self._final or (now >= self._send_at and self._wanted()):
            octets = pack(self._control())
        if now >= self._send_at:
            self._send_at = now + self._pause * (1 - chance / 4)
        self._final = False
        self.wake_at = self._send_at
        if self.state in (State.INIT, State.UP):
            self.wake_at = min(self._send_at, max(self.heard_at + self.detection_time, now))
        return octets

    # --- inside ---

    def _wanted(self) -> bool:
        """Whether the node is to be sent periodic packets (6.8.7)."""
        both_up = self.state is self._remote_state is State.UP
        return self._yours != 0 and self._remote_receive != 0 and not (self._remote_demand and both_up)

    @property
    def _pause(self) -> float:
        return max(INTERVAL, self._remote_receive)

    def _become(self, state: State, down_because: Diagnostic, now: float) -> None:
        if state is self.state:
            return
        self.diagnostic = down_because if state is State.DOWN else Diagnostic.NO_DIAGNOSTIC
        self.state = state
        self._send_at = now

    def _control(self) -> Control:
        return Control(
            state=self.state,
            mine=self.mine,
            yours=self._yours,
            multiplier=MULTIPLIER,
            transmit=round(INTERVAL * 1e6),
            receive=round(self._receive * 1e6),
            diagnostic=self.diagnostic,
            final=self._final,
        )
