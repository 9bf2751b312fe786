"""What all tests share: the Debian packages and rights that the real parts need, asked for once in a session."""

import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("frr", "frr-pythontools", "bird2", "gobgpd", "openbgpd", "iproute2")


@pytest.fixture(scope="session")
def real_parts() -> None:
    """The routing daemons are installed and namespaces may be made; else the test is skipped with the reason."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root: run `sudo make test`")
    done = subprocess.run([ROOT / "scripts" / "debian", *PACKAGES], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"scripts/debian {' '.join(PACKAGES)}: {done.stdout}{done.stderr}")


@pytest.fixture
def log_as_before() -> Iterator[None]:
    """What Onepeer sets for the log of its whole process is given back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
