"""docs/metrics.md and docs/logs.md say what the code does."""

from speaker.log import LogEvent
from speaker.serve.metrics import ROWS
from tests.serve.generated import check_page, table


def code(*words: str) -> str:
    return " ".join(f"`{word}`" for word in words)


def test_the_page_of_metrics_has_every_metric() -> None:
    """With its type and labels, in the order of the table in the code."""
    rows = [(code(row.name), row.kind, code(*row.labels), row.help) for row in ROWS]
    check_page("metrics.md", {"metrics": table(("Name", "Type", "Labels", "Meaning"), rows)})


def test_the_page_of_log_events_has_every_event() -> None:
    """With its level and keys, and how the journal keeps it."""
    rows = [(code(event), event.level, code(*event.keys), event.kept or "", event.meaning) for event in LogEvent]
    check_page("logs.md", {"events": table(("Event", "Level", "Keys", "Journal", "Meaning"), rows)})
