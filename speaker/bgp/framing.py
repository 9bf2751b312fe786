"""Where do messages begin and end in the byte stream, and what are the fields of an UPDATE?

A node announces one prefix per UPDATE (MetalLB does so always), and all its prefixes share a handful of
attribute sets. So consecutive UPDATEs that are equal up to their NLRI come out as one `Update`, found by
comparing bytes: nothing in them is decoded twice. It knows nothing of sessions or states.
RFC 4271 4.1 and 6.1; RFC 8654 for the size.
"""

from collections.abc import Iterator
from typing import NamedTuple

from speaker.bgp.errors import ProtocolError
from speaker.bgp.iana import ErrorCode, HeaderSubcode, MessageType, UpdateSubcode
from speaker.bgp.opening import EXTENDED_SIZE

HEADER_SIZE = 19
MARKER = b"\xff" * 16

#: The least and most octets of each message (RFC 4271 4, RFC 2918). Onepeer takes UPDATEs up to the extended
#: size from anyone: MetalLB's native speaker withdraws in messages above 4096 octets without having agreed to.
SIZES = {
    MessageType.OPEN: (29, 4096),
    MessageType.UPDATE: (23, EXTENDED_SIZE),
    MessageType.NOTIFICATION: (21, EXTENDED_SIZE),
    MessageType.KEEPALIVE: (19, 19),
    MessageType.ROUTE_REFRESH: (23, EXTENDED_SIZE),
}


_KNOWN = {int(kind): (kind, *sizes) for kind, sizes in SIZES.items()}


class Message(NamedTuple):
    """One message other than an UPDATE: its type and its body without the header."""

    kind: MessageType
    body: bytes


class Update(NamedTuple):
    """One UPDATE, or a run of them with the same attributes.

    withdrawn   the Withdrawn Routes field; empty in a run
    attributes  the Path Attributes field
    announced   the NLRI field of each message of the run; empty where the message has none
    """

    withdrawn: bytes
    attributes: bytes
    announced: list[bytes]


class Framer:
    """Turns what TCP delivers, in whatever pieces, into messages."""

    def __init__(self, rest: bytes = b"") -> None:
        self.rest = rest  # what has come of a message that is not complete yet

    def feed(self, data: bytes) -> Iterator[Message | Update]:
        """The messages that are complete now.

        Raises ProtocolError (1/1, 1/2, 1/3, 3/1) where the stream cannot be followed any further; what came
        whole before the fault has been yielded by then.
        """
        if self.rest:
            data = self.rest + data
            self.rest = b""
        at, end = 0, len(data)
        while end - at >= HEADER_SIZE:
            size = data[at + 16] << 8 | data[at + 17]
            kind = _checked(data, at, size)
            if at + size > end:
                break
            if kind is not MessageType.UPDATE:
                yield Message(kind, data[at + HEADER_SIZE : at + size])
                at += size
                continue
            update, count = _update(data, at, size, end)
            yield update
            at += count * size
        self.rest = data[at:]


def _checked(data: bytes, at: int, size: int) -> MessageType:
    if not data.startswith(MARKER, at):
        raise _header_error(HeaderSubcode.CONNECTION_NOT_SYNCHRONIZED, "the marker is not all ones", b"")
    number = data[at + 18]
    if number not in _KNOWN:
        raise _header_error(HeaderSubcode.BAD_MESSAGE_TYPE, f"message type {number}", bytes((number,)))
    kind, least, most = _KNOWN[number]
    if not least <= size <= most:
        raise _header_error(HeaderSubcode.BAD_MESSAGE_LENGTH, f"{kind.name} of {size} octets", size.to_bytes(2, "big"))
    return kind


def _update(data: bytes, at: int, size: int, end: int) -> tuple[Update, int]:
    """The UPDATE at `at` with those after it that differ in their NLRI alone, and how many they are."""
    after = at + size
    attributes_at = at + 23 + (data[at + 19] << 8 | data[at + 20])
    if attributes_at > after:
        raise _malformed("the withdrawn routes are longer than the message")
    nlri_at = attributes_at + (data[attributes_at - 2] << 8 | data[attributes_at - 1])
    if nlri_at > after:
        raise _malformed("the path attributes are longer than the message")
    withdrawn = data[at + 21 : attributes_at - 2]
    attributes = data[attributes_at:nlri_at]
    if nlri_at == after:
        return Update(withdrawn, attributes, []), 1
    announced = [data[nlri_at:after]]
    if not withdrawn:
        _follow(data, data[at:nlri_at], size, after, end, announced)
    return Update(withdrawn, attributes, announced), len(announced)


def _follow(data: bytes, head: bytes, size: int, at: int, end: int, announced: list[bytes]) -> None:
    """Appends the NLRI fields of the messages from `at` on that begin with `head` and so have the same size.

    A block of messages is cut as if all were alike, put together again and compared as a whole, which
    takes a third of the time that a look at each does. Blocks double while they fit and halve when one does
    not, so that the work stays in proportion to what is found, whatever a peer sends.
    """
    offset = len(head)
    block = 1
    while block and data.startswith(head, at):
        block = min(block, (end - at) // size)
        after = at + block * size
        fields = [data[i : i + size - offset] for i in range(at + offset, after, size)]
        if fields and head + head.join(fields) == data[at:after]:
            announced += fields
            at = after
            block *= 2
        else:
            block //= 2


def _header_error(subcode: HeaderSubcode, text: str, data: bytes) -> ProtocolError:
    return ProtocolError(ErrorCode.MESSAGE_HEADER, subcode, text, data)


def _malformed(text: str) -> ProtocolError:
    return ProtocolError(ErrorCode.UPDATE_MESSAGE, UpdateSubcode.MALFORMED_ATTRIBUTE_LIST, text)
