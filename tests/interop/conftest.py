"""The network that the interop tests of a module share."""

from collections.abc import Iterator

import pytest

from tests.interop.network import Network
from tests.lab import Lab


@pytest.fixture(scope="module")
def machines(real_parts: None) -> Iterator[Network]:
    """The machines of this module."""
    with Lab() as lab:
        yield Network(lab)


@pytest.fixture
def net(machines: Network) -> Iterator[Network]:
    """The module's machines, with no daemon running on them before and after each test."""
    yield machines
    machines.reset()
