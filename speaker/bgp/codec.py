"""How do OPEN, path attributes and NOTIFICATION look on the wire? The one door to ExaBGP.

Nothing else imports `exabgp` (import-linter holds that), so that an upgrade is read here and nowhere else;
`tests/golden` holds the door with bytes of real daemons. What ExaBGP leaves to its caller is done here: missing
well-known attributes, ORIGIN values, AS_PATH segments without members, shutdown communication above 128 octets
(RFC 9003); attributes reach it only after malformed.py has looked at them.
"""

import struct
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

from exabgp.bgp.message import Notification as ExaNotification
from exabgp.bgp.message import Notify, Open
from exabgp.bgp.message.direction import Direction
from exabgp.bgp.message.open.asn import ASN
from exabgp.bgp.message.open.capability import AddPath, Capabilities, Capability, Graceful, MultiProtocol
from exabgp.bgp.message.open.capability import Negotiated as ExaNegotiated
from exabgp.bgp.message.open.capability.asn4 import ASN4
from exabgp.bgp.message.open.capability.extended import ExtendedMessage
from exabgp.bgp.message.open.capability.hostname import HostName
from exabgp.bgp.message.open.capability.refresh import REFRESH, EnhancedRouteRefresh, RouteRefresh
from exabgp.bgp.message.open.holdtime import HoldTime
from exabgp.bgp.message.open.routerid import RouterID
from exabgp.bgp.message.open.version import Version
from exabgp.bgp.message.update.attribute import aspath
from exabgp.bgp.message.update.attribute.aggregator import Aggregator
from exabgp.bgp.message.update.attribute.atomicaggregate import AtomicAggregate
from exabgp.bgp.message.update.attribute.attribute import Attribute as ExaAttribute
from exabgp.bgp.message.update.attribute.attributes import Attributes as ExaAttributes
from exabgp.bgp.message.update.attribute.clusterlist import ClusterList
from exabgp.bgp.message.update.attribute.generic import GenericAttribute
from exabgp.bgp.message.update.attribute.localpref import LocalPreference
from exabgp.bgp.message.update.attribute.med import MED
from exabgp.bgp.message.update.attribute.nexthop import NextHop
from exabgp.bgp.message.update.attribute.origin import Origin as ExaOrigin
from exabgp.bgp.message.update.attribute.originatorid import OriginatorID
from exabgp.logger import log as exa_log
from exabgp.protocol.family import AFI, SAFI
from exabgp.protocol.ip import IPv4

from speaker.bgp.attributes import Attributes, Segment, Sliced, require
from speaker.bgp.errors import ProtocolError, TreatAsWithdraw
from speaker.bgp.iana import (
    AttributeCode,
    AttributeFlag,
    CeaseSubcode,
    ErrorCode,
    Family,
    MessageType,
    OpenSubcode,
    Origin,
    SegmentType,
)
from speaker.bgp.malformed import vet
from speaker.bgp.opening import (
    EXTENDED_SIZE,
    STANDARD_SIZE,
    GracefulRestart,
    Negotiated,
    Notification,
    Offer,
    PeerOpen,
)

# ExaBGP's logger has no handler until its own daemon starts; decoding would trip over that.
exa_log.disable()

#: Everything ExaBGP's decoders let out for bytes of a peer's. Notify is its own verdict; the others are what
#: short or odd input makes Python itself raise in there. `tests/bgp/test_codec.py` fuzzes for one that lacks.
LIBRARY_ERRORS = (Notify, IndexError, KeyError, TypeError, ValueError, struct.error)

_RESTARTING, _NOTIFICATION, _FORWARDING = 0x8, 0x4, 0x80
_LONG_LIVED, _LONG_LIVED_SIZE = 71, 7
_SHUTDOWN_WITH_TEXT = (CeaseSubcode.ADMINISTRATIVE_SHUTDOWN, CeaseSubcode.ADMINISTRATIVE_RESET)
_SHUTDOWN_TEXT_MAX = 255
_ADD_PATH_RECEIVE, _ADD_PATH_SEND = 1, 2
_HEADER_SIZE = 19

#: RFC 1771's answer to authentication as an optional parameter, which RFC 4271 knows no more.
_AUTHENTICATION_FAILURE = 5


def header(kind: MessageType, size: int) -> bytes:
    """The header of a message whose body has `size` octets (RFC 4271 4.1)."""
    return b"\xff" * 16 + (_HEADER_SIZE + size).to_bytes(2, "big") + bytes((kind,))


KEEPALIVE = header(MessageType.KEEPALIVE, 0)


# --- OPEN ---------------------------------------------------------------------------------------------


def encode_open(offer: Offer) -> bytes:
    """The OPEN message that makes this offer (RFC 4271 4.2)."""
    return bytes(_exa_open(offer).message())


def encode_families(families: tuple[Family, ...]) -> bytes:
    """The multiprotocol capabilities of these, as an OPEN has them (RFC 4760 8, RFC 5492 4)."""
    capabilities = MultiProtocol(_exa_family(f) for f in families).extract()
    return b"".join(bytes((Capability.CODE.MULTIPROTOCOL, len(one))) + one for one in capabilities)


def decode_open(body: bytes) -> PeerOpen:
    """A peer's OPEN, its body without the header.

    Raises ProtocolError: 1/2 too short, 2/1 version, 2/4 an optional parameter that is not capabilities,
    2/0 anything malformed.
    """
    return _peer_open(_exa_decode_open(body))


def negotiate(offer: Offer, body: bytes) -> Negotiated:
    """What holds for a session on which we made `offer` and the peer sent the OPEN `body`.

    Raises ProtocolError as decode_open does. Without multiprotocol capabilities only IPv4 unicast is spoken
    (RFC 4760 8).
    """
    theirs = _exa_decode_open(body)
    agreed = _exa_negotiated(as4=True)
    agreed.sent(_exa_open(offer))
    agreed.received(theirs)
    peer = _peer_open(theirs)
    families = tuple(f for f in offer.families if (f.afi, f.safi) in agreed.families)
    if Capability.CODE.MULTIPROTOCOL not in theirs.capabilities and Family.IPV4 in offer.families:
        families = (Family.IPV4,)
    return Negotiated(
        peer=peer,
        ibgp=peer.asn == offer.asn,
        hold_time=int(agreed.holdtime),
        families=families,
        as4=bool(agreed.asn4),
        route_refresh=agreed.refresh in (REFRESH.NORMAL, REFRESH.ENHANCED),
        enhanced_refresh=agreed.refresh == REFRESH.ENHANCED,
        max_size=EXTENDED_SIZE if agreed.msg_size > STANDARD_SIZE else STANDARD_SIZE,
        add_path_send=frozenset(f for f in families if agreed.addpath.send(*_exa_family(f))),
        graceful=peer.graceful_restart if offer.graceful_restart else None,
    )


def offer_of(body: bytes) -> Offer:
    """The offer that an OPEN of ours made: another replica's, whose session is gone on with. Raises ProtocolError."""
    decoded = _exa_decode_open(body)
    said = _peer_open(decoded)
    add_path = decoded.capabilities.get(Capability.CODE.ADD_PATH, {})
    return Offer(
        asn=said.asn,
        router_id=said.router_id,
        hold_time=said.hold_time,
        families=said.families,
        route_refresh=said.route_refresh,
        extended_message=said.extended_message,
        add_path=tuple(f for f in said.families if int(add_path.get(_exa_family(f), 0)) & _ADD_PATH_SEND),
        graceful_restart=said.graceful_restart,
        hostname=said.hostname,
    )


def _exa_open(offer: Offer) -> Any:
    capabilities = Capabilities()
    capabilities[Capability.CODE.MULTIPROTOCOL] = MultiProtocol(_exa_family(f) for f in offer.families)
    capabilities[Capability.CODE.FOUR_BYTES_ASN] = ASN4(offer.asn)
    if offer.route_refresh:
        capabilities[Capability.CODE.ROUTE_REFRESH] = RouteRefresh()
        capabilities[Capability.CODE.ENHANCED_ROUTE_REFRESH] = EnhancedRouteRefresh()
    if offer.extended_message:
        capabilities[Capability.CODE.EXTENDED_MESSAGE] = ExtendedMessage()
    if offer.add_path:
        capabilities[Capability.CODE.ADD_PATH] = AddPath([_exa_family(f) for f in offer.add_path], _ADD_PATH_SEND)
    if graceful := offer.graceful_restart:
        flags = (_RESTARTING if graceful.restarting else 0) | (_NOTIFICATION if graceful.notification else 0)
        capabilities[Capability.CODE.GRACEFUL_RESTART] = Graceful().set(
            flags, graceful.restart_time, [(*_exa_family(f), _FORWARDING) for f in graceful.families]
        )
        if graceful.long_lived:
            capabilities[_LONG_LIVED] = _LongLived(graceful)
    if offer.hostname:
        capabilities[Capability.CODE.HOSTNAME] = HostName(offer.hostname, "")
    return Open(
        Version(Version.BGP_4),
        ASN(offer.asn),
        HoldTime(offer.hold_time),
        RouterID(str(offer.router_id)),
        capabilities,
    )


class _LongLived:
    """The long-lived graceful restart capability (RFC 9494 3.1), which ExaBGP does not have."""

    def __init__(self, graceful: GracefulRestart) -> None:
        time = (graceful.long_lived or 0).to_bytes(3, "big")
        self._value = b"".join(f.wire + bytes((_FORWARDING,)) + time for f in graceful.families)

    def extract(self) -> list[bytes]:
        """What ExaBGP packs."""
        return [self._value]


def _long_lived(capability: Any) -> int | None:
    """The longest time that it names for a family of ours."""
    if capability is None:
        return None
    value = bytes(capability.data)
    whole = [value[at : at + _LONG_LIVED_SIZE] for at in range(0, len(value), _LONG_LIVED_SIZE)]
    known = {family.wire for family in Family}
    return max((int.from_bytes(one[4:], "big") for one in whole if one[:3] in known), default=0)


def _exa_decode_open(body: bytes) -> Any:
    try:
        decoded = Open.unpack_message(body)
    except Notify as fault:
        if (fault.code, fault.subcode) == (ErrorCode.OPEN_MESSAGE, _AUTHENTICATION_FAILURE):
            fault.subcode = OpenSubcode.UNSUPPORTED_OPTIONAL_PARAMETER
        # A version that we do not speak is answered with the one we do (RFC 4271 6.2).
        version = (fault.code, fault.subcode) == (
            ErrorCode.OPEN_MESSAGE,
            OpenSubcode.UNSUPPORTED_VERSION_NUMBER,
        )
        data = b"\x00\x04" if version else fault.data if fault.code == ErrorCode.MESSAGE_HEADER else b""
        raise ProtocolError(fault.code, fault.subcode, _words(fault.data), data) from None
    except LIBRARY_ERRORS as fault:
        raise ProtocolError(ErrorCode.OPEN_MESSAGE, OpenSubcode.UNSPECIFIC, f"OPEN is malformed: {fault}") from None
    extended = body[9:11] == b"\xff\xff"
    declared = 4 + int.from_bytes(body[11:13], "big") if extended else 1 + body[9]
    if declared != len(body) - 9:
        raise ProtocolError(
            ErrorCode.OPEN_MESSAGE,
            OpenSubcode.UNSPECIFIC,
            f"OPEN has {len(body) - 9} octets of optional parameters where it declares {declared}",
        )
    return decoded


def _peer_open(decoded: Any) -> PeerOpen:
    capabilities = decoded.capabilities
    code = Capability.CODE
    add_path = capabilities.get(code.ADD_PATH, {})
    hostname = capabilities.get(code.HOSTNAME)
    return PeerOpen(
        asn=int(capabilities.get(code.FOUR_BYTES_ASN, decoded.asn)),
        hold_time=int(decoded.hold_time),
        router_id=IPv4Address(str(decoded.router_id)),
        families=tuple(_families(capabilities.get(code.MULTIPROTOCOL, ()))),
        as4=code.FOUR_BYTES_ASN in capabilities,
        route_refresh=code.ROUTE_REFRESH in capabilities,
        enhanced_refresh=code.ENHANCED_ROUTE_REFRESH in capabilities,
        extended_message=code.EXTENDED_MESSAGE in capabilities,
        add_path_receive=frozenset(f for f in Family if int(add_path.get(_exa_family(f), 0)) & _ADD_PATH_RECEIVE),
        graceful_restart=_graceful(capabilities.get(code.GRACEFUL_RESTART), capabilities.get(_LONG_LIVED)),
        hostname=str(hostname.host_name) if hostname is not None else "",
        capabilities=tuple(sorted(int(c) for c in capabilities)),
    )


def _graceful(capability: Any, long_lived: Any) -> GracefulRestart | None:
    """RFC 9494 3.1: the long-lived capability counts only beside the other one."""
    if capability is None:
        return None
    return GracefulRestart(
        restart_time=int(capability.restart_time),
        restarting=bool(capability.restart_flag & _RESTARTING),
        notification=bool(capability.restart_flag & _NOTIFICATION),
        families=tuple(_families(family for family, flags in capability.items() if flags & _FORWARDING)),
        long_lived=_long_lived(long_lived),
    )


def _families(pairs: Any) -> list[Family]:
    numbers = {(int(afi), int(safi)) for afi, safi in pairs}
    return [f for f in Family if (f.afi, f.safi) in numbers]


def _exa_family(family: Family) -> tuple[Any, Any]:
    return AFI.create(family.afi), SAFI.create(family.safi)


def _exa_negotiated(*, as4: bool) -> Any:
    """ExaBGP's own view of a session, of which attribute coding reads `asn4` alone."""
    negotiated = ExaNegotiated({"capability": {"aigp": False}})
    negotiated.asn4 = as4
    return negotiated


_CODING = {as4: _exa_negotiated(as4=as4) for as4 in (False, True)}


# --- path attributes ----------------------------------------------------------------------------------


# Python 3.11 takes 0.15 us to look up a member of an enumeration, and each of these is asked of every set.
_ORIGIN, _AS_PATH, _NEXT_HOP = AttributeCode.ORIGIN, AttributeCode.AS_PATH, AttributeCode.NEXT_HOP
_MULTI_EXIT_DISC, _LOCAL_PREF = AttributeCode.MULTI_EXIT_DISC, AttributeCode.LOCAL_PREF
_ATOMIC_AGGREGATE = AttributeCode.ATOMIC_AGGREGATE
_AGGREGATORS = (AttributeCode.AGGREGATOR, AttributeCode.AS4_AGGREGATOR)
_ORIGINATOR_ID, _CLUSTER_LIST = AttributeCode.ORIGINATOR_ID, AttributeCode.CLUSTER_LIST
_COMMUNITIES, _EXTENDED_COMMUNITIES = AttributeCode.COMMUNITIES, AttributeCode.EXTENDED_COMMUNITIES
_LARGE_COMMUNITY = AttributeCode.LARGE_COMMUNITY


def decode_attributes(sliced: Sliced, *, as4: bool, ibgp: bool, next_hop: bytes | None = None) -> Attributes:
    """The attributes of one UPDATE.

    `as4` says how AS numbers are written (RFC 6793), `ibgp` which attributes count. `next_hop` is that of
    MP_REACH_NLRI; without it NEXT_HOP must be there. Raises TreatAsWithdraw and nothing else.
    """
    require(sliced, next_hop=next_hop is None)
    vetted = vet(sliced.plain, as4=as4, ibgp=ibgp)
    try:
        parsed = ExaAttributes().parse(vetted.known, Direction.IN, _CODING[as4])
        if ExaAttribute.CODE.INTERNAL_TREAT_AS_WITHDRAW in parsed:
            # The others cannot be malformed by now (malformed.py).
            raise TreatAsWithdraw("AS_PATH: malformed")
        if not as4:
            parsed.reconcile_four_octet_as()
    except Notify as fault:
        raise TreatAsWithdraw(_words(fault.data)) from None
    except LIBRARY_ERRORS as fault:
        raise TreatAsWithdraw(f"attribute list: {fault}") from None
    return Attributes(
        next_hop=bytes(parsed[_NEXT_HOP].ton()) if next_hop is None else next_hop,
        origin=_origin(parsed),
        as_path=_as_path(parsed),
        med=_number(parsed, _MULTI_EXIT_DISC, "med"),
        local_pref=_number(parsed, _LOCAL_PREF, "localpref"),
        originator_id=_originator(parsed),
        cluster_list=_clusters(parsed),
        communities=_members(parsed, _COMMUNITIES),
        extended_communities=_members(parsed, _EXTENDED_COMMUNITIES),
        large_communities=_members(parsed, _LARGE_COMMUNITY),
        atomic_aggregate=_ATOMIC_AGGREGATE in parsed,
        aggregator=_aggregator(parsed),
        unknown=vetted.unknown,
    )


def encode_attributes(attributes: Attributes, *, as4: bool, next_hop: bool) -> bytes:
    """These attributes as a Path Attributes field, in the order of their codes (RFC 4271 5).

    `next_hop` says whether NEXT_HOP is among them; it is not where MP_REACH_NLRI carries it. Towards a peer
    without four-octet AS numbers AS4_PATH and AS4_AGGREGATOR are added (RFC 6793 4.2.2).
    """
    a = attributes
    parts: list[tuple[int, Any]] = [
        (AttributeCode.ORIGIN, ExaOrigin(int(a.origin))),
        (
            AttributeCode.AS_PATH,
            aspath.ASPath([_SEGMENTS[s.kind](ASN(n) for n in s.asns) for s in a.as_path]),
        ),
    ]
    if next_hop:
        parts.append((AttributeCode.NEXT_HOP, NextHop.unpack(a.next_hop)))
    if a.med is not None:
        parts.append((AttributeCode.MULTI_EXIT_DISC, MED(a.med)))
    if a.local_pref is not None:
        parts.append((AttributeCode.LOCAL_PREF, LocalPreference(a.local_pref)))
    if a.atomic_aggregate:
        parts.append((AttributeCode.ATOMIC_AGGREGATE, AtomicAggregate()))
    if a.aggregator is not None:
        asn, address = a.aggregator
        parts.append((AttributeCode.AGGREGATOR, Aggregator(ASN(asn), IPv4.unpack(address))))
    if a.originator_id is not None:
        parts.append((AttributeCode.ORIGINATOR_ID, OriginatorID.unpack(a.originator_id, None, None)))
    if a.cluster_list:
        parts.append((AttributeCode.CLUSTER_LIST, ClusterList([IPv4.unpack(c) for c in a.cluster_list])))
    for code, members in (
        (AttributeCode.COMMUNITIES, a.communities),
        (AttributeCode.EXTENDED_COMMUNITIES, a.extended_communities),
        (AttributeCode.LARGE_COMMUNITY, a.large_communities),
    ):
        if members:
            parts.append((code, GenericAttribute(code, _OPTIONAL_TRANSITIVE, b"".join(members))))
    for flags, number, value in a.unknown:
        parts.append((number, GenericAttribute(number, flags & ~AttributeFlag.EXTENDED_LENGTH, value)))
    parts.sort(key=lambda part: part[0])
    return b"".join(bytes(part.pack(_CODING[as4])) for _, part in parts)


_OPTIONAL_TRANSITIVE = AttributeFlag.OPTIONAL | AttributeFlag.TRANSITIVE
_SEGMENTS: dict[int, Callable[..., Any]] = {
    SegmentType.AS_SET: aspath.SET,
    SegmentType.AS_SEQUENCE: aspath.SEQUENCE,
}


def _origin(parsed: Any) -> Origin:
    try:
        return Origin(parsed[_ORIGIN].origin)
    except ValueError:
        raise TreatAsWithdraw(f"ORIGIN: {parsed[_ORIGIN].origin} is not a value of it") from None


def _as_path(parsed: Any) -> tuple[Segment, ...]:
    segments = []
    for segment in parsed[_AS_PATH].aspath if _AS_PATH in parsed else ():
        if segment.ID not in _SEGMENTS:
            raise TreatAsWithdraw("AS_PATH: a confederation segment from outside the confederation (RFC 5065)")
        if not segment:
            raise TreatAsWithdraw("AS_PATH: a segment without members (RFC 7606 7.2)")
        if 0 in segment:
            raise TreatAsWithdraw("AS_PATH: AS 0 (RFC 7607)")
        segments.append(Segment(int(segment.ID), tuple(int(asn) for asn in segment)))
    return tuple(segments)


def _number(parsed: Any, code: AttributeCode, name: str) -> int | None:
    return int(getattr(parsed[code], name)) if code in parsed else None


def _originator(parsed: Any) -> bytes | None:
    found = parsed.get(_ORIGINATOR_ID)
    return None if found is None else bytes(found.ton())


def _clusters(parsed: Any) -> tuple[bytes, ...]:
    found = parsed.get(_CLUSTER_LIST)
    return () if found is None else tuple(bytes(c.ton()) for c in found.clusters)


def _members(parsed: Any, code: AttributeCode) -> tuple[bytes, ...]:
    return tuple(bytes(member.pack()) for member in parsed[code].communities) if code in parsed else ()


def _aggregator(parsed: Any) -> tuple[int, bytes] | None:
    for code in _AGGREGATORS:
        if code in parsed:
            return int(parsed[code].asn), bytes(parsed[code].speaker.ton())
    return None


def _words(data: bytes) -> str:
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)


# --- NOTIFICATION -------------------------------------------------------------------------------------


def notification(code: int, subcode: int, text: str = "", data: bytes = b"") -> Notification:
    """A NOTIFICATION under its IANA name. `text` is a shutdown communication, cut to what RFC 9003 lets pass."""
    while len(text.encode()) > _SHUTDOWN_TEXT_MAX:
        text = text[:-1]
    return Notification(code, subcode, _name(code, subcode), text, data)


def hard_reset(message: Notification) -> Notification:
    """The same, so that a peer which keeps routes over a NOTIFICATION drops them (RFC 8538 3.1)."""
    inner = encode_notification(message)[_HEADER_SIZE:]
    return notification(ErrorCode.CEASE, CeaseSubcode.HARD_RESET, data=inner)


def encode_notification(message: Notification) -> bytes:
    """The NOTIFICATION message; the text travels only where RFC 9003 gives it a place."""
    data = message.data
    if message.code == ErrorCode.CEASE and message.subcode in _SHUTDOWN_WITH_TEXT and message.text:
        said = message.text.encode()
        data = bytes((len(said),)) + said
    body = bytes((message.code, message.subcode)) + data
    return header(MessageType.NOTIFICATION, len(body)) + body


def decode_notification(body: bytes) -> Notification:
    """A peer's NOTIFICATION. Never raises: an error in one must not be answered (RFC 4271 6.4)."""
    if len(body) < 2:
        return Notification(0, 0, "a NOTIFICATION without code", "", body)
    code, subcode, data = body[0], body[1], body[2:]
    # RFC 8538 3.1: a Hard Reset wraps the NOTIFICATION that it stands for.
    hard = bytes((ErrorCode.CEASE, CeaseSubcode.HARD_RESET))
    if body.startswith(hard) and len(data) >= 2 and not data.startswith(hard):
        inner = decode_notification(data)
        return Notification(code, subcode, f"{_name(code, subcode)} ({inner.name})", inner.text, data)
    text = ""
    if code == ErrorCode.CEASE and subcode in _SHUTDOWN_WITH_TEXT and data and data[0] < len(data):
        said = data[1 : 1 + data[0]].decode("utf-8", "replace")
        text = "".join(c if c.isprintable() else " " for c in said)
    return Notification(code, subcode, _name(code, subcode), text, data)


#: What ExaBGP 5.0.15 has no name for: RFC 7313, RFC 9687; RFC 8538, RFC 9384, RFC 9234.
_MORE_CODES = {ErrorCode.ROUTE_REFRESH_MESSAGE: "ROUTE-REFRESH message error", 8: "Send hold timer expired"}
_MORE_SUBCODES: dict[tuple[int, int], str] = {
    (ErrorCode.CEASE, CeaseSubcode.HARD_RESET): "Hard Reset",
    (ErrorCode.CEASE, 10): "BFD Down",
    (ErrorCode.OPEN_MESSAGE, 11): "Role Mismatch",
}
_WITHOUT_SUBCODES = (ErrorCode.HOLD_TIMER_EXPIRED, 8)


def _name(code: int, subcode: int) -> str:
    kind = ExaNotification._str_code.get(code) or _MORE_CODES.get(code) or f"error {code}"
    if code in _WITHOUT_SUBCODES:
        return kind
    pair = (code, subcode)
    return f"{kind} / {ExaNotification._str_subcode.get(pair) or _MORE_SUBCODES.get(pair) or f'subcode {subcode}'}"
