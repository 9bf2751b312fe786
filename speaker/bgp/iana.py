"""Which numbers does the wire use? The IANA registries that Onepeer touches, under their IANA names."""

from enum import Enum, IntEnum


class MessageType(IntEnum):
    """RFC 4271 4.1; RFC 2918."""

    OPEN = 1
    UPDATE = 2
    NOTIFICATION = 3
    KEEPALIVE = 4
    ROUTE_REFRESH = 5


class ErrorCode(IntEnum):
    """NOTIFICATION error codes: RFC 4271 4.5; RFC 7313."""

    MESSAGE_HEADER = 1
    OPEN_MESSAGE = 2
    UPDATE_MESSAGE = 3
    HOLD_TIMER_EXPIRED = 4
    FINITE_STATE_MACHINE = 5
    CEASE = 6
    ROUTE_REFRESH_MESSAGE = 7


class HeaderSubcode(IntEnum):
    """RFC 4271 6.1."""

    CONNECTION_NOT_SYNCHRONIZED = 1
    BAD_MESSAGE_LENGTH = 2
    BAD_MESSAGE_TYPE = 3


class OpenSubcode(IntEnum):
    """RFC 4271 6.2; RFC 5492."""

    UNSPECIFIC = 0
    UNSUPPORTED_VERSION_NUMBER = 1
    BAD_PEER_AS = 2
    BAD_BGP_IDENTIFIER = 3
    UNSUPPORTED_OPTIONAL_PARAMETER = 4
    UNACCEPTABLE_HOLD_TIME = 6
    UNSUPPORTED_CAPABILITY = 7


class UpdateSubcode(IntEnum):
    """RFC 4271 6.3."""

    MALFORMED_ATTRIBUTE_LIST = 1
    OPTIONAL_ATTRIBUTE_ERROR = 9
    INVALID_NETWORK_FIELD = 10


class FsmSubcode(IntEnum):
    """RFC 6608: the state in which an unexpected message came."""

    OPEN_SENT = 1
    OPEN_CONFIRM = 2
    ESTABLISHED = 3


class CeaseSubcode(IntEnum):
    """RFC 4486; RFC 8538."""

    MAXIMUM_NUMBER_OF_PREFIXES_REACHED = 1
    ADMINISTRATIVE_SHUTDOWN = 2
    PEER_DECONFIGURED = 3
    ADMINISTRATIVE_RESET = 4
    CONNECTION_REJECTED = 5
    OTHER_CONFIGURATION_CHANGE = 6
    CONNECTION_COLLISION_RESOLUTION = 7
    OUT_OF_RESOURCES = 8
    HARD_RESET = 9


class AttributeCode(IntEnum):
    """Path attributes: RFC 4271 5, 4456, 4760, 1997, 4360, 8092, 6793."""

    ORIGIN = 1
    AS_PATH = 2
    NEXT_HOP = 3
    MULTI_EXIT_DISC = 4
    LOCAL_PREF = 5
    ATOMIC_AGGREGATE = 6
    AGGREGATOR = 7
    COMMUNITIES = 8
    ORIGINATOR_ID = 9
    CLUSTER_LIST = 10
    MP_REACH_NLRI = 14
    MP_UNREACH_NLRI = 15
    EXTENDED_COMMUNITIES = 16
    AS4_PATH = 17
    AS4_AGGREGATOR = 18
    LARGE_COMMUNITY = 32


class AttributeFlag(IntEnum):
    """RFC 4271 4.3."""

    OPTIONAL = 0x80
    TRANSITIVE = 0x40
    PARTIAL = 0x20
    EXTENDED_LENGTH = 0x10


class Origin(IntEnum):
    """RFC 4271 5.1.1. The lower is preferred."""

    IGP = 0
    EGP = 1
    INCOMPLETE = 2


class SegmentType(IntEnum):
    """AS_PATH segments: RFC 4271 4.3; the confederation types (RFC 5065) are known in order to be refused."""

    AS_SET = 1
    AS_SEQUENCE = 2


class RefreshSubtype(IntEnum):
    """RFC 7313 3.2."""

    REQUEST = 0
    BEGIN_OF_RIB = 1
    END_OF_RIB = 2


#: Well-known communities, as on the wire: RFC 8326, RFC 1997.
GRACEFUL_SHUTDOWN = bytes.fromhex("ffff0000")
NO_EXPORT = bytes.fromhex("ffffff01")
NO_ADVERTISE = bytes.fromhex("ffffff02")
NO_EXPORT_SUBCONFED = bytes.fromhex("ffffff03")


class Family(Enum):
    """An AFI and SAFI pair (RFC 4760). Onepeer speaks unicast only."""

    __hash__ = object.__hash__  # in C; Enum's own is Python code, and families are keys of the hot path

    IPV4 = (1, 1)
    IPV6 = (2, 1)

    def __init__(self, afi: int, safi: int) -> None:
        self.afi = afi
        self.safi = safi
        self.wire = bytes((0, afi, safi))
        self.bits = 32 if afi == 1 else 128

    def __str__(self) -> str:
        return self.name.lower()


def family_of(afi: int, safi: int) -> Family | None:
    """The family of these numbers, or None where Onepeer does not speak it."""
    return _FAMILIES.get((afi, safi))


_FAMILIES = {family.value: family for family in Family}
