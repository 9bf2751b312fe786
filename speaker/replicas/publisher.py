"""What does the one that leads tell the others of a router's sessions? All that they need to go on with them.

Every octet goes to the followers before it goes to TCP, as the same object: what the router has been sent they know.
A follower begins with a snapshot, made of the Adj-RIB-Outs as UPDATEs, so that there is one form for all.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from speaker.bgp import codec
from speaker.bgp.framing import HEADER_SIZE
from speaker.net import repair
from speaker.net.connection import Connection
from speaker.peers.router import RouterPeer
from speaker.replicas.channel import Link
from speaker.replicas.messages import Described, Kind, State

#: Octets of a snapshot in one frame.
PART = 1 << 20

_SEQUENCE = 1 << 32


@dataclass(slots=True)
class _Stream:
    """An established session. `sequence` is TCP's number of the next octet that is written."""

    lane: RouterPeer
    connection: Connection
    sequence: int
    tcp: dict[str, Any] | None
    acknowledged: int = -1


@dataclass(slots=True)
class Follower:
    """A replica that follows. `state` is what it said last, `heard` when, by the loop's clock."""

    replica: str
    link: Link
    state: State | None = None
    heard: float = 0.0


class Publisher:
    """peers.router.Witness for all lanes of a router. `trouble` is told why a session cannot be gone on with."""

    def __init__(self, trouble: Callable[[str], None]) -> None:
        self.followers: list[Follower] = []
        self._streams: dict[int, _Stream] = {}
        self._trouble = trouble

    def begins(self, lane: RouterPeer, connection: Connection) -> None:
        """See Witness."""
        sequence, tcp = 0, None
        try:
            with connection.duplicate() as sock:
                sequence, tcp = repair.peek(sock)
        except OSError as error:
            self._trouble(str(error))
        after = (sequence + connection.unwritten) % _SEQUENCE
        self._streams[lane.lane] = _Stream(lane, connection, after, tcp)
        connection.tap = lambda octets, number=lane.lane: self._written(number, octets)
        for follower in self.followers:
            self._describe(follower.link, lane.lane)

    def ends(self, lane: RouterPeer) -> None:
        """See Witness."""
        stream = self._streams.pop(lane.lane, None)
        if stream is not None:
            stream.connection.tap = None
            self._tell(Kind.CLOSED, bytes((lane.lane,)))

    def hand_over(self) -> None:
        """The sessions that there are go on elsewhere: their end here is none."""
        for stream in self._streams.values():
            stream.connection.tap = None
        self._streams.clear()

    def join(self, follower: Follower, lanes: Iterable[RouterPeer]) -> None:
        """From now on this one is told, and at first of all there is."""
        for lane in lanes:
            if lane.lane in self._streams:
                self._describe(follower.link, lane.lane)
            else:
                follower.link.send(Kind.CLOSED, bytes((lane.lane,)))
        self.followers.append(follower)

    def leave(self, follower: Follower) -> None:
        """It is gone."""
        self.followers.remove(follower)

    def beat(self) -> None:
        """A sign of life, with what the router has acknowledged since the last."""
        for number, stream in self._streams.items():
            sequence = (stream.sequence - stream.connection.outstanding) % _SEQUENCE
            if sequence != stream.acknowledged:
                stream.acknowledged = sequence
                self._tell(Kind.ACKED, bytes((number,)) + sequence.to_bytes(4, "big"))
        self._tell(Kind.BEAT, b"")

    def _written(self, number: int, octets: bytes) -> None:
        stream = self._streams[number]
        stream.sequence = (stream.sequence + len(octets)) % _SEQUENCE
        if self.followers:
            self._tell(Kind.STREAM, bytes((number,)) + octets)

    def _tell(self, kind: Kind, body: bytes) -> None:
        for follower in self.followers:
            follower.link.send(kind, body)

    def _describe(self, link: Link, number: int) -> None:
        stream = self._streams[number]
        head, session, connection = bytes((number,)), stream.connection.session, stream.connection
        assert connection.local is not None
        assert connection.remote is not None
        described = Described(
            *connection.local,
            *connection.remote,
            ours=codec.encode_open(session.offer)[HEADER_SIZE:],
            theirs=session.heard_open,
            sequence=stream.sequence,
            tcp=stream.tcp,
            ended=stream.lane.paths.end_of_rib_sent(number) and stream.lane.paths.idle(number),
        )
        link.send(Kind.SESSION, head + described.encode())
        for part in _parts(message for out in stream.lane.paths.outs(number).values() for message in out.replay()):
            link.send(Kind.HELD, head + part)


def _parts(messages: Iterator[bytes]) -> Iterator[bytes]:
    """Whole messages, joined to frames."""
    part: list[bytes] = []
    size = 0
    for message in messages:
        part.append(message)
        size += len(message)
        if size >= PART:
            yield b"".join(part)
            part, size = [], 0
    if part:
        yield b"".join(part)
