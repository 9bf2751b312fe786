"""The lines that docs/routers.md has people type into FRR."""

import re
from pathlib import Path

import pytest

from tests.lab.frr import dry_run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "routers.md"
BLOCKS = re.findall(r"```frr\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block{number}" for number in range(1, len(BLOCKS) + 1)])
def test_frr_takes_every_line(real_parts: None, block: str) -> None:
    """A dry run of bgpd reads the block without a complaint."""
    assert dry_run(block) == (0, "")
