"""Fixtures of tests that are coroutines: a loop each, and nothing left over afterwards.

A task, a warning or a fault in the log that a test leaves behind fails it.
"""

import asyncio
import contextlib
import inspect
import io
from collections.abc import Iterator

import pytest

from speaker import app
from tests.app.stage import FAULTS, Stage


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a coroutine in the loop of the fixture `runner`."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    runner: asyncio.Runner = pyfuncitem.funcargs["runner"]
    stage = pyfuncitem.funcargs.get("stage")
    log = contextlib.redirect_stderr(stage.stream) if isinstance(stage, Stage) else contextlib.nullcontext()
    with log:
        runner.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """A fresh loop; tasks that are left in it are told."""
    with asyncio.Runner() as runner:
        yield runner
        left = asyncio.all_tasks(runner.get_loop())
    assert not left, f"tasks left over: {left}"


@pytest.fixture(autouse=True)
def _process_as_before(log_as_before: None) -> None:
    """What Onepeer sets for its whole process is given back."""


@pytest.fixture
def stage(runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A Onepeer to be started, which is ended with the test."""
    stage = Stage(io.StringIO())
    yield stage
    monkeypatch.setattr(app, "FAREWELL", 0.0)  # nobody listens to the last words any more
    runner.run(stage.close())
    stage.clean()
    if not stage.faults_expected:
        assert not stage.said(*FAULTS), stage.log()
