"""What is a record of the journal: as a line of a file, as an answer to a question, and in words?

A record is a log event that `LogEvent` says to keep, or the paths of one node that changed in one loop turn. As a line
it is a JSON object without what is empty; a line that cannot be read is none (a torn one after a crash). Pure: bytes,
values and text.
"""

import ipaddress
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from speaker.bgp.iana import Family
from speaker.bgp.nlri import Network
from speaker.journal.spans import size, spans, touches
from speaker.log import Kept, LogEvent
from speaker.rib.source import Source
from speaker.rib.table import Change
from speaker.serve.views import HistoryQuery, RecordView

PATHS: Final = "paths"
"""The event of a record that tells of paths; the only one that is no log event."""

_OWN: Final = ("event", "node", "router", "lane", "address", "exc_info", "level", "timestamp")


def of_event(at: float, event: LogEvent, keys: Mapping[str, Any]) -> RecordView:
    """A log event, with the keys that it was said with."""
    assert event.kept is not None
    details = {key: value for key, value in keys.items() if key not in _OWN and value not in (None, "", [], ())}
    return RecordView(
        at=at,
        kind=event.kept,
        event=str(event),
        node=keys.get("node"),
        router=keys.get("router"),
        lane=keys.get("lane"),
        address=keys.get("address"),
        details=json.loads(json.dumps(details, default=str)),
    )


def of_changes(at: float, changes: Mapping[Family, Sequence[Change]]) -> Iterator[RecordView]:
    """What the tables say has changed, a record for each node: what it has now that it had not, and the other way."""
    for source, by_family in _by_source(changes).items():
        announced: list[str] = []
        withdrawn: list[str] = []
        for family, prefixes in by_family.items():
            announced += spans((prefix for prefix, there in prefixes.items() if there), family)
            withdrawn += spans((prefix for prefix, there in prefixes.items() if not there), family)
        yield RecordView(
            at=at,
            kind=Kept.PATHS,
            event=PATHS,
            node=source.node,
            address=str(source.address),
            announced=announced,
            withdrawn=withdrawn,
        )


def _by_source(changes: Mapping[Family, Sequence[Change]]) -> dict[Source, dict[Family, dict[bytes, bool]]]:
    """Of each source and family whether each changed prefix is there in the end."""
    found: dict[Source, dict[Family, dict[bytes, bool]]] = {}
    for family, told in changes.items():
        for change in told:
            prefixes = found.setdefault(change.source, {}).setdefault(family, {})
            prefixes.update(dict.fromkeys(change.prefixes, change.attributes is not None))
    return found


# ---- lines


def to_line(record: RecordView) -> bytes:
    """As it stands in a file, with its newline."""
    return record.model_dump_json(exclude_defaults=True, exclude={"text"}).encode() + b"\n"


def from_line(line: bytes) -> RecordView | None:
    """The way back, in words too."""
    try:
        record = RecordView.model_validate_json(line)
    except ValidationError:
        return None
    return record.model_copy(update={"text": words(record)})


# ---- questions


def wanted_network(text: str) -> Network:
    """What a question asks for. Raises ValueError, in words for the user."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        example = "such as 192.168.30.1 or 192.168.30.0/24"
        raise ValueError(f"{text!r} is neither an address nor a prefix, {example}") from None


def answers(query: HistoryQuery) -> Callable[[RecordView], bool]:
    """Whether a record is one that was asked for. Raises ValueError for a prefix that is none."""
    network = None if query.prefix is None else wanted_network(query.prefix)

    def fits(record: RecordView) -> bool:
        if query.since is not None and record.at < query.since:
            return False
        if query.node is not None and not _is_about(record, query.node):
            return False
        return network is None or any(touches(span, network) for span in _prefixes(record))

    return fits


def _is_about(record: RecordView, node: str) -> bool:
    """By its name or its address, and also where a decision names it among others."""
    lists = (value for value in record.details.values() if isinstance(value, list))
    return node in (record.node, record.address) or any(node in value for value in lists)


def _prefixes(record: RecordView) -> Iterable[str]:
    said = record.details
    one = said.get("example") or (said.get("detail") if said.get("service") else None)
    return (*record.announced, *record.withdrawn, *([str(one)] if one else ()))


# ---- words


def words(record: RecordView) -> str:
    """What happened, as a part of a sentence that begins with who it is about."""
    said = _WORDS.get(record.event)
    if said is not None:
        return said(record)
    details = ", ".join(f"{key} {_plain(value)}" for key, value in record.details.items())
    return ": ".join(part for part in (record.event.replace("_", " "), details) if part)


def _paths(record: RecordView) -> str:
    told = (("announced", record.announced), ("withdrew", record.withdrawn))
    return "; ".join(f"{word} {_some(named)}" for word, named in told if named)


def _some(named: Sequence[str]) -> str:
    shown, total = ", ".join(named[:4]), sum(map(size, named))
    rest = total - sum(map(size, named[:4]))
    return f"{shown} and {rest} more" if rest else shown


def _down(record: RecordView) -> str:
    said = record.details
    why = said.get("notification") or said.get("text")
    return f"session down: {said.get('cause')}" + (f" ({why})" if why else "")


def _mode(record: RecordView) -> str:
    said = record.details
    return f"{said.get('family')} by {said.get('mode')}: {said.get('reason')}"


def _roster(record: RecordView) -> str:
    told = [
        f"{word} {_plain(record.details[word])}" for word in ("added", "removed", "changed") if word in record.details
    ]
    return f"roster of {record.details.get('nodes')}: {'; '.join(told) or 'unchanged'}"


def _missing(record: RecordView) -> str:
    said = record.details
    detail = f" ({said['detail']})" if said.get("detail") else ""
    if said.get("service"):
        return f"no node announces {said['service']}{detail}: {said.get('reason')}"
    return f"missing: {said.get('reason')}{detail}"


def _back(record: RecordView) -> str:
    service = record.details.get("service")
    return f"no longer missing{f': {service}' if service else ''} (was {record.details.get('reason')})"


def _refused(record: RecordView) -> str:
    said = record.details
    parts = [str(said[key]) for key in ("reason", "text") if said.get(key)]
    example = f", such as {said['example']}" if said.get("example") else ""
    what = "paths refused" if record.event == LogEvent.PATHS_REFUSED else "refused"
    return f"{what}: {': '.join(parts)}{example}"


_WORDS: Final[Mapping[str, Callable[[RecordView], str]]] = {
    PATHS: _paths,
    LogEvent.STARTED: lambda record: f"Onepeer {record.details.get('version')} started",
    LogEvent.STOPPING: lambda record: f"Onepeer stopped ({record.details.get('reason')})",
    LogEvent.SESSION_ESTABLISHED: lambda _: "session up",
    LogEvent.SESSION_ENDED: _down,
    LogEvent.DIAL_FAILED: lambda record: f"cannot be reached: {record.details.get('text')}",
    LogEvent.STRANGER_REFUSED: lambda _: "a stranger called, and was refused",
    LogEvent.NODE_REFUSED: _refused,
    LogEvent.ROUTER_REFUSED: _refused,
    LogEvent.PATHS_REFUSED: _refused,
    LogEvent.MODE_CHOSEN: _mode,
    LogEvent.ROSTER_CHANGED: _roster,
    LogEvent.PATHS_MISSING: _missing,
    LogEvent.PATHS_BACK: _back,
}


def _plain(value: Any) -> str:
    if isinstance(value, list):
        shown = ", ".join(map(str, value[:6]))
        return f"{shown} and {len(value) - 6} more" if len(value) > 6 else shown
    return str(value)
