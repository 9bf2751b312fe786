"""What does Onepeer say, and how? Every log event by name, and the set-up of the log.

An event's name, level, meaning and keys stand in `LogEvent` and nowhere else; docs/logs.md is made of them. Callers
write `log.warning(LogEvent.SESSION_ENDED, cause=cause, ...)`. What a whole session shares is bound once and then
inherited: `log.bind(router=...)` or `log.bind(node=..., address=...)`.

One event is one line on stderr: a JSON object, or text for people. Times are UTC.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, Literal, Self, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "text"]


class Kept(StrEnum):
    """What an event is in the journal (speaker/journal), where it is kept there."""

    LIFE = "life"  # Onepeer itself
    SESSION = "session"  # up, or down with its cause
    REFUSAL = "refusal"  # once, until the session of that peer comes or goes
    DECISION = "decision"  # modes, roster, guard, settings, and what the cluster is told
    PATHS = "paths"  # the journal's own: no log event has it


class LogEvent(StrEnum):
    """`name, level, keys, meaning`, and how the journal keeps it. Which peer it is about is bound, no key."""

    level: Level
    keys: tuple[str, ...]
    meaning: str
    kept: Kept | None

    def __new__(cls, name: str, level: Level, keys: str, meaning: str, kept: Kept | None = None) -> Self:
        """The member, a str that is its name."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.level, member.keys, member.meaning = level, tuple(keys.split()), meaning
        member.kept = kept
        return member

    # ---- Onepeer as a whole
    STARTED = (
        "started", "info", "version asn router_id settings",
        "The settings are good; listening and dialling begin.",
        Kept.LIFE,
    )  # fmt: skip
    LISTENING = "listening", "info", "address", "Nodes, and routers that dial, can reach this address."
    CONTROL_LISTENING = "control_listening", "info", "socket", "The CLI can ask on this socket."
    HTTP_LISTENING = "http_listening", "info", "url", "Metrics and health are served here."
    LISTEN_FAILED = (
        "listen_failed", "error", "key address why way_out",
        "An address, port or socket cannot be had; `key` is the setting to change.",
    )  # fmt: skip
    WAITING_FOR_NODES = (
        "waiting_for_nodes", "info", "nodes wait",
        "After the start, End-of-RIB is held back until these nodes are there or `wait` seconds are over.",
    )  # fmt: skip
    NODES_SETTLED = (
        "nodes_settled", "info", "up missing waited",
        "The wait is over: the nodes are back, or it took too long and `missing` names who is not.",
        Kept.LIFE,
    )  # fmt: skip
    STOPPING = (
        "stopping", "info", "reason graceful",
        "Onepeer ends; `graceful` names the routers that go on forwarding meanwhile.",
        Kept.LIFE,
    )  # fmt: skip
    STOPPED = "stopped", "info", "ran", "All sessions are closed; `ran` is in seconds."

    # ---- settings and roster
    SETTINGS_RELOADED = (
        "settings_reloaded", "info", "changed",
        "Changed settings are in force; `changed` names their keys. Other sessions were not touched.",
        Kept.DECISION,
    )  # fmt: skip
    SETTINGS_REFUSED = (
        "settings_refused", "error", "problems",
        "The changed settings have mistakes; the old ones stay in force until the file is put right.",
        Kept.REFUSAL,
    )  # fmt: skip
    ROSTER_CHANGED = (
        "roster_changed", "info", "added removed changed nodes remark",
        "Another roster is in force, with so many nodes; the first one too.",
        Kept.DECISION,
    )  # fmt: skip
    ROSTER_PROBLEM = (
        "roster_problem", "error", "problems",
        "The roster cannot be read, or not be right; the last good one stays in force.",
        Kept.REFUSAL,
    )  # fmt: skip
    GUARD_CHANGED = (
        "guard_changed", "info", "prefixes remark",
        "MetalLB's pools let in other prefixes than before; the first time too.",
        Kept.DECISION,
    )  # fmt: skip
    STATE_UNSAVED = (
        "state_unsaved", "warning", "folder why",
        "What a start needs, the roster or what the lanes carry, could not be kept; all else goes on.",
    )  # fmt: skip

    JOURNAL_UNWRITTEN = (
        "journal_unwritten", "warning", "folder why",
        "The journal cannot be kept or read on disk; said once, and all else goes on.",
    )  # fmt: skip

    # ---- what the cluster is told
    BGP_PEER_KEPT = (
        "bgp_peer_kept", "info", "name action why",
        "A BGPPeer of MetalLB that is ours was `applied` or `removed`.",
        Kept.DECISION,
    )  # fmt: skip
    BGP_PEER_LEFT = (
        "bgp_peer_left", "info", "names",
        "People have written BGPPeers where ours would be, so theirs are left alone and ours are not made.",
        Kept.DECISION,
    )  # fmt: skip
    CLUSTER_REFUSED = (
        "cluster_refused", "warning", "what why way_out",
        "The API server does not take a BGPPeer or an Event of ours; it is tried again, and said once.",
        Kept.REFUSAL,
    )  # fmt: skip

    # ---- the life of a session
    DIALING = "dialing", "debug", "local remote", "A TCP connection to a router is being made."
    DIAL_FAILED = (
        "dial_failed", "warning", "local remote text retry_in",
        "TCP to a router never came up; said when the reason is new, not at each try.",
        Kept.REFUSAL,
    )  # fmt: skip
    SESSION_OPENED = (
        "session_opened", "debug", "local remote dialed",
        "The peer's OPEN is in and acceptable; `dialed` tells who called.",
    )  # fmt: skip
    SESSION_ESTABLISHED = (
        "session_established", "info", "local remote asn router_id hostname hold_time capabilities",
        "Routes may flow. `asn`, `router_id` and `hostname` are the peer's, `capabilities` what both sides have.",
        Kept.SESSION,
    )  # fmt: skip
    SESSION_ENDED = (
        "session_ended", "warning", "cause notification text lasted paths",
        "A session is over; `lasted` in seconds since Established, `paths` that it had carried.",
        Kept.SESSION,
    )  # fmt: skip
    PATHS_HELD = (
        "paths_held", "warning", "loss paths seconds",
        "The paths of a node whose session was lost stay on the routers, for so many seconds at most; `loss` is what "
        "the end of the session says of the node.",
        Kept.DECISION,
    )  # fmt: skip
    HELD_PATHS_ENDED = (
        "held_paths_ended", "info", "fate dropped left after",
        "Paths of a node are held no more: why, how many went, how many stay for now since no other node has them, and "
        "how many seconds after the loss. `refreshed`: all were announced again, and no router saw anything.",
        Kept.DECISION,
    )  # fmt: skip
    MASS_FAILURE = (
        "mass_failure", "error", "lost of share seconds",
        "More than `share` percent of the nodes were lost at once. Their paths stay on the routers for so many seconds "
        "at most, whatever else is said of the nodes.",
        Kept.DECISION,
    )  # fmt: skip
    MASS_FAILURE_OVER = (
        "mass_failure_over", "info", "after", "No path is held any more because of it.", Kept.DECISION,
    )  # fmt: skip
    MODE_CHOSEN = (
        "mode_chosen", "info", "family mode reason",
        "How many paths of a prefix this router gets, and why.",
        Kept.DECISION,
    )  # fmt: skip
    END_OF_RIB_SENT = "end_of_rib_sent", "info", "family paths", "The router now has all there is (RFC 4724 2)."
    END_OF_RIB_RECEIVED = "end_of_rib_received", "debug", "family paths", "The node has sent all that it has."
    REFRESH_REQUESTED = (
        "refresh_requested", "info", "family",
        "The router wants everything again (RFC 2918), and gets it.",
    )  # fmt: skip

    # ---- replicas
    TAKEN_OVER = (
        "taken_over", "info", "lane way took before",
        "This replica leads now and goes on where `before` was: `way` is how (docs/availability.md), `took` seconds "
        "since it had the Lease.",
    )  # fmt: skip
    HANDED_OVER = (
        "handed_over", "info", "to took",
        "Another replica leads now and has got all that it takes; `took` is in seconds.",
    )  # fmt: skip
    LEAD_LOST = (
        "lead_lost", "warning", "why holder",
        "This replica does not lead any more, without a handover; its connections were closed without a word.",
    )  # fmt: skip
    LEADS_WITHOUT_LEASE = (
        "leads_without_lease", "warning", "why",
        "The Lease cannot be renewed since the API server does not answer. Most nodes have sessions with us, so this "
        "replica goes on.",
    )  # fmt: skip
    LEASE_TROUBLE = (
        "lease_trouble", "warning", "why way_out",
        "The Lease cannot be read or written; each reason is said once until it is over.",
    )  # fmt: skip
    ADDRESS_CONFLICT = (
        "address_conflict", "error", "owner before",
        "This replica has the Lease, and another host on the link (`owner`, a MAC address) says that it has the "
        "router's address. A leader tells the link anew every 10 s, one that is to lead does not take it. At most once "
        "a minute.",
    )  # fmt: skip
    REPLICA_REFUSED = (
        "replica_refused", "warning", "address why",
        "A call between replicas came to nothing, because one does not know the other by its key or its version.",
    )  # fmt: skip
    TAKEOVER_TROUBLE = (
        "takeover_trouble", "error", "why",
        "Part of what a takeover needs is not to be had; a worse way is taken. At most once a minute.",
    )  # fmt: skip

    # ---- what is refused
    STRANGER_REFUSED = (
        "stranger_refused", "warning", "address count",
        "A call from an address in neither roster nor routers: closed without an OPEN. At most once in a while for "
        "each address; `count` is how often since it was last said.",
        Kept.REFUSAL,
    )  # fmt: skip
    MD5_REFUSED = (
        "md5_refused", "warning", "reason count suspects",
        "The kernel dropped packets with a wrong, missing or unexpected TCP MD5 signature (RFC 2385). It does not tell "
        "whose: `suspects` are the peers without a session. At most once a minute for each reason; `count` is how many "
        "since it was last said.",
        Kept.REFUSAL,
    )  # fmt: skip
    NODE_REFUSED = (
        "node_refused", "warning", "reason text",
        "A node of the roster that gets no session: a wrong AS, a second session, a bad OPEN.",
        Kept.REFUSAL,
    )  # fmt: skip
    ROUTER_REFUSED = (
        "router_refused", "warning", "reason text",
        "A router that gets no session: a wrong AS, our own identifier, a bad OPEN.",
        Kept.REFUSAL,
    )  # fmt: skip
    NODE_DRAINED = (
        "node_drained", "info", "paths kept",
        "So many paths of the node are made the least preferred and kept from the routers 5 s later, on purpose; `kept`"
        " stay, as the least preferred, since no other node has them.",
        Kept.DECISION,
    )  # fmt: skip
    NODE_UNDRAINED = "node_undrained", "info", "", "The node is drained no more, and its paths are back.", Kept.DECISION
    NODE_SILENT = (
        "node_silent", "warning", "paths",
        "The node answers ARP, or where that knows nothing BFD, no more: its paths are kept from the routers until it "
        "does.",
        Kept.SESSION,
    )  # fmt: skip
    NODE_ANSWERS = (
        "node_answers", "info", "paths", "The node answers again, and its paths are back.", Kept.SESSION,
    )  # fmt: skip
    PROBES_OFF = (
        "probes_off", "warning", "why way_out",
        "Nodes cannot be asked by ARP whether they are there: a vanished one is found by the hold timer.",
    )  # fmt: skip
    BFD_UP = "bfd_up", "info", "", "BFD with this node's speaker is Up.", Kept.SESSION
    BFD_DOWN = (
        "bfd_down", "warning", "diag",
        "BFD with this node's speaker was Up and is no more. `diag` is why: the silence of the node for its detection "
        "time (the node is silent then, if its BGP session is up and ARP does not know better), or its own word.",
        Kept.SESSION,
    )  # fmt: skip
    BFD_OFF = (
        "bfd_off", "warning", "why way_out",
        "BFD was asked for and cannot be had; all else goes on.",
    )  # fmt: skip
    PATHS_MISSING = (
        "paths_missing", "warning", "reason detail addresses since service",
        "The node should announce so many addresses and does not, for half a minute now; `since` is when that began. "
        "Said of a `service`, whose address (`detail`) no node announces, and of a router that gets nothing, too.",
        Kept.DECISION,
    )  # fmt: skip
    PATHS_BACK = (
        "paths_back", "info", "reason service", "What paths_missing told with this reason is mended.", Kept.DECISION,
    )  # fmt: skip
    AUDIT_BLIND = (
        "audit_blind", "warning", "why",
        "What should be announced is not known, or not why nodes stay away: something of the cluster cannot be read.",
    )  # fmt: skip
    PATHS_REFUSED = (
        "paths_refused", "warning", "reason count example",
        "The guard keeps paths of this node out; said when a reason is new, `example` is one prefix.",
        Kept.REFUSAL,
    )  # fmt: skip
    MAX_PREFIXES_EXCEEDED = (
        "max_prefixes_exceeded", "warning", "prefixes limit",
        "A node has announced more than nodes.max_prefixes; its session ends.",
        Kept.REFUSAL,
    )  # fmt: skip
    UPDATE_MALFORMED = (
        "update_malformed", "warning", "reason prefixes",
        "An UPDATE that cannot be believed; its prefixes count as withdrawn, the session lives (RFC 7606).",
        Kept.REFUSAL,
    )  # fmt: skip
    MESSAGE_IGNORED = "message_ignored", "info", "what", "A message, or a part of one, was left aside."

    # ---- our own faults
    INTERNAL_FAULT = (
        "internal_fault", "error", "",
        "A mistake of Onepeer's own; the sessions of this router begin anew with the whole table. Worth reporting.",
        Kept.DECISION,
    )  # fmt: skip
    REQUEST_FAILED = (
        "request_failed", "error", "path",
        "Onepeer could not answer the CLI or a scrape; a mistake of its own, worth reporting.",
    )  # fmt: skip
    LIBRARY_SAID = (
        "library_said", "warning", "logger text",
        "A warning or an error from a library or from Python itself.",
    )  # fmt: skip


class _Output:
    """Writes lines to a stream. Never raises: a full disk or a reader that left must not end a session."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # EPIPE, ENOSPC, EAGAIN, or a closed stream (ValueError): a line is lost, nothing else.
            return

    debug = info = warning = error = msg


# One list for the whole life of the process: loggers that were bound earlier hold it too, so that a reload changes
# the level and format of them all.
_processors: Final[list[Processor]] = []


Recorder = Callable[[LogEvent, Mapping[str, Any]], None]
"""Is told of each event that is kept, with all its keys, at once and whatever the level of the log."""

_recorders: Final[list[Recorder]] = []


def record_to(recorder: Recorder | None) -> None:
    """From now on events that are kept are told to this one, or to nobody."""
    _recorders[:] = [] if recorder is None else [recorder]


def configure(level: Level, form: Format | None, stream: TextIO | None = None) -> None:
    """Begin to log, or from now on log otherwise. `form` None: text where `stream` (stderr) is a terminal."""
    stream = stream or sys.stderr
    terminal = stream.isatty()
    if form is None:
        form = "text" if terminal else "json"
    _processors[:] = [
        _record,
        _at_least(level),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("iso", utc=True),
        *(_json() if form == "json" else _text(colors=terminal)),
    ]
    structlog.configure(
        processors=_processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=lambda *_: _Output(stream),
        cache_logger_on_first_use=False,
    )
    _take_over_logging()


def _record(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    said = event["event"]
    if isinstance(said, LogEvent) and said.kept is not None:
        for recorder in _recorders:
            recorder(said, event)
    return event


def _at_least(level: Level) -> Processor:
    order: list[str] = ["debug", "info", "warning", "error"]
    wanted = order.index(level)

    def drop(_: WrappedLogger, name: str, event: EventDict) -> EventDict:
        if name in order and order.index(name) < wanted:
            raise structlog.DropEvent
        return event

    return drop


def _json() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        _first("timestamp", "level", "event"),
        structlog.processors.JSONRenderer(serializer=json.dumps, default=str, ensure_ascii=False),
    ]


def _text(colors: bool) -> list[Processor]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback, sort_keys=False, pad_event_to=0
    )
    return [renderer]


def _first(*keys: str) -> Processor:
    """Puts the keys that every line has in front, so that lines can be read in a column."""

    def order(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {**{key: event[key] for key in keys if key in event}, **event}

    return order


class _Bridge(logging.Handler):
    """What libraries say through `logging` (aiohttp, asyncio's forgotten tasks), in our own form."""

    def emit(self, record: logging.LogRecord) -> None:
        log, text = structlog.get_logger(), record.getMessage()
        log.warning(LogEvent.LIBRARY_SAID, logger=record.name, text=text, exc_info=record.exc_info)


def _take_over_logging() -> None:
    root = logging.getLogger()
    if not any(isinstance(handler, _Bridge) for handler in root.handlers):
        root.addHandler(_Bridge(logging.WARNING))
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
