"""How does what happens get into the journal without anybody waiting for a disk?

Whoever tells appends to a queue, which is all that it costs the sessions. A thread makes records and lines of it once
in a while, and writes them with one call. A disk that is full or read-only costs the journal and nothing else: it is
told once, the newest records stay in memory, and when the disk is back the journal goes on.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from speaker.bgp.iana import Family
from speaker.journal import records
from speaker.journal.history import history, kept
from speaker.journal.repeats import Repeats
from speaker.journal.segments import Segments
from speaker.log import LogEvent
from speaker.rib.table import Change
from speaker.serve.views import HistoryQuery, HistoryView, RecordView

FOLDER: Final = "journal"
"""Below `state_dir`."""

REST: Final = 1.0
"""Seconds between two writes. A cold start is over by then: its lines are made when the sessions have time again."""

RECENT: Final = 200
"""Records kept in memory, for those who look at what has just happened."""

UNWRITTEN: Final = 256 * 1024
"""Octets kept while the disk does not take them; what is more is lost."""

WAITING: Final = 100_000
"""What was told and not yet written, at most; more would mean that the thread is dead."""

_Told = tuple[float, LogEvent, dict[str, Any]] | tuple[float, None, Mapping[Family, Sequence[Change]]]


class Journal:
    """The journal of a running Onepeer. `event` and `paths` take any thread's word at once."""

    def __init__(self, state_dir: Path, size: int) -> None:
        """`size`: octets on disk, at most; 0 = none are written, and the newest records are in memory alone."""
        self._folder = state_dir / FOLDER
        self._segments = Segments(self._folder, size) if size else None
        self._told: deque[_Told] = deque(maxlen=WAITING)
        self._some = threading.Event()
        self._closing = threading.Event()
        self._writing = threading.Lock()
        self._repeats = Repeats()
        self._recent: deque[RecordView] = deque(maxlen=RECENT)
        self._unwritten = b""
        self._trouble: str | None = None
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)

    # --- for those who tell ---

    def event(self, event: LogEvent, keys: Mapping[str, Any]) -> None:
        """A log event was said."""
        self._tell((time.time(), event, dict(keys)))

    def paths(self, changes: Mapping[Family, Sequence[Change]]) -> None:
        """The tables have changed."""
        self._tell((time.time(), None, changes))

    def _tell(self, told: _Told) -> None:
        self._told.append(told)
        if not self._some.is_set():
            self._some.set()

    # --- for those who ask; both are for a thread, they read files or wait for one who writes ---

    def history(self, query: HistoryQuery) -> HistoryView:
        """What was asked for. Raises ValueError for a question that is none."""
        self.write()
        try:
            return history(self._folder, query) if self._trouble is None else self._of_memory(query)
        except OSError:
            return self._of_memory(query)

    def recent(self, count: int) -> list[RecordView]:
        """The newest records, the newest first."""
        self.write()
        with self._writing:
            return list(self._recent)[: -count - 1 : -1]

    def _of_memory(self, query: HistoryQuery) -> HistoryView:
        with self._writing:
            return kept(reversed(self._recent), query)

    # --- life ---

    def start(self) -> None:
        """Begin to write."""
        try:
            self._recent.extend(history(self._folder, HistoryQuery(last=RECENT)).records)
        except OSError as error:
            self._say(error)
        self._thread.start()

    def close(self) -> None:
        """Write what there is, and end. One that was not started has nothing to write: no Onepeer ran."""
        if self._thread.ident is None:
            return
        self._closing.set()
        self._some.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._closing.is_set():
            self._some.wait()
            self._closing.wait(REST)
            self.write()
        if self._segments is not None:
            self._segments.close()

    def write(self) -> None:
        """Bring what was told to the files."""
        with self._writing:
            self._some.clear()
            fresh = [record for told in self._take() for record in self._records(told)]
            self._recent.extend(fresh)
            data = self._unwritten + b"".join(map(records.to_line, fresh))
            if self._segments is None or not data:
                return
            try:
                self._segments.append(data)
                self._unwritten, self._trouble = b"", None
            except OSError as error:
                self._unwritten = data if len(data) <= UNWRITTEN else self._unwritten
                self._say(error)

    def _take(self) -> Iterator[_Told]:
        while self._told:
            yield self._told.popleft()

    def _records(self, told: _Told) -> Iterator[RecordView]:
        if told[1] is None:
            made = records.of_changes(told[0], told[2])
        else:
            made = iter([records.of_event(*told)])
        for record in made:
            if self._repeats.is_new(record):
                yield record.model_copy(update={"text": records.words(record)})

    def _say(self, error: OSError) -> None:
        """Once, until it is another trouble or the disk was back."""
        why = (error.strerror or str(error)).lower()
        if why != self._trouble:
            self._trouble = why
            structlog.get_logger().warning(LogEvent.JOURNAL_UNWRITTEN, folder=str(self._folder), why=why)
