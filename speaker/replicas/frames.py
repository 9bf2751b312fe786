"""How do two replicas know each other, and how are their messages told apart and believed?

Both send a greeting with a number of their own, and then prove with it that they have the key (HMAC-SHA256 over both
numbers, one side's proof never being the other's). From these numbers come a key for each direction. Each frame is
its length, its kind, its body and a MAC over all of it and the count of the frames before: one that was changed, left
out, said twice or comes from elsewhere ends the connection. Nothing is hidden: what is in it is on the wire to the
router anyway. Pure.
"""

import hashlib
import hmac
import struct
from collections.abc import Iterator
from typing import Final

VERSION: Final = 1
"""Replicas of different versions do not understand each other, and say so by not getting past the greeting."""

NONCE: Final = 32
PROOF: Final = 32
MAC: Final = 16
LARGEST: Final = 16 * 1024 * 1024
"""Octets of one body. The largest is a router's socket in the midst of a full send queue."""

GREETING: Final = b"onepeer replica" + bytes((VERSION,))
HELLO_SIZE: Final = len(GREETING) + NONCE

_HEAD = struct.Struct("!IB")


class ChannelError(Exception):
    """What came is not from a replica with our key and our version, or was tampered with."""


class Handshake:
    """The greeting of one side. `caller` is the side that dialed; `nonce` are 32 octets of chance."""

    def __init__(self, key: bytes, nonce: bytes, *, caller: bool) -> None:
        self._key, self._nonce, self._caller = key, nonce, caller
        self._both = b""

    def hello(self) -> bytes:
        """The first octets to send."""
        return GREETING + self._nonce

    def proof(self, hello: bytes) -> bytes:
        """What to send after the other's hello. Raises ChannelError where that is not one."""
        if not hello.startswith(GREETING[:-1]):
            raise ChannelError("it does not speak as a replica of Onepeer does")
        if not hello.startswith(GREETING):
            said = hello[len(GREETING) - 1]
            raise ChannelError(f"it speaks version {said} of the channel between replicas, and we speak {VERSION}")
        theirs = hello[len(GREETING) :]
        if theirs == self._nonce:
            raise ChannelError("it said what we had said")
        self._both = self._nonce + theirs if self._caller else theirs + self._nonce
        return self._mac(b"caller" if self._caller else b"called")

    def check(self, proof: bytes) -> tuple["Sealer", "Opener"]:
        """What frames are written and read with, once the other's proof is good. Raises ChannelError."""
        theirs = b"called" if self._caller else b"caller"
        if not hmac.compare_digest(proof, self._mac(theirs)):
            raise ChannelError("it has another key: the Secret was replaced while one of us ran, or it is a stranger")
        sends, reads = self._mac(b"from caller"), self._mac(b"from called")
        return (Sealer(sends), Opener(reads)) if self._caller else (Sealer(reads), Opener(sends))

    def _mac(self, what: bytes) -> bytes:
        return hmac.digest(self._key, what + b"\0" + self._both, "sha256")


class Sealer:
    """Makes frames of one direction."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._count = 0

    def seal(self, kind: int, body: bytes) -> bytes:
        """One frame."""
        head = _HEAD.pack(len(body), kind)
        frame = b"".join((head, body, _mac(self._key, self._count, head, body)))
        self._count += 1
        return frame


class Opener:
    """Reads frames of one direction, in whatever pieces they come."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._count = 0
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The (kind, body) of each frame that is complete now. Raises ChannelError."""
        data = self._rest + data
        at, end = 0, len(data)
        while end - at >= _HEAD.size:
            size, kind = _HEAD.unpack_from(data, at)
            if size > LARGEST:
                raise ChannelError(f"a frame of {size} octets")
            body_at = at + _HEAD.size
            after = body_at + size + MAC
            if after > end:
                break
            body = data[body_at : body_at + size]
            wanted = _mac(self._key, self._count, data[at:body_at], body)
            if not hmac.compare_digest(data[after - MAC : after], wanted):
                raise ChannelError("a frame that was changed on its way, or not said by a replica")
            self._count += 1
            yield kind, body
            at = after
        self._rest = data[at:]


def _mac(key: bytes, count: int, head: bytes, body: bytes) -> bytes:
    mac = hashlib.blake2b(count.to_bytes(8, "big") + head, key=key, digest_size=MAC)
    mac.update(body)
    return mac.digest()
