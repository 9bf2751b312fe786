"""What has a router been sent, as a replica knows it that does not speak to the router itself?

A `Mirror` is one session of the leader's. It begins with what the router has by then, and from there on it gets every
octet before the router does. It keeps which paths these octets leave the router with, and the octets themselves as
far as the router may not have them yet: a leader that died in the midst of a message is gone on from at exactly the
octet that the router acknowledges next. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from speaker.bgp import nlri
from speaker.bgp.framing import Framer, Update
from speaker.bgp.iana import AttributeCode, AttributeFlag, Family, family_of

PATH_ID: Final = 4
_SEQUENCE: Final = 1 << 32

Held = dict[bytes, dict[bytes, bytes]]
"""Path identifier (empty without ADD-PATH) -> prefix -> next hop."""


class Beyond(Exception):
    """The router has acknowledged what we do not know of, or so long ago that we have forgotten it."""


@dataclass(slots=True)
class Mirror:
    """One session.

    add_path    families with path identifiers
    sequence    the TCP sequence number of the first octet of `_kept`, or of what comes next
    ended       families whose End-of-RIB the router has been sent
    """

    add_path: frozenset[Family]
    sequence: int
    held: dict[Family, Held] = field(default_factory=lambda: {family: {} for family in Family})
    ended: set[Family] = field(default_factory=set)
    _framer: Framer = field(default_factory=Framer)
    _kept: bytearray = field(default_factory=bytearray)
    _unread: list[bytes] = field(default_factory=list)

    def knows(self, messages: bytes) -> None:
        """The router has been sent what these UPDATEs say, before the stream began."""
        for item in Framer().feed(messages):
            self._take(item)

    def sends(self, octets: bytes) -> None:
        """The leader is about to send these. They are read when somebody asks."""
        self._kept += octets
        self._unread.append(octets)

    def acknowledged(self, sequence: int) -> None:
        """The router has all before this sequence number."""
        self.read()
        count = (sequence - self.sequence) % _SEQUENCE
        if count <= len(self._kept):
            del self._kept[:count]
            self.sequence = sequence % _SEQUENCE

    def read(self) -> None:
        """Takes up what has been sent. Whoever asks for `held` or `ended` has read before."""
        unread, self._unread = self._unread, []
        for item in self._framer.feed(b"".join(unread)):
            self._take(item)

    def missing(self, sequence: int) -> bytes:
        """The octets from a sequence number on, such as that of the first which the router lacks. Raises Beyond."""
        count = (sequence - self.sequence) % _SEQUENCE
        if count > len(self._kept):
            raise Beyond(f"octet {sequence} is wanted, and {len(self._kept)} from {self.sequence} on are known")
        return bytes(self._kept[count:])

    # --- messages ---

    def _take(self, item: object) -> None:
        if not isinstance(item, Update):
            return
        if not (item.withdrawn or item.attributes or item.announced):
            self.ended.add(Family.IPV4)
            return
        self._gone(Family.IPV4, item.withdrawn)
        next_hop = b""
        for code, value in _attributes(item.attributes):
            if code == AttributeCode.NEXT_HOP:
                next_hop = value
            elif code == AttributeCode.MP_REACH_NLRI:
                family = family_of(int.from_bytes(value[:2], "big"), value[2])
                size = value[3]
                if family is not None:
                    self._there(family, value[5 + size :], value[4 : 4 + size])
            elif code == AttributeCode.MP_UNREACH_NLRI:
                family = family_of(int.from_bytes(value[:2], "big"), value[2])
                if family is not None and len(value) == 3:
                    self.ended.add(family)
                elif family is not None:
                    self._gone(family, value[3:])
        for one in item.announced:
            self._there(Family.IPV4, one, next_hop)

    def _there(self, family: Family, field: bytes, next_hop: bytes) -> None:
        for path_id, prefixes in self._split(family, field):
            self.held[family].setdefault(path_id, {}).update(dict.fromkeys(prefixes, next_hop))

    def _gone(self, family: Family, field: bytes) -> None:
        held = self.held[family]
        for path_id, prefixes in self._split(family, field):
            there = held.get(path_id, {})
            for prefix in prefixes:
                there.pop(prefix, None)
            if not there:
                held.pop(path_id, None)

    def _split(self, family: Family, field: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
        if not field:
            return
        if family not in self.add_path:
            yield b"", nlri.split(field, family)
            return
        yield from split_with_ids(field, family)


def split_with_ids(field: bytes, family: Family) -> Iterator[tuple[bytes, list[bytes]]]:
    """The prefixes of an NLRI field with path identifiers (RFC 7911 3), those in a row with one identifier together.

    Raises ProtocolError as `nlri.split` does.
    """
    path_id = b""
    run: list[bytes] = []
    at, end = 0, len(field)
    while at < end:
        before, path_id = path_id, field[at : at + PATH_ID]
        if path_id != before and run:
            yield before, run
            run = []
        bits = field[at + PATH_ID] if at + PATH_ID < end else 0
        after = at + PATH_ID + 1 + (bits + 7) // 8
        run += nlri.split(field[at + PATH_ID : after], family)
        at = after
    if run:
        yield path_id, run


def _attributes(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Code and value of each; our own, so that they are well-formed."""
    at = 0
    while at < len(octets):
        flags, code = octets[at], octets[at + 1]
        wide = bool(flags & AttributeFlag.EXTENDED_LENGTH)
        value = at + (4 if wide else 3)
        size = int.from_bytes(octets[at + 2 : value], "big")
        yield code, octets[value : value + size]
        at = value + size
