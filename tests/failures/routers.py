"""Which routers are tried? FRR and BIRD, with and without graceful restart, with ADD-PATH and with lanes."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.lab import BIRD, FRR, Host, Peer

ASN = 64512
LANES = ("192.168.3.10", "192.168.3.11", "192.168.3.12", "192.168.3.13")
ROUTER = "192.168.3.1"
OVER_IPV6 = ("fd00:3::10",)
ROUTER6 = "fd00:3::1"


class CountingFRR(FRR):
    """FRR that tells how often a session came up."""

    graceful = True

    def router_lines(self) -> list[str]:
        lines = super().router_lines()
        return lines if self.graceful else [*lines[:2], " bgp graceful-restart-disable", *lines[2:]]

    def flaps(self) -> int:
        """Sessions that have come up so far, of all neighbors."""
        return sum(self.neighbor(peer.address).get("connectionsEstablished", 0) for peer in self.peers)


class CountingBIRD(BIRD):
    """The same of BIRD, by its log."""

    graceful = True

    def config(self) -> str:
        return "log stderr all;\ndebug protocols { states };\n" + super().config()

    def _peer(self, number: int, peer: Peer) -> str:
        text = super()._peer(number, peer)
        return text if self.graceful else text.replace("direct;", "direct; graceful restart off;", 1)

    def flaps(self) -> int:
        """Sessions that have come up so far."""
        return self.output().count("State changed to up")


@dataclass(frozen=True, slots=True)
class Variant:
    """One kind of router."""

    name: str
    """As docs/failures.md has it."""
    kind: type[CountingFRR] | type[CountingBIRD]
    graceful: bool
    """It helps with graceful restart."""
    addresses: Sequence[str]
    """Where its sessions go to. One = a line with ADD-PATH; more = so many lines without."""
    address: str = ROUTER
    """Where they come from."""
    password: str | None = None
    """Of TCP MD5 (RFC 2385)."""

    def build(self, host: Host) -> CountingFRR | CountingBIRD:
        """The router with its neighbor lines."""
        add_path = self.lanes == 1
        peers = [Peer(lane, ASN, password=self.password, add_path=add_path, families=(4,)) for lane in self.addresses]
        router = self.kind(host, ASN, peers)
        router.graceful = self.graceful
        return router

    @property
    def lanes(self) -> int:
        """How many."""
        return len(self.addresses)


VARIANTS = (
    Variant("FRR", CountingFRR, False, LANES[:1]),
    Variant("FRR, graceful restart", CountingFRR, True, LANES[:1]),
    Variant("FRR, 4 lanes", CountingFRR, False, LANES),
    Variant("FRR, over IPv6", CountingFRR, False, OVER_IPV6, ROUTER6),
    Variant("FRR, TCP MD5", CountingFRR, False, LANES[:1], password="blue-lantern"),
    Variant("BIRD", CountingBIRD, False, LANES[:1]),
    Variant("BIRD, graceful restart", CountingBIRD, True, LANES[:1]),
    Variant("BIRD, 4 lanes", CountingBIRD, False, LANES),
)
