"""The benchmark's own speakers and receiver agree on what was announced."""

import shutil
from pathlib import Path

import pytest

from .rig import Failed, Rig, compile_rig


@pytest.fixture(scope="session")
def rig_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled rig."""
    if not shutil.which("gcc"):
        pytest.skip("the rig is compiled: scripts/debian gcc libc6-dev")
    return compile_rig(tmp_path_factory.mktemp("rig"))


def test_the_receiver_holds_exactly_what_the_nodes_announced(rig_binary: Path) -> None:
    """Three nodes with five prefixes each, wired straight to the receiver, are fifteen paths."""
    with Rig(rig_binary, nodes=3, prefixes=5) as rig:
        assert rig.ask("nodes up 0 3 3")["established"] == 3
        answer = rig.ask("announce 0 3")
        assert (answer["paths"], answer["expected"], answer["wrong"]) == (15, 15, 0)


def test_a_new_prefix_and_its_withdrawal_are_both_seen(rig_binary: Path) -> None:
    """What `one` adds it takes away again: the table is what it was."""
    with Rig(rig_binary, nodes=3, prefixes=5) as rig:
        rig.ask("nodes up 0 3 3")
        rig.ask("announce 0 3")
        answer = rig.ask("one 4 5000")
        assert len(answer["samples"]) == 4
        assert (answer["paths"], answer["wrong"]) == (15, 0)


def test_a_table_that_is_not_the_wanted_one_is_a_failure_with_its_reason(rig_binary: Path) -> None:
    """A node that dies leaves its paths behind on a receiver that never withdraws: the rig must say so."""
    with Rig(rig_binary, nodes=3, prefixes=5) as rig:
        rig.ask("nodes up 0 3 3")
        rig.ask("announce 0 3")
        with pytest.raises(Failed, match="15 paths held, 10 wanted"):
            rig.ask("die 1", deadline=1)
