"""What do the two sides of a session offer each other, and what do they agree on?"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from speaker.bgp.iana import Family

STANDARD_SIZE = 4096
"""Octets in the longest message without RFC 8654."""

EXTENDED_SIZE = 65535
"""Octets in the longest message where both sides offer extended messages (RFC 8654)."""


@dataclass(frozen=True, slots=True)
class GracefulRestart:
    """The graceful restart capability (RFC 4724 3, RFC 8538 2).

    restart_time    seconds that the other side should keep our routes, 0 to 4095
    restarting      the R bit: the speaker has restarted, do not wait for its End-of-RIB
    notification    the N bit: a NOTIFICATION does not end the routes either
    families        whose forwarding state survives (the F bit)
    long_lived      seconds for which the routes should be kept beyond that, as a last resort (RFC 9494); 0 says that
                    the speaker keeps others' only, None that it knows nothing of it
    """

    restart_time: int
    restarting: bool
    notification: bool
    families: tuple[Family, ...]
    long_lived: int | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """What we put into an OPEN.

    hold_time is in seconds, 0 or 3 to 65535. `add_path` names the families for which we can send several
    paths (RFC 7911); we never take any. An empty `hostname` leaves the FQDN capability out.
    """

    asn: int
    router_id: IPv4Address
    hold_time: int
    families: tuple[Family, ...] = (Family.IPV4, Family.IPV6)
    route_refresh: bool = False
    extended_message: bool = False
    add_path: tuple[Family, ...] = ()
    graceful_restart: GracefulRestart | None = None
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class PeerOpen:
    """A peer's OPEN, decoded.

    asn is the real one, four octets where offered. `add_path_receive` are the families for which the peer
    takes several paths. `capabilities` are all codes it sent, for people.
    """

    asn: int
    hold_time: int
    router_id: IPv4Address
    families: tuple[Family, ...]
    as4: bool
    route_refresh: bool
    enhanced_refresh: bool
    extended_message: bool
    add_path_receive: frozenset[Family]
    graceful_restart: GracefulRestart | None
    hostname: str
    capabilities: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What both sides of a session can do.

    hold_time       seconds, the lower of the two; 0 switches hold and keepalive timers off
    max_size        octets in the longest message we may send
    add_path_send   families for which we send path identifiers
    graceful        the peer's graceful restart, where we offered it too
    """

    peer: PeerOpen
    ibgp: bool
    hold_time: int
    families: tuple[Family, ...]
    as4: bool
    route_refresh: bool
    enhanced_refresh: bool
    max_size: int
    add_path_send: frozenset[Family] = field(default_factory=frozenset)
    graceful: GracefulRestart | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """A NOTIFICATION, sent or received (RFC 4271 4.5).

    `name` is the IANA name of code and subcode; `text` is the shutdown communication (RFC 9003) or "".
    """

    code: int
    subcode: int
    name: str
    text: str = ""
    data: bytes = b""

    def __str__(self) -> str:
        said = f': "{self.text}"' if self.text else ""
        return f"{self.code}/{self.subcode} {self.name}{said}"
