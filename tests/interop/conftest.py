"""The network that the interop tests of a module share."""

from collections.abc import Iterator

import pytest

from tests.interop.network import Network
from tests.lab import Lab


@pytest.fixture(scope="module")
def _machines(real_parts: None) -> Iterator[Network]:
    with Lab() as lab:
        yield Network(lab)


@pytest.fixture
def net(_machines: Network) -> Iterator[Network]:
    """The module's machines, with no daemon running on them before and after each test."""
    yield _machines
    _machines.reset()
