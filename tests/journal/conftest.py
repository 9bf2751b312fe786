"""What the tests of the journal say to it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from speaker.journal.journal import Journal


@pytest.fixture
def opened(tmp_path: Path, log_as_before: None) -> Iterator[Callable[..., Journal]]:
    """Opens journals in the folder of the test; they are closed with it."""
    journals: list[Journal] = []

    def open_one(size: int = 1_000_000) -> Journal:
        for journal in journals:
            journal.close()
        journals[:] = [Journal(tmp_path, size)]
        journals[0].start()
        return journals[0]

    yield open_one
    for journal in journals:
        journal.close()
