"""Tests here may be coroutines."""

from tests.app.loop import pytest_pyfunc_call, runner

__all__ = ["pytest_pyfunc_call", "runner"]
