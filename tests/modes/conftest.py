"""The measured tables at the end of the run."""

import pytest

from tests.modes import counts


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what was counted; the figures in docs/routers.md are from here."""
    if counts.TABLES:
        terminalreporter.section("path modes, measured")
        terminalreporter.write_line(counts.text())
