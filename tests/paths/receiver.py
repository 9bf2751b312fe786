"""A router as naive as can be: reads octets and holds what they say. Knows nothing of Onepeer's own reader."""

from ipaddress import IPv4Address

from speaker.bgp import codec
from speaker.bgp.attributes import Attributes, slice_attributes
from speaker.bgp.iana import Family
from speaker.bgp.opening import Negotiated, PeerOpen

Held = dict[tuple[Family, bytes, bytes], dict[str, object]]

BOTH = (Family.IPV4, Family.IPV6)


def negotiated(*, ibgp: bool = True, add_path: bool = False, families: tuple[Family, ...] = BOTH) -> Negotiated:
    """What a router of AS 64512, or 65000, agrees on."""
    takes = frozenset(families if add_path else ())
    asn = 64512 if ibgp else 65000
    peer = PeerOpen(asn, 90, IPv4Address("10.0.0.254"), families, True, True, False, False, takes, None, "", ())
    return Negotiated(peer, ibgp, 90, families, True, True, False, 4096, takes)


def values(attributes: Attributes) -> dict[str, object]:
    """A set of attributes, to be compared by value."""
    return {name: getattr(attributes, name) for name in Attributes.__slots__}


class Receiver:
    """What one session has been told: (family, path identifier, prefix) -> attributes."""

    def __init__(self, agreed: Negotiated) -> None:
        self._agreed = agreed
        self.held: Held = {}
        self.ends: list[Family] = []

    def feed(self, octets: bytes) -> None:
        """Reads whole messages."""
        while octets:
            assert octets[:16] == b"\xff" * 16
            size = int.from_bytes(octets[16:18], "big")
            assert 19 <= size <= self._agreed.max_size
            if octets[18] == 2:
                self._update(octets[19:size])
            octets = octets[size:]

    def _update(self, body: bytes) -> None:
        cut = 2 + int.from_bytes(body[:2], "big")
        end = cut + 2 + int.from_bytes(body[cut : cut + 2], "big")
        withdrawn, field, announced = body[2:cut], body[cut + 2 : end], body[end:]
        sliced = slice_attributes(field)
        if not (withdrawn or field or announced):
            self.ends.append(Family.IPV4)
        self._forget(Family.IPV4, withdrawn)
        if sliced.unreach is not None:
            self._forget(Family.IPV6, sliced.unreach[3:])
            if len(sliced.unreach) == 3:
                self.ends.append(Family.IPV6)
        if announced:
            self._learn(Family.IPV4, announced, field, None)
        if sliced.reach is not None:
            after = 5 + sliced.reach[3]
            self._learn(Family.IPV6, sliced.reach[after:], field, sliced.reach[4 : after - 1])

    def _forget(self, family: Family, field: bytes) -> None:
        for path_id, prefix in self._nlri(family, field):
            del self.held[family, path_id, prefix]

    def _learn(self, family: Family, nlri: bytes, field: bytes, next_hop: bytes | None) -> None:
        sliced = slice_attributes(field)
        read = codec.decode_attributes(sliced, as4=True, ibgp=self._agreed.ibgp, next_hop=next_hop)
        for path_id, prefix in self._nlri(family, nlri):
            self.held[family, path_id, prefix] = values(read)

    def _nlri(self, family: Family, field: bytes) -> list[tuple[bytes, bytes]]:
        found, at = [], 0
        skip = 4 if family in self._agreed.add_path_send else 0
        while at < len(field):
            path_id, at = field[at : at + skip], at + skip
            after = at + 1 + (field[at] + 7) // 8
            found.append((path_id, field[at:after]))
            at = after
        return found
