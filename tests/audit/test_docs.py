"""docs/troubleshooting.md has every reason of the audit, with its next step."""

from speaker.audit.reasons import Reason
from tests.serve.generated import check_page, table


def test_every_reason_is_on_the_page() -> None:
    """In the words that `explain` prints."""
    rows = [(f"`{reason}`", "yes" if reason.fault else "no", reason.next_step) for reason in Reason]
    check_page("troubleshooting.md", {"reasons": table(("Reason", "A fault", "What to do"), rows)})
