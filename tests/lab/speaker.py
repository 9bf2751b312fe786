"""What all BGP daemons of the lab have in common: how they are described, started, asked and ended.

A daemon is a *router* when it takes paths and installs them, a *node* when it has `networks` to announce, as
MetalLB's speaker on a node does. Each subclass turns the same description into its own configuration text and
reads its own CLI back into the same types.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from tests.lab.netns import Host, Process
from tests.lab.wait import wait_until

READY = 20.0
"""Seconds that a daemon may take to answer its CLI; a second is usual, the rest is for a busy machine."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One neighbor of a daemon."""

    address: str
    asn: int
    port: int = 179
    """The port to dial; nodes dial Onepeer on 1790."""
    password: str | None = None
    """TCP MD5 (RFC 2385)."""
    add_path: bool = True
    """Offer to receive ADD-PATH (RFC 7911)."""
    passive: bool = False
    """Wait for the other side's call."""
    bfd: int | None = None
    """BFD with a packet in so many ms, as MetalLB's FRR modes have it with a BFDProfile; of FRR alone."""
    hold: int | None = None
    """Hold time in seconds; None = the daemon's own default."""
    relax: bool = False
    """Equal-cost although the AS_PATHs differ (FRR's as-path multipath-relax)."""
    families: tuple[int, ...] = ()
    """The address families spoken; () = that of the address."""

    @property
    def spoken(self) -> tuple[int, ...]:
        return self.families or (family_of(self.address),)


@dataclass(frozen=True, slots=True, order=True)
class Path:
    """One path to a prefix, as the daemon's CLI shows it."""

    next_hop: str
    as_path: str = ""
    """AS numbers, separated by single spaces."""
    local_pref: int | None = None
    originator_id: str | None = None
    cluster_list: tuple[str, ...] = ()


def family_of(text: str) -> int:
    """4 or 6: the family of an address or prefix."""
    return 6 if ":" in text else 4


class Speaker(ABC):
    """One BGP daemon on one host."""

    kind: ClassVar[str]
    installs: ClassVar[bool]
    """Whether it puts what it learns into the kernel's table."""

    def __init__(
        self,
        host: Host,
        asn: int,
        peers: Iterable[Peer],
        networks: Iterable[str] = (),
        router_id: str | None = None,
    ) -> None:
        self.host = host
        self.asn = asn
        self.peers = list(peers)
        self.networks = list(networks)
        self.is_node = bool(self.networks)
        self.router_id = router_id or host.v4
        self.processes: list[Process] = []
        self.folder = host.folder / self.kind
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o777)  # each daemon drops to a user of its own

    @abstractmethod
    def config(self) -> str:
        """The text of its configuration file."""

    @abstractmethod
    def launch(self) -> None:
        """Start its processes and add them to `self.processes`."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether its CLI answers."""

    @abstractmethod
    def established(self, peer: str) -> bool:
        """Whether the session with this neighbor is up."""

    @abstractmethod
    def paths(self, prefix: str) -> list[Path]:
        """The paths it holds for exactly this prefix from all its neighbors, sorted by next hop."""

    @abstractmethod
    def announce(self, *prefixes: str) -> None:
        """Announce more prefixes, while running."""

    @abstractmethod
    def withdraw(self, *prefixes: str) -> None:
        """Take announced prefixes back, while running."""

    def start(self) -> None:
        """Start, and return once it answers. Raises NotInTime with its output when it does not."""
        self.launch()
        wait_until(self._up, READY, f"{self.kind} on {self.host.name} answers", seen=self.output)

    def _up(self) -> bool:
        ended = [process for process in self.processes if not process.alive()]
        assert not ended, f"{self.kind} on {self.host.name} ended by itself:\n{self.output()}"
        return self.ready()

    def stop(self) -> None:
        """End it in the way its service manager would (SIGTERM)."""
        for process in reversed(self.processes):
            process.terminate()
        self.processes.clear()

    def crash(self) -> None:
        """End it without a goodbye (SIGKILL)."""
        for process in reversed(self.processes):
            process.kill()
        self.processes.clear()

    def output(self) -> str:
        """What its processes printed so far."""
        return "\n".join(process.output() for process in self.processes)

    def next_hops(self, prefix: str) -> list[str]:
        """The next hops of the paths that it holds for this prefix, sorted."""
        return sorted(path.next_hop for path in self.paths(prefix))

    def write(self, name: str, text: str) -> str:
        """Write a file that its own user, too, may read; return the path."""
        path = self.folder / name
        path.write_text(text)
        os.chmod(path, 0o644)
        return str(path)
