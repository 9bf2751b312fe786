"""What do replicas say to each other? Kinds of frames, and the fields of those that have some.

A follower says which router it follows (FOLLOW) and how it is (STATE), and asks for the router's sessions once it has
the Lease (ASK). The leader describes each established session (SESSION), what the router has of it by then (HELD) and
all that follows (STREAM), what the router has acknowledged (ACKED), and its end (CLOSED). FROZEN is a session at rest,
for the other to go on with; GIVEN ends these, and the address is free. OFFER: take the Lease, and then ask.

Each STATE says which nodes its replica knows as drained. Where the leader knows otherwise by then, it answers AGREED.
"""

import json
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, Self


class Kind(IntEnum):
    """The first octet of a frame's body is the lane, from 0, where it is about one."""

    FOLLOW = 1
    STATE = 2
    ASK = 3
    SESSION = 10
    HELD = 11
    STREAM = 12
    ACKED = 13
    CLOSED = 14
    BEAT = 15
    OFFER = 20
    FROZEN = 21
    GIVEN = 22
    KEPT = 23
    AGREED = 24


class Fields:
    """JSON, octets in hexadecimal."""

    def encode(self) -> bytes:
        """As it is sent."""
        assert isinstance(self, Follow | State | Agreed | Described | Frozen)
        said = {name: value.hex() if isinstance(value, bytes) else value for name, value in asdict(self).items()}
        return json.dumps(said).encode()

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """As it was sent. Raises ValueError, TypeError, KeyError where the other is of another version."""
        said: dict[str, Any] = json.loads(octets)
        annotations: dict[str, Any] = cls.__annotations__
        return cls(**{name: bytes.fromhex(v) if annotations[name] is bytes else v for name, v in said.items()})


@dataclass(frozen=True, slots=True)
class Follow(Fields):
    """Which router it is about, and who asks."""

    router: str
    replica: str


@dataclass(frozen=True, slots=True)
class State(Fields):
    """How a replica is.

    nodes       node sessions that it has
    reaches     whether it reaches the router on the link
    sessions    of how many of the leader's sessions it has a mirror
    drains      what it knows of drained nodes, as speaker.peers.orders has it
    """

    nodes: int
    reaches: bool
    sessions: int
    drains: dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Agreed(Fields):
    """What the leader knows of drained nodes, with what the follower has said."""

    drains: dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Described(Fields):
    """An established session of a router.

    local, local_port, remote, remote_port      its connection
    ours, theirs                                the bodies of both OPENs
    sequence                                    TCP's number of the next octet that is written
    tcp                                         TCP options, as speaker.net.repair has them; None where they are not
                                                to be had, and the session cannot be gone on with
    ended                                       the router was told End-of-RIB
    """

    local: str
    local_port: int
    remote: str
    remote_port: int
    ours: bytes
    theirs: bytes
    sequence: int
    tcp: dict[str, Any] | None
    ended: bool


@dataclass(frozen=True, slots=True)
class Frozen(Fields):
    """A session at rest: the numbers of its connection (speaker.net.repair), and `rest`, what has come of a message of
    the router that is not complete yet."""

    send: int
    receive: int
    window: int
    stamp: int | None
    rest: bytes
