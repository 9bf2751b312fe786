"""What all tests share: the Debian packages and rights that the real parts need, asked for once in a session."""

import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

ROOT = Path(__file__).resolve().parents[1]
SLOW = [ROOT / "tests/e2e", ROOT / "tests/failures"]
"""Lanes of their own (`make e2e`, `make failures`): their first run builds kube-apiserver and MetalLB, which takes
minutes."""
PACKAGES = ("frr", "frr-pythontools", "bird2", "gobgpd", "openbgpd", "iproute2")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves the slow lanes to those who name their folder, or something in it."""
    named = [(config.invocation_params.dir / word.split("::")[0]).resolve() for word in config.args]
    for folder in SLOW:
        if collection_path == folder:
            return None if any(path == folder or folder in path.parents for path in named) else True
    return None


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
