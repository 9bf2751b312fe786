"""The short form: each failure once, on FRR without graceful restart, with what must hold as assertions."""

import pytest

from tests.failures.measure import measure
from tests.failures.rows import ROWS, Row
from tests.failures.world import World


@pytest.mark.parametrize("row", [row for row in ROWS if row.spares and not row.lasts], ids=lambda row: row.name)
def test_nothing_is_lost_by_what_happens_to_onepeer(world: World, row: Row) -> None:
    """No packet of a node that is there, and no flap of the router's session."""
    outcome = measure(world, row)
    assert (outcome.lost, outcome.flaps) == (0, 0), outcome
