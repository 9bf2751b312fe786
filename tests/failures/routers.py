"""Which routers are tried? FRR and BIRD, with and without graceful restart, with ADD-PATH and with lanes."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.lab import BIRD, FRR, Host, Peer

ASN = 64512
LANES = ("192.168.3.10", "192.168.3.11", "192.168.3.12", "192.168.3.13")


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
    lanes: int
    """1 = one line with ADD-PATH; more = so many lines without."""

    def build(self, host: Host) -> CountingFRR | CountingBIRD:
        """The router with its neighbor lines."""
        router = self.kind(host, ASN, [Peer(lane, ASN, add_path=self.lanes == 1) for lane in self.addresses])
        router.graceful = self.graceful
        return router

    @property
    def addresses(self) -> Sequence[str]:
        """Where its sessions go to."""
        return LANES[: self.lanes]


VARIANTS = (
    Variant("FRR", CountingFRR, False, 1),
    Variant("FRR, graceful restart", CountingFRR, True, 1),
    Variant("FRR, 4 lanes", CountingFRR, False, 4),
    Variant("BIRD", CountingBIRD, False, 1),
    Variant("BIRD, graceful restart", CountingBIRD, True, 1),
)
