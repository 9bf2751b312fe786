"""What does a set of path attributes say? The value that travels from the wire to the RIB and back.

A set is compared by identity: a session makes one object for each distinct run of attribute bytes, so that
"has this path changed?" is one `is` in the hot path (framing.py, session.py).
"""

from dataclasses import dataclass, replace

from speaker.bgp.errors import ProtocolError, TreatAsWithdraw
from speaker.bgp.iana import AttributeCode, AttributeFlag, ErrorCode, Family, Origin, UpdateSubcode, family_of

_EXTENDED = int(AttributeFlag.EXTENDED_LENGTH)
_KIND = AttributeFlag.OPTIONAL | AttributeFlag.TRANSITIVE
_MP = (AttributeCode.MP_REACH_NLRI, AttributeCode.MP_UNREACH_NLRI)

_MANDATORY = (AttributeCode.ORIGIN, AttributeCode.AS_PATH)
_WITH_NEXT_HOP = (*_MANDATORY, AttributeCode.NEXT_HOP)

#: Attributes past this many are answered with treat-as-withdraw: no speaker needs them, each costs decoding.
MAX_ATTRIBUTES = 64


@dataclass(frozen=True, slots=True)
class Segment:
    """One AS_PATH segment: `kind` is a SegmentType, `asns` its AS numbers (32 bits each), never empty."""

    kind: int
    asns: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Attributes:
    """One set of path attributes, decoded and checked.

    next_hop            4 or 16 octets; the address the NLRI are reached through
    origin              RFC 4271 5.1.1
    as_path             segments, nearest AS first; empty for a route of our own AS
    med, local_pref     32 bits; None where absent
    originator_id       4 octets (RFC 4456), None where absent
    cluster_list        each 4 octets, nearest cluster first
    communities         RFC 1997, each 4 octets; extended (RFC 4360) 8; large (RFC 8092) 12
    atomic_aggregate    RFC 4271 5.1.6
    aggregator          AS number and 4 octets of address
    unknown             optional transitive attributes that we only pass on: (flags, code, value)
    """

    next_hop: bytes
    origin: Origin = Origin.IGP
    as_path: tuple[Segment, ...] = ()
    med: int | None = None
    local_pref: int | None = None
    originator_id: bytes | None = None
    cluster_list: tuple[bytes, ...] = ()
    communities: tuple[bytes, ...] = ()
    extended_communities: tuple[bytes, ...] = ()
    large_communities: tuple[bytes, ...] = ()
    atomic_aggregate: bool = False
    aggregator: tuple[int, bytes] | None = None
    unknown: tuple[tuple[int, int, bytes], ...] = ()

    def but(self, **changes: object) -> "Attributes":
        """A new set with these fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def says(self, other: "Attributes") -> bool:
        """Whether the two have the same value. Seldom asked: who compares paths asks for identity."""
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)


class Encoded:
    """A set of path attributes ready to be sent, compared by identity.

    attributes  the Path Attributes field, with NEXT_HOP for IPv4 and without it for IPv6
    next_hop    4 or 16 octets
    """

    __slots__ = ("attributes", "next_hop")

    def __init__(self, attributes: bytes, next_hop: bytes) -> None:
        self.attributes = attributes
        self.next_hop = next_hop


@dataclass(frozen=True, slots=True)
class Sliced:
    """The Path Attributes field of an UPDATE, cut but not decoded.

    plain       the attributes other than MP_REACH_NLRI and MP_UNREACH_NLRI, as they stood on the wire
    codes       the codes in `plain`, in order
    reach       the value of MP_REACH_NLRI, or None
    unreach     the value of MP_UNREACH_NLRI, or None
    broken      why cutting stopped early, or "": the attributes then cannot be believed (RFC 7606 4)
    """

    plain: bytes
    codes: tuple[int, ...]
    reach: bytes | None
    unreach: bytes | None
    broken: str


@dataclass(frozen=True, slots=True)
class Reach:
    """MP_REACH_NLRI (RFC 4760 3): its family, None where we do not speak it, next hop and NLRI field."""

    family: Family | None
    next_hop: bytes
    nlri: bytes


def slice_attributes(field: bytes) -> Sliced:
    """Cuts a Path Attributes field at its attribute headers.

    Raises ProtocolError for a second MP_REACH_NLRI or MP_UNREACH_NLRI (3/1, RFC 7606 3 g), and for one that is not
    optional and non-transitive (3/9, RFC 7606 5.3).
    """
    plain, codes = [], []
    mp: dict[int, bytes] = {}
    at, end, broken = 0, len(field), ""
    while at < end:
        header = 4 if field[at] & _EXTENDED else 3
        if at + header > end:
            broken = "attribute list: a header is cut short"
            break
        length = int.from_bytes(field[at + 2 : at + header], "big")
        after = at + header + length
        code = field[at + 1]
        if after > end:
            broken = f"attribute {code}: longer than the message"
            break
        if code in _MP:
            if code in mp:
                raise ProtocolError(
                    ErrorCode.UPDATE_MESSAGE,
                    UpdateSubcode.MALFORMED_ATTRIBUTE_LIST,
                    f"attribute {code} twice",
                )
            if field[at] & _KIND != AttributeFlag.OPTIONAL:
                raise _optional(f"attribute {code} has flags 0x{field[at]:02x}")
            mp[code] = field[at + header : after]
        else:
            plain.append(field[at:after])
            codes.append(code)
        at = after
    if len(codes) > MAX_ATTRIBUTES:
        broken = f"attribute list: {len(codes)} attributes, more than {MAX_ATTRIBUTES}"
    return Sliced(
        b"".join(plain),
        tuple(codes),
        mp.get(AttributeCode.MP_REACH_NLRI),
        mp.get(AttributeCode.MP_UNREACH_NLRI),
        broken,
    )


def parse_reach(value: bytes) -> Reach:
    """Cuts MP_REACH_NLRI; of two IPv6 next hops (RFC 2545 3) the global one, which stands first, is kept.

    IPv4 prefixes may come with an IPv6 next hop (RFC 8950): GoBGP 3.10 sends them so on an IPv6 session, agreed or not.

    Raises ProtocolError (3/9): RFC 7606 5.3 asks for a reset where the NLRI cannot be found.
    """
    if len(value) < 5 or len(value) < 5 + value[3]:
        raise _optional("MP_REACH_NLRI is cut short")
    family = family_of(int.from_bytes(value[:2], "big"), value[2])
    size = value[3]
    if (family is Family.IPV4 and size not in (4, 16, 32)) or (family is Family.IPV6 and size not in (16, 32)):
        raise _optional(f"MP_REACH_NLRI has a next hop of {size} octets for {family}")
    return Reach(family, value[4 : 4 + min(size, 16)], value[5 + size :])


def parse_unreach(value: bytes) -> tuple[Family | None, bytes]:
    """The family (None where we do not speak it) and the field of withdrawn prefixes of MP_UNREACH_NLRI.

    Raises ProtocolError (3/9).
    """
    if len(value) < 3:
        raise _optional("MP_UNREACH_NLRI is cut short")
    return family_of(int.from_bytes(value[:2], "big"), value[2]), value[3:]


def require(sliced: Sliced, *, next_hop: bool) -> None:
    """Raises TreatAsWithdraw where a well-known mandatory attribute is missing (RFC 7606 3 d).

    `next_hop` says whether NEXT_HOP is one of them: it is not where MP_REACH_NLRI carries the NLRI. A
    missing LOCAL_PREF on iBGP is let pass, since Onepeer writes its own (rib/reflection.py).
    """
    if sliced.broken:
        raise TreatAsWithdraw(sliced.broken)
    for code in _WITH_NEXT_HOP if next_hop else _MANDATORY:
        if code not in sliced.codes:
            raise TreatAsWithdraw(f"{code.name}: missing")


def _optional(what: str) -> ProtocolError:
    return ProtocolError(ErrorCode.UPDATE_MESSAGE, UpdateSubcode.OPTIONAL_ATTRIBUTE_ERROR, what)
