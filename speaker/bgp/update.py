"""Which UPDATEs bring a router from what it has been sent to what it should have?

An `AdjRibOut` belongs to one session and one family. It keeps the newest wish for each path and nothing older, so
that a router which reads slowly costs no more memory than the table has paths (RFC 4271 9.2: only the newest route
matters). `take` groups by attribute set and packs messages to the negotiated size; whole messages only leave it, so
what the router has been sent is known at any moment.
RFC 4271 4.3 and 9.2, RFC 4760 3 and 4, RFC 7911 3, RFC 4724 2, RFC 7313 4.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from speaker.bgp import codec
from speaker.bgp.attributes import Encoded
from speaker.bgp.iana import AttributeCode, AttributeFlag, Family, MessageType, RefreshSubtype

_UPDATE_OVERHEAD = 23  # header 19, two length fields of 2
_MP_OVERHEAD = 4 + 3 + 1 + 1  # attribute header, family, next hop length, reserved octet
_OPTIONAL_EXTENDED = AttributeFlag.OPTIONAL | AttributeFlag.EXTENDED_LENGTH


Wishes = dict[bytes, Encoded | None]

#: Stands in `sent` for what the router holds and is to be sent again: unlike any wish, so that none is left out, and
#: yet there, so that a withdrawal is.
_ONCE_MORE = Encoded(b"", b"")


class AdjRibOut:
    """What one router session has been sent of one family, and what it is still to be sent.

    A path is named by its path identifier, 4 octets with ADD-PATH and none without, and its prefix.
    `max_size` is the longest message in octets.
    """

    def __init__(self, family: Family, max_size: int) -> None:
        self.family = family
        self.sent: dict[bytes, dict[bytes, Encoded]] = {}
        self._pending: dict[bytes, Wishes] = {}
        self._leaving: dict[bytes, Wishes] = {}  # path identifiers for which there are only withdrawals
        self._room = max_size - _UPDATE_OVERHEAD
        self._nlri_size = 1 + family.bits // 8
        self.messages = 0  # made since it was set to 0 last
        self._closing: list[bytes] = []
        self._opening: list[bytes] = []

    def announce(self, path_id: bytes, prefixes: Iterable[bytes], encoded: Encoded) -> None:
        """The router should have these."""
        wishes = self._pending.get(path_id)
        if wishes is None:
            wishes = self._pending[path_id] = self._leaving.pop(path_id, {})
        wishes.update(dict.fromkeys(prefixes, encoded))

    def withdraw(self, path_id: bytes, prefixes: Iterable[bytes]) -> None:
        """The router should not have these."""
        wishes = self._pending.get(path_id)
        if wishes is None:
            wishes = self._leaving.setdefault(path_id, {})
        wishes.update(dict.fromkeys(prefixes))

    def withdraw_all(self) -> None:
        """The router should have nothing, but for what is wished for after this."""
        for path_id in {*self.sent, *self._pending}:
            known = [*self.sent.get(path_id, ()), *self._pending.pop(path_id, ())]
            self._leaving.setdefault(path_id, {}).update(dict.fromkeys(known))

    def end_of_rib(self) -> None:
        """Once everything wished for by then is sent, say that this was all (RFC 4724 2)."""
        _add(self._closing, _end_of_rib(self.family))

    def refresh(self, *, enhanced: bool) -> None:
        """Send everything again; between the marks of RFC 7313 where both sides know them."""
        for path_id, sent in self.sent.items():
            wishes = self._pending.get(path_id) or self._leaving.pop(path_id, {})
            self._pending[path_id] = {**sent, **wishes}
            self.sent[path_id] = dict.fromkeys(sent, _ONCE_MORE)
        if enhanced:
            _add(self._opening, _refresh_mark(self.family, RefreshSubtype.BEGIN_OF_RIB))
            _add(self._closing, _refresh_mark(self.family, RefreshSubtype.END_OF_RIB))

    def inherit(self, held: Mapping[bytes, Iterable[bytes]]) -> None:
        """The router has these prefixes under these path identifiers, from another process: they are sent again, or
        withdrawn, as is wished."""
        self.sent = {path_id: dict.fromkeys(prefixes, _ONCE_MORE) for path_id, prefixes in held.items()}

    def withdraw_stale(self) -> None:
        """What was inherited, and is not wished for, the router should not have."""
        for path_id, sent in self.sent.items():
            wishes = self._pending.get(path_id, {})
            stale = [prefix for prefix, was in sent.items() if was is _ONCE_MORE and prefix not in wishes]
            if stale:
                self.withdraw(path_id, stale)

    def replay(self) -> Iterator[bytes]:
        """The UPDATEs that bring a router to what this one has been sent."""
        for path_id, sent in self.sent.items():
            groups: dict[Encoded, list[bytes]] = {}
            for prefix, encoded in sent.items():
                groups.setdefault(encoded, []).append(prefix)
            for encoded, prefixes in groups.items():
                yield from self._announcements(path_id, prefixes, encoded)

    @property
    def idle(self) -> bool:
        """True when there is nothing to be sent."""
        return not (self._pending or self._leaving or self._closing or self._opening)

    def pending_count(self) -> int:
        """Paths still to be sent or withdrawn, at most."""
        return sum(map(len, self._pending.values())) + sum(map(len, self._leaving.values()))

    def sent_count(self) -> int:
        """Paths that the router has been sent."""
        return sum(map(len, self.sent.values()))

    def take(self, budget: int) -> bytes:
        """The next whole messages: about `budget` octets, more by one path identifier's worth at most.

        What it returns counts as sent. Path identifiers that only leave go last: what replaces their paths should be
        there before.
        """
        out, self._opening = self._opening, []
        size = sum(map(len, out))
        while (queue := self._pending or self._leaving) and size < budget:
            path_id = next(iter(queue))
            messages = self._messages(path_id, queue.pop(path_id))
            out += messages
            size += sum(map(len, messages))
        if not (self._pending or self._leaving):
            out += self._closing
            self._closing = []
        self.messages += len(out)
        return b"".join(out)

    def _messages(self, path_id: bytes, wishes: Wishes) -> list[bytes]:
        """Moves `wishes` to `sent` and says what to write for it. Announcements go first: what replaces a path
        should be there before that goes."""
        if path_id not in self.sent and len(set(wishes.values())) == 1:
            (encoded,) = set(wishes.values())
            if encoded is None:
                return []
            self.sent[path_id] = cast(dict[bytes, Encoded], wishes)
            return list(self._announcements(path_id, list(wishes), encoded))
        sent = self.sent.setdefault(path_id, {})
        groups: dict[Encoded, list[bytes]] = {}
        gone: list[bytes] = []
        for prefix, encoded in wishes.items():
            if encoded is None:
                if sent.pop(prefix, None) is not None:
                    gone.append(prefix)
            elif sent.get(prefix) is not encoded:
                sent[prefix] = encoded
                group = groups.get(encoded)
                if group is None:
                    group = groups[encoded] = []
                group.append(prefix)
        if not sent:
            del self.sent[path_id]
        out: list[bytes] = []
        for encoded, prefixes in groups.items():
            out += self._announcements(path_id, prefixes, encoded)
        if gone:
            out += self._withdrawals(path_id, gone)
        return out

    def _announcements(self, path_id: bytes, prefixes: list[bytes], encoded: Encoded) -> Iterator[bytes]:
        attributes = encoded.attributes
        if self.family is Family.IPV4:
            fields = b"\0\0" + len(attributes).to_bytes(2, "big") + attributes
            for nlri in self._fields(path_id, prefixes, self._room - len(attributes)):
                yield _message(fields + nlri)
            return
        head = self.family.wire + bytes((len(encoded.next_hop),)) + encoded.next_hop + b"\0"
        room = self._room - len(attributes) - _MP_OVERHEAD - len(encoded.next_hop)
        for nlri in self._fields(path_id, prefixes, room):
            # RFC 7606 5.1: MP_REACH_NLRI stands first.
            yield _message(_mp(AttributeCode.MP_REACH_NLRI, head + nlri, attributes))

    def _withdrawals(self, path_id: bytes, prefixes: list[bytes]) -> Iterator[bytes]:
        if self.family is Family.IPV4:
            for nlri in self._fields(path_id, prefixes, self._room):
                yield _message(len(nlri).to_bytes(2, "big") + nlri + b"\0\0")
            return
        for nlri in self._fields(path_id, prefixes, self._room - _MP_OVERHEAD):
            yield _message(_mp(AttributeCode.MP_UNREACH_NLRI, self.family.wire + nlri, b""))

    def _fields(self, path_id: bytes, prefixes: list[bytes], room: int) -> Iterator[bytes]:
        """NLRI fields of at most `room` octets. Counting every prefix as a host route, as almost all are, saves a
        look at each."""
        count = max(1, room // (len(path_id) + self._nlri_size))
        for at in range(0, len(prefixes), count):
            yield path_id + path_id.join(prefixes[at : at + count])


def _add(marks: list[bytes], mark: bytes) -> None:
    """A router that asks faster than it reads is answered once."""
    if mark not in marks:
        marks.append(mark)


def _message(body: bytes) -> bytes:
    return codec.header(MessageType.UPDATE, len(body)) + body


def _mp(code: AttributeCode, value: bytes, rest: bytes) -> bytes:
    """The two length fields and attributes of an UPDATE that carries this multiprotocol attribute."""
    attribute = bytes((_OPTIONAL_EXTENDED, code)) + len(value).to_bytes(2, "big") + value
    return b"\0\0" + (len(attribute) + len(rest)).to_bytes(2, "big") + attribute + rest


def _end_of_rib(family: Family) -> bytes:
    if family is Family.IPV4:
        return _message(b"\0\0\0\0")
    return _message(_mp(AttributeCode.MP_UNREACH_NLRI, family.wire, b""))


def _refresh_mark(family: Family, subtype: RefreshSubtype) -> bytes:
    body = bytes((0, family.afi, subtype, family.safi))
    return codec.header(MessageType.ROUTE_REFRESH, len(body)) + body
