"""A way to ask what is wrong with a settings file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from speaker.config import SettingsError, load


@pytest.fixture
def wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """What `load` has against a text, one line for each problem; empty when it is good."""
    monkeypatch.chdir(tmp_path)

    def ask(text: str) -> list[str]:
        Path("onepeer.yaml").write_text(text)
        try:
            load(Path("onepeer.yaml"))
        except SettingsError as error:
            return [str(problem) for problem in error.problems]
        return []

    return ask
