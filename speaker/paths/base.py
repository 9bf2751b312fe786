"""What is a path mode? The interface that addpath.py, lanes.py and spread.py share.

A mode looks at one family of one router. It reads the table, is told what changed, and answers with placements.
It knows nothing of sockets, messages or time.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import ClassVar, NamedTuple

from speaker.bgp.attributes import Attributes
from speaker.rib.decide import Path
from speaker.rib.source import Source
from speaker.rib.table import Change, Table


class ModeName(StrEnum):
    """The modes, as settings, logs and the CLI call them."""

    ADDPATH = "addpath"
    LANES = "lanes"
    SPREAD = "spread"


class NotPlaced(StrEnum):
    """Why a path is not sent to a router. The value is what the CLI prints."""

    NOT_EQUAL_COST = "not-equal-cost"  # a better path exists, and the router could not use both
    LANES_FULL = "lanes-full"  # every lane that is up carries another path of this prefix
    MAX_PATHS = "max-paths"  # max_paths others are sent
    ONE_PATH = "one-path"  # spread: this prefix goes to another node
    SAME_NEXT_HOP = "same-next-hop"  # a path with this next hop is sent already
    SESSION_DOWN = "session-down"


class Placement(NamedTuple):
    """On `lane` (from 0), under `path_id` (4 octets or none), these prefixes have `path`, or nothing if None."""

    lane: int
    path_id: bytes
    prefixes: Sequence[bytes]
    path: Path | None


#: Whether the router may see paths with these attributes.
May = Callable[[Attributes], bool]


def may_all(_: Attributes) -> bool:
    """It may see every path."""
    return True


class PathMode(ABC):
    """One way to bring paths to a router."""

    name: ClassVar[ModeName]
    #: It picks few paths of many, so that one look at many changes costs less, and moves less, than many looks at few.
    picks: ClassVar[bool] = False

    def __init__(self, table: Table) -> None:
        self.table = table

    @abstractmethod
    def apply(self, changes: Sequence[Change]) -> Iterator[Placement]:
        """What follows from these changes of the table, for the lanes that are up."""

    @abstractmethod
    def adopt(self, lane: int, next_hops: Mapping[bytes, bytes]) -> None:
        """The router holds these next hops over a lane, by prefix, from before; to be called before it is up.

        A mode that picks keeps to them where it can.
        """

    def carried(self) -> dict[int, dict[bytes, bytes]]:
        """The next hop that each lane carries for each prefix, where that is at most one; what `adopt` takes."""
        return {}

    @abstractmethod
    def lanes_up(self, lanes: Sequence[int]) -> Iterator[Placement]:
        """The sessions of these lanes are there and empty: all that they should carry, and what moves on others."""

    @abstractmethod
    def lane_down(self, lane: int) -> Iterator[Placement]:
        """A lane's session is gone: what moves to others."""

    @abstractmethod
    def resend(self, lane: int) -> Iterator[Placement]:
        """All that a lane carries, again."""

    @abstractmethod
    def where(self, prefix: bytes) -> dict[Source, int | NotPlaced]:
        """For each path of a prefix: the lane that carries it, or why none does."""
