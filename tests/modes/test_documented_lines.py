"""The lines that docs/routers.md has people type into FRR."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.lab.frr import BIN

PAGE = Path(__file__).resolve().parents[2] / "docs" / "routers.md"
BLOCKS = re.findall(r"```frr\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block{number}" for number in range(1, len(BLOCKS) + 1)])
def test_frr_takes_every_line(real_parts: None, block: str) -> None:
    """A dry run of bgpd reads the block without a complaint."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(block)
        file.flush()
        os.chmod(file.name, 0o644)  # bgpd reads it as a user of its own
        done = subprocess.run([f"{BIN}/bgpd", "-C", "-f", file.name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
