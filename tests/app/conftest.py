"""Coroutines as tests, each in a loop of its own."""

from tests.app.loop import _process_as_before, pytest_pyfunc_call, runner, stage

__all__ = ["_process_as_before", "pytest_pyfunc_call", "runner", "stage"]
