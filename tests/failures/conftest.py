"""One world that the short form shares."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT
from tests.e2e.conftest import PACKAGES
from tests.failures.routers import VARIANTS
from tests.failures.world import World
from tests.lab import Lab

MISTAKES = ("internal_fault", "library_said")


@pytest.fixture(scope="session")
def world(real_parts: None) -> Iterator[World]:
    """FRR without graceful restart: nothing but the takeover itself saves the routes."""
    subprocess.run([ROOT / "scripts/debian", *PACKAGES], check=True, stdout=subprocess.DEVNULL)
    with Lab() as lab:
        made = World(lab, VARIANTS[0])
        made.start()
        yield made
        # Whatever was done to them, no replica has made a mistake of its own, nor used a library in a wrong way.
        replicas = made.replicas.values()
        assert [said for one in replicas for event in MISTAKES for said in one.told(event)] == []
