"""What has happened so far? The numbers that only grow, for /metrics.

app.py has one `Counters` for its whole life and adds to it in place: `counters.updates_sent += 1`,
`counters.sessions_ended[Side.NODE, cause] += 1`. What can be read off the state of things (sessions, paths) is no
counter: metrics.py takes that from the views. Imports nothing.
"""

import collections
import copy
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self


class Side(StrEnum):
    """Who is at the other end of a session."""

    ROUTER = "router"
    NODE = "node"


class Direction(StrEnum):
    """Who sent a NOTIFICATION."""

    SENT = "sent"
    RECEIVED = "received"


@dataclass(slots=True)
class Counters:
    """All since the start of the process."""

    updates_received: int = 0
    """UPDATE messages from nodes."""
    updates_sent: int = 0
    """UPDATE messages to routers."""
    bytes_received: int = 0
    """Octets of BGP read, all sessions."""
    bytes_written: int = 0
    """Octets of BGP handed to TCP, all sessions."""
    updates_malformed: int = 0
    """UPDATEs treated as withdraw (RFC 7606 2)."""
    messages_ignored: int = 0
    """Messages or parts of them left aside (bgp.events.Ignored)."""
    sessions_ended: collections.Counter[tuple[Side, str]] = field(default_factory=collections.Counter)
    """By side and bgp.events.Cause. Calls that never became a session are in `connections_refused`."""
    notifications: collections.Counter[tuple[Side, Direction, str]] = field(default_factory=collections.Counter)
    """By side, direction and error code with its IANA name: `6 Cease`."""
    connections_refused: collections.Counter[str] = field(default_factory=collections.Counter)
    """By reason: the word that the log and `onepeer nodes` have for it."""
    takeovers: collections.Counter[str] = field(default_factory=collections.Counter)
    """Sessions to routers that this replica went on with for another, by replicas.takeover.Way."""
    bfd_downs: collections.Counter[str] = field(default_factory=collections.Counter)
    """BFD sessions of nodes that left Up, by bfd.packet.Diagnostic."""
    bfd_discarded: collections.Counter[str] = field(default_factory=collections.Counter)
    """BFD packets that were left aside, by bfd.packet.Discard."""
    settings_reloads: int = 0
    """Changed settings taken up."""
    settings_reload_failures: int = 0
    """Changed settings refused; the old ones stayed in force."""
    roster_reloads: int = 0
    """Changed rosters taken up."""
    roster_reload_failures: int = 0
    """Changed rosters refused; the old one stayed in force."""

    def copy(self) -> Self:
        """As it is now; for reading in another thread while this one goes on."""
        return copy.deepcopy(self)
