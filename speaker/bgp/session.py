"""What does one BGP connection do next? The state machine of RFC 4271 8, without I/O and without a clock.

Theory of operation. A `Session` lives as long as one TCP connection, dialed or accepted, and never comes back
from Idle: when to dial again and which of two connections to keep is the question of peer.py. Its owner
reports what happens (`connected`, `receive`, `disconnected`, `stop`, `tick`), each with `now` in seconds of any
monotonic clock, and carries out the events that come back in order. `deadline` says when to call `tick`.

Every transition stands in `TABLE`. A pair that is not there is an answer too: a message that the state does not
expect is the FSM error of RFC 6608 for that state, and anything else is left aside.

Where this parts from RFC 4271: DelayOpen is not offered; a failed connection ends in Idle where the RFC goes to
Active, since the next attempt is another Session; the KeepaliveTimer is not restarted by an UPDATE of ours.
"""

from collections.abc import Callable
from enum import Enum, auto

from speaker.bgp import codec
from speaker.bgp.errors import ProtocolError
from speaker.bgp.events import (
    Cause,
    Dial,
    Disconnect,
    Ended,
    Established,
    Event,
    Ignored,
    Opened,
    RefreshRequested,
    Transmit,
)
from speaker.bgp.framing import HEADER_SIZE, Framer, Message, Update
from speaker.bgp.iana import (
    CeaseSubcode,
    ErrorCode,
    FsmSubcode,
    MessageType,
    OpenSubcode,
    RefreshSubtype,
    family_of,
)
from speaker.bgp.opening import STANDARD_SIZE, Negotiated, Notification, Offer
from speaker.bgp.routes import RouteReader

#: Seconds for TCP to come up, below Linux's own 130 so that a black-holed address is retried in time.
CONNECT_TIME = 10.0

#: Seconds to wait for an OPEN: RFC 4271 8.2.2 suggests 4 minutes for this "large value".
OPEN_HOLD_TIME = 240.0

_REFRESH_BODY = 4
_REFRESH_INVALID_LENGTH = 1
_NOTIFICATION_DATA = STANDARD_SIZE - HEADER_SIZE - 2


class State(Enum):
    """RFC 4271 8.2.2."""

    __hash__ = object.__hash__  # in C; Enum's own is Python code, and TABLE is asked for each message

    IDLE = "Idle"
    CONNECT = "Connect"
    ACTIVE = "Active"
    OPEN_SENT = "OpenSent"
    OPEN_CONFIRM = "OpenConfirm"
    ESTABLISHED = "Established"


class Input(Enum):
    """RFC 4271 8.1, with its event numbers."""

    __hash__ = object.__hash__

    DIAL = 1
    ACCEPT = 4
    STOP = 2
    CONNECT_TIMER = 9
    HOLD_TIMER = 10
    KEEPALIVE_TIMER = 11
    TCP_UP = 17
    TCP_DOWN = 18
    OPEN = 19
    FAULT = 21
    NOTIFICATION = 25
    KEEPALIVE = 26
    UPDATE = 27
    ROUTE_REFRESH = auto()  # RFC 2918


class Action(Enum):
    """What a transition does."""

    DIAL = auto()
    WAIT = auto()
    SEND_OPEN = auto()
    CONFIRM = auto()
    ESTABLISH = auto()
    HEAR = auto()
    SEND_KEEPALIVE = auto()
    TAKE_ROUTES = auto()
    REFRESH = auto()
    GIVE_UP = auto()
    LOSE = auto()
    CEASE = auto()
    COMPLAIN = auto()
    EXPIRE = auto()
    LISTEN = auto()


_S, _I, _A = State, Input, Action

TABLE: dict[tuple[State, Input], tuple[Action, State]] = {
    (_S.IDLE, _I.DIAL): (_A.DIAL, _S.CONNECT),
    (_S.IDLE, _I.ACCEPT): (_A.WAIT, _S.ACTIVE),
    #
    (_S.CONNECT, _I.TCP_UP): (_A.SEND_OPEN, _S.OPEN_SENT),
    (_S.CONNECT, _I.TCP_DOWN): (_A.LOSE, _S.IDLE),
    (_S.CONNECT, _I.CONNECT_TIMER): (_A.GIVE_UP, _S.IDLE),
    (_S.CONNECT, _I.STOP): (_A.GIVE_UP, _S.IDLE),
    #
    (_S.ACTIVE, _I.TCP_UP): (_A.SEND_OPEN, _S.OPEN_SENT),
    (_S.ACTIVE, _I.TCP_DOWN): (_A.LOSE, _S.IDLE),
    (_S.ACTIVE, _I.STOP): (_A.GIVE_UP, _S.IDLE),
    #
    (_S.OPEN_SENT, _I.OPEN): (_A.CONFIRM, _S.OPEN_CONFIRM),
    (_S.OPEN_SENT, _I.NOTIFICATION): (_A.LISTEN, _S.IDLE),
    (_S.OPEN_SENT, _I.TCP_DOWN): (_A.LOSE, _S.IDLE),
    (_S.OPEN_SENT, _I.HOLD_TIMER): (_A.EXPIRE, _S.IDLE),
    (_S.OPEN_SENT, _I.FAULT): (_A.COMPLAIN, _S.IDLE),
    (_S.OPEN_SENT, _I.STOP): (_A.CEASE, _S.IDLE),
    #
    (_S.OPEN_CONFIRM, _I.KEEPALIVE): (_A.ESTABLISH, _S.ESTABLISHED),
    (_S.OPEN_CONFIRM, _I.KEEPALIVE_TIMER): (_A.SEND_KEEPALIVE, _S.OPEN_CONFIRM),
    (_S.OPEN_CONFIRM, _I.NOTIFICATION): (_A.LISTEN, _S.IDLE),
    (_S.OPEN_CONFIRM, _I.TCP_DOWN): (_A.LOSE, _S.IDLE),
    (_S.OPEN_CONFIRM, _I.HOLD_TIMER): (_A.EXPIRE, _S.IDLE),
    (_S.OPEN_CONFIRM, _I.FAULT): (_A.COMPLAIN, _S.IDLE),
    (_S.OPEN_CONFIRM, _I.STOP): (_A.CEASE, _S.IDLE),
    #
    (_S.ESTABLISHED, _I.UPDATE): (_A.TAKE_ROUTES, _S.ESTABLISHED),
    (_S.ESTABLISHED, _I.KEEPALIVE): (_A.HEAR, _S.ESTABLISHED),
    (_S.ESTABLISHED, _I.ROUTE_REFRESH): (_A.REFRESH, _S.ESTABLISHED),
    (_S.ESTABLISHED, _I.KEEPALIVE_TIMER): (_A.SEND_KEEPALIVE, _S.ESTABLISHED),
    (_S.ESTABLISHED, _I.NOTIFICATION): (_A.LISTEN, _S.IDLE),
    (_S.ESTABLISHED, _I.TCP_DOWN): (_A.LOSE, _S.IDLE),
    (_S.ESTABLISHED, _I.HOLD_TIMER): (_A.EXPIRE, _S.IDLE),
    (_S.ESTABLISHED, _I.FAULT): (_A.COMPLAIN, _S.IDLE),
    (_S.ESTABLISHED, _I.STOP): (_A.CEASE, _S.IDLE),
}

_MESSAGE_INPUT = {
    MessageType.OPEN: Input.OPEN,
    MessageType.NOTIFICATION: Input.NOTIFICATION,
    MessageType.KEEPALIVE: Input.KEEPALIVE,
    MessageType.ROUTE_REFRESH: Input.ROUTE_REFRESH,
}

_FSM_ERROR = {
    State.OPEN_SENT: FsmSubcode.OPEN_SENT,
    State.OPEN_CONFIRM: FsmSubcode.OPEN_CONFIRM,
    State.ESTABLISHED: FsmSubcode.ESTABLISHED,
}


class Session:
    """The machine of one connection.

    offer       what our OPEN says
    peer_asn    the AS number that the peer's OPEN must have
    jitter      gives a factor from 0.75 to 1.0 for timers (RFC 4271 10)
    """

    def __init__(self, offer: Offer, peer_asn: int, jitter: Callable[[], float]) -> None:
        self.offer = offer
        self.peer_asn = peer_asn
        self.state = State.IDLE
        self.negotiated: Negotiated | None = None
        self.updates = 0  # UPDATE messages taken
        self.heard_open = b""  # the body of the peer's OPEN
        self._jitter = jitter
        self._framer = Framer()
        self._reader: RouteReader | None = None
        self._timers: dict[Input, float] = {}
        self._events: list[Event] = []

    # --- what the owner reports ---

    def dial(self, now: float) -> list[Event]:
        """We open the connection."""
        return self._handle(Input.DIAL, now)

    def accept(self, now: float) -> list[Event]:
        """The peer has opened the connection."""
        return self._handle(Input.ACCEPT, now) + self._handle(Input.TCP_UP, now)

    def connected(self, now: float) -> list[Event]:
        """The connection that we dialed is up."""
        return self._handle(Input.TCP_UP, now)

    def resume(self, now: float, heard_open: bytes, rest: bytes = b"") -> Established:
        """Go on with a session that another process had established with `offer` and the peer's OPEN.

        `rest` is what has come of a message that is not complete yet. Raises ProtocolError where the OPENs do not fit.
        """
        self._begin(codec.negotiate(self.offer, heard_open), heard_open, now)
        self._framer = Framer(rest)
        self.state = State.ESTABLISHED
        assert self.negotiated is not None
        return Established(self.negotiated)

    @property
    def rest(self) -> bytes:
        """What has come of a message that is not complete yet."""
        return self._framer.rest

    def disconnected(self, now: float, why: str) -> list[Event]:
        """TCP has ended, or never came up; `why` is the system's word for it."""
        return self._handle(Input.TCP_DOWN, now, why)

    def stop(self, now: float, subcode: CeaseSubcode, text: str = "") -> list[Event]:
        """End the session with a Cease (RFC 4486), where an OPEN has gone out to be ceased."""
        message = codec.notification(ErrorCode.CEASE, subcode, text)
        if subcode is CeaseSubcode.PEER_DECONFIGURED and self._keeps_over_notification():
            message = codec.hard_reset(message)
        return self._handle(Input.STOP, now, message)

    def probe(self) -> list[Event]:
        """A KEEPALIVE out of turn, to learn from TCP whether the other end still knows of an established session."""
        if self.state is State.ESTABLISHED:
            self._events.append(Transmit(codec.KEEPALIVE))
        return self._take()

    def abandon(self, text: str = "closed for a graceful restart") -> list[Event]:
        """End the session by closing TCP without a NOTIFICATION: a peer that helps with graceful restart
        then keeps our routes (RFC 4724 4.2)."""
        self._events = []
        if self.state is not State.IDLE:
            established = self.state is State.ESTABLISHED
            self._end(Ended(Cause.STOPPED, established, text=text))
            self.state = State.IDLE
        return self._take()

    def receive(self, data: bytes, now: float) -> list[Event]:
        """These octets came; `data` may end anywhere in a message."""
        try:
            for item in self._framer.feed(data):
                if isinstance(item, Update):
                    self._step(Input.UPDATE, now, item)
                else:
                    self._step(_MESSAGE_INPUT[item.kind], now, item)
                if self.state is State.IDLE:
                    break
        except ProtocolError as fault:
            self._step(Input.FAULT, now, fault)
        return self._take()

    def tick(self, now: float) -> list[Event]:
        """Carries out the timers that are due."""
        for timer, at in sorted(self._timers.items(), key=lambda item: item[1]):
            if at <= now and self.state is not State.IDLE:
                self._step(timer, now)
        return self._take()

    def deadline(self) -> float | None:
        """When `tick` wants to be called, or None."""
        return min(self._timers.values(), default=None)

    def _keeps_over_notification(self) -> bool:
        """Whether the peer would keep our routes over a NOTIFICATION (RFC 8538 2)."""
        ours, agreed = self.offer.graceful_restart, self.negotiated
        theirs = agreed.graceful if agreed is not None else None
        return ours is not None and theirs is not None and ours.notification and theirs.notification

    # --- the machine ---

    def _handle(self, event: Input, now: float, argument: object = None) -> list[Event]:
        self._step(event, now, argument)
        return self._take()

    def _step(self, event: Input, now: float, argument: object = None) -> None:
        found = TABLE.get((self.state, event))
        if found is None:
            if isinstance(argument, Message | Update):
                self._unexpected(event, now)
            return
        action, after = found
        try:
            _ACTIONS[action](self, now, argument)
        except ProtocolError as fault:
            action, after = TABLE[self.state, Input.FAULT]
            _ACTIONS[action](self, now, fault)
        self.state = after

    def _unexpected(self, event: Input, now: float) -> None:
        if self.state in _FSM_ERROR:
            text = f"{event.name} in {self.state.value}"
            self._step(Input.FAULT, now, ProtocolError(ErrorCode.FINITE_STATE_MACHINE, _FSM_ERROR[self.state], text))

    def _take(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _end(self, ended: Ended) -> None:
        self._timers.clear()
        self._events += (Disconnect(), ended)

    def _end_with(self, message: Notification, cause: Cause, text: str = "") -> None:
        self._events.append(Transmit(codec.encode_notification(message)))
        self._end(Ended(cause, self.state is State.ESTABLISHED, message, text))

    # --- actions, in the order of Action ---

    def _dial(self, now: float, _: object) -> None:
        self._timers[Input.CONNECT_TIMER] = now + CONNECT_TIME
        self._events.append(Dial())

    def _wait(self, now: float, _: object) -> None:
        pass

    def _send_open(self, now: float, _: object) -> None:
        self._timers = {Input.HOLD_TIMER: now + OPEN_HOLD_TIME}
        self._events.append(Transmit(codec.encode_open(self.offer)))

    def _confirm(self, now: float, message: object) -> None:
        assert isinstance(message, Message)
        negotiated = codec.negotiate(self.offer, message.body)
        self._accept_open(negotiated)
        self._begin(negotiated, message.body, now)
        self._events += (Opened(negotiated.peer), Transmit(codec.KEEPALIVE))

    def _begin(self, negotiated: Negotiated, heard_open: bytes, now: float) -> None:
        self.negotiated, self.heard_open = negotiated, heard_open
        self._reader = RouteReader(negotiated)
        self._timers.clear()
        self._arm_keepalive(now)
        self._arm_hold(now)

    def _accept_open(self, negotiated: Negotiated) -> None:
        peer = negotiated.peer
        fault: tuple[OpenSubcode, str] | None = None
        if peer.asn != self.peer_asn:
            fault = OpenSubcode.BAD_PEER_AS, f"AS {peer.asn} where AS {self.peer_asn} is configured"
        elif int(peer.router_id) == 0:
            fault = OpenSubcode.BAD_BGP_IDENTIFIER, "BGP identifier 0.0.0.0"
        elif negotiated.ibgp and peer.router_id == self.offer.router_id:
            # RFC 6286: unique within an AS, not beyond.
            fault = OpenSubcode.BAD_BGP_IDENTIFIER, f"BGP identifier {peer.router_id} is our own"
        elif peer.hold_time in (1, 2):
            fault = OpenSubcode.UNACCEPTABLE_HOLD_TIME, f"hold time {peer.hold_time} s"
        if fault is not None:
            raise ProtocolError(ErrorCode.OPEN_MESSAGE, *fault)
        if not negotiated.families:
            # RFC 5492 5: with the capabilities that are missing.
            missing = codec.encode_families(self.offer.families)
            text = "no address family in common"
            raise ProtocolError(ErrorCode.OPEN_MESSAGE, OpenSubcode.UNSUPPORTED_CAPABILITY, text, missing)

    def _establish(self, now: float, _: object) -> None:
        assert self.negotiated is not None
        self._arm_hold(now)
        self._events.append(Established(self.negotiated))

    def _hear(self, now: float, _: object) -> None:
        self._arm_hold(now)

    def _send_keepalive(self, now: float, _: object) -> None:
        self._events.append(Transmit(codec.KEEPALIVE))
        self._arm_keepalive(now)

    def _take_routes(self, now: float, update: object) -> None:
        assert isinstance(update, Update)
        assert self._reader is not None
        self._arm_hold(now)
        self.updates += max(1, len(update.announced))
        self._reader.read(update, self._events)

    def _refresh(self, now: float, message: object) -> None:
        assert isinstance(message, Message)
        assert self.negotiated is not None
        self._arm_hold(now)
        body = message.body
        # Without RFC 7313 this octet is reserved and says nothing (RFC 2918 3).
        subtype = body[2] if self.negotiated.enhanced_refresh else RefreshSubtype.REQUEST
        if len(body) != _REFRESH_BODY:
            text = f"ROUTE-REFRESH of {len(body)} octets"
            if subtype in (RefreshSubtype.BEGIN_OF_RIB, RefreshSubtype.END_OF_RIB):
                # RFC 7313 5: with the whole message as data, as far as a NOTIFICATION has room for it.
                whole = codec.header(MessageType.ROUTE_REFRESH, len(body)) + body
                data = whole[:_NOTIFICATION_DATA]
                raise ProtocolError(ErrorCode.ROUTE_REFRESH_MESSAGE, _REFRESH_INVALID_LENGTH, text, data)
            self._events.append(Ignored(text))
            return
        family = family_of(int.from_bytes(body[:2], "big"), body[3])
        if family not in self.negotiated.families or subtype != RefreshSubtype.REQUEST:
            self._events.append(Ignored(f"ROUTE-REFRESH subtype {subtype} for {family}"))
        elif self.negotiated.route_refresh and family is not None:
            self._events.append(RefreshRequested(family))

    def _give_up(self, now: float, argument: object) -> None:
        text = "stopped" if isinstance(argument, Notification) else f"no answer in {CONNECT_TIME:.0f} s"
        cause = Cause.STOPPED if isinstance(argument, Notification) else Cause.CONNECTION_FAILED
        self._end(Ended(cause, False, text=text))

    def _lose(self, now: float, why: object) -> None:
        up = self.state not in (State.CONNECT, State.ACTIVE)
        cause = Cause.CONNECTION_LOST if up else Cause.CONNECTION_FAILED
        self._end(Ended(cause, self.state is State.ESTABLISHED, text=str(why)))

    def _cease(self, now: float, message: object) -> None:
        assert isinstance(message, Notification)
        collision = message.subcode == CeaseSubcode.CONNECTION_COLLISION_RESOLUTION
        self._end_with(message, Cause.COLLISION if collision else Cause.STOPPED)

    def _complain(self, now: float, fault: object) -> None:
        assert isinstance(fault, ProtocolError)
        message = codec.notification(fault.code, fault.subcode, data=fault.data)
        self._end_with(message, Cause.NOTIFICATION_SENT, fault.text)

    def _expire(self, now: float, _: object) -> None:
        seconds = self.negotiated.hold_time if self.negotiated else OPEN_HOLD_TIME
        message = codec.notification(ErrorCode.HOLD_TIMER_EXPIRED, 0)
        self._end_with(message, Cause.HOLD_TIMER, f"nothing heard for {seconds:.0f} s")

    def _listen(self, now: float, message: object) -> None:
        assert isinstance(message, Message)
        heard = codec.decode_notification(message.body)
        self._end(Ended(Cause.NOTIFICATION_RECEIVED, self.state is State.ESTABLISHED, heard))

    # --- timers ---

    def _arm_hold(self, now: float) -> None:
        assert self.negotiated is not None
        if self.negotiated.hold_time:
            self._timers[Input.HOLD_TIMER] = now + self.negotiated.hold_time

    def _arm_keepalive(self, now: float) -> None:
        assert self.negotiated is not None
        if self.negotiated.hold_time:
            self._timers[Input.KEEPALIVE_TIMER] = now + self.negotiated.hold_time / 3 * self._jitter()


_ACTIONS: dict[Action, Callable[[Session, float, object], None]] = {
    Action.DIAL: Session._dial,
    Action.WAIT: Session._wait,
    Action.SEND_OPEN: Session._send_open,
    Action.CONFIRM: Session._confirm,
    Action.ESTABLISH: Session._establish,
    Action.HEAR: Session._hear,
    Action.SEND_KEEPALIVE: Session._send_keepalive,
    Action.TAKE_ROUTES: Session._take_routes,
    Action.REFRESH: Session._refresh,
    Action.GIVE_UP: Session._give_up,
    Action.LOSE: Session._lose,
    Action.CEASE: Session._cease,
    Action.COMPLAIN: Session._complain,
    Action.EXPIRE: Session._expire,
    Action.LISTEN: Session._listen,
}
