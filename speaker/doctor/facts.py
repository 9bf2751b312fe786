"""What is known of the host, the routers and the cluster, before anything is made of it? Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from speaker.cluster.kube.bgppeers import PeerFacts
from speaker.config import Settings
from speaker.serve.views import StatusView

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Held:
    """An address of an interface."""

    address: IPv4Interface | IPv6Interface
    permanent: bool = True
    """False where it ends by itself: given by DHCP, or by a replica that leads."""


@dataclass(frozen=True, slots=True)
class Card:
    """An interface."""

    name: str
    mtu: int
    """Octets."""
    held: tuple[Held, ...] = ()


@dataclass(frozen=True, slots=True)
class Listening:
    """A listening TCP socket, or a UDP one that is bound. `address` None = all of them."""

    address: Address | None
    port: int
    pid: int | None = None
    """None where this user may not know."""
    program: str = ""


@dataclass(frozen=True, slots=True)
class Process:
    """Whose rights count: the running Onepeer's, or where none runs this command's own."""

    pid: int | None
    """None = this command."""
    capabilities: frozenset[str]
    files: int
    """The hard limit, which Onepeer takes."""


class Knock(StrEnum):
    """What a router does with a TCP connection."""

    ANSWERS = "answers"  # it takes the call, and stays on the line
    HANGS_UP = "hangs-up"  # it takes the call, and ends it at once
    REFUSED = "refused"
    SILENT = "silent"
    FAILED = "failed"  # see `text`


@dataclass(frozen=True, slots=True)
class Knocked:
    """One call of a router's BGP port."""

    router: str
    local: Address | None
    """None = from any address: the router's own for us is on another replica."""
    result: Knock
    text: str = ""


@dataclass(frozen=True, slots=True)
class Right:
    """Something that the API server has to let us do."""

    verb: str
    group: str
    resource: str
    namespace: str | None
    why: str


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What the API server says."""

    unreachable: str | None = None
    """Why nothing can be known, with the way out."""
    denied: tuple[Right, ...] = ()
    peers: Mapping[str, PeerFacts] | None = None
    """MetalLB's BGPPeers by name; None where they cannot be listed."""
    missing: tuple[str, ...] = ()
    """Kinds of MetalLB's that the API server does not know."""
    replica: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the checks are handed."""

    settings: Settings
    version: str
    process: Process
    kernel: str
    now: float
    """Wall clock, seconds."""
    status: StatusView | None = None
    """Of the running Onepeer."""
    silent: str = ""
    """Why no running Onepeer answers."""
    mute: bool = False
    """It does not answer, and there is a control socket."""
    roster: int | None = None
    """Addresses of nodes."""
    roster_problem: str = ""
    md5: str | None = None
    """Why the kernel does not sign TCP; None where it does."""
    synchronised: bool | None = None
    """By the kernel's clock; None where it does not say."""
    cards: tuple[Card, ...] = ()
    listening: tuple[Listening, ...] = ()
    bfd: tuple[Listening, ...] = ()
    """Who has BFD's port, where it is asked for."""
    ways: Mapping[Address, str | None] = field(default_factory=dict)
    """By which interface each router is reached; None where by none."""
    far: frozenset[Address] = frozenset()
    """Routers that are reached over another router."""
    sysctls: Mapping[str, int] = field(default_factory=dict)
    """`net/ipv4/conf/IF/NAME` of `all` and of the interfaces in `ways`."""
    knocks: tuple[Knocked, ...] = ()
    state_dir: str | None = None
    """Why it cannot be written; None where it can."""
    cluster: ClusterFacts | None = None
    """None where the roster is a file."""
