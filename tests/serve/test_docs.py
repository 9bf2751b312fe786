"""docs/metrics.md, docs/logs.md and docs/json.md say what the code does."""

from speaker.audit.reasons import Reason
from speaker.bgp.events import Cause
from speaker.log import LogEvent
from speaker.peers.holding import Loss
from speaker.replicas.takeover import Way
from speaker.serve.metrics import ROWS
from tests.serve.example import status
from tests.serve.generated import check_page, table
from tests.serve.schema import views


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


def test_the_page_of_the_json_has_every_field_of_every_view() -> None:
    """With its type, unit and meaning, the words that are values, and an answer as a command prints it."""
    parts = [
        f"\n### {view.name}\n\n{view.meaning}\n{table(('Field', 'Type', 'Meaning'), view.rows)}" for view in views()
    ]
    kinds = (
        ("`cause` of a session's end", Cause),
        ("`loss` of what is held", Loss),
        ("`way` of a takeover", Way),
        ("`reason` and `why_none` of the audit", Reason),
    )
    made = {
        "example": f"\n```json\n{status().model_dump_json(indent=2)}\n```\n\n",
        "views": "".join(parts),
        "words": table(("Field", "Words"), [(field, code(*words)) for field, words in kinds]),
    }
    check_page("json.md", made)
