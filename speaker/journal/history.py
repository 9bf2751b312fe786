"""What do the files of a journal answer? Also while no Onepeer runs."""

from collections.abc import Iterable
from pathlib import Path

from speaker.journal.records import answers, from_line
from speaker.journal.segments import newest_first
from speaker.serve.views import HistoryQuery, HistoryView, RecordView


def history(folder: Path, query: HistoryQuery) -> HistoryView:
    """The records of a folder that were asked for. Raises ValueError for a bad question, OSError for a bad disk."""
    lines = newest_first(folder)
    return kept((record for line in lines if (record := from_line(line)) is not None), query)


def kept(newest_first: Iterable[RecordView], query: HistoryQuery) -> HistoryView:
    """Those of these records that were asked for, in the order in which they happened."""
    fits = answers(query)
    found: list[RecordView] = []
    begins, more = None, False
    for record in newest_first:
        begins = record.at
        if fits(record):
            if query.last is not None and len(found) == query.last:
                more = True
            else:
                found.append(record)
    return HistoryView(records=found[::-1], begins=begins, more=more)
