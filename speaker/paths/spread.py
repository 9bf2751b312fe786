"""One plain session carries one path a prefix: each prefix goes to one node, the prefixes evenly to all.

Without ADD-PATH a router keeps one path a session (measured: four sent, one next hop). So one service uses one node;
it is the services that spread. That is one seat for each prefix (seats.py): a lost node moves its own prefixes and
no others, one that returns takes what it must for an even load.
"""

from speaker.paths.base import May, ModeName, NotPlaced, may_all
from speaker.paths.lanes import Lanes
from speaker.rib.table import Table


class Spread(Lanes):
    """Lanes with a single seat."""

    name = ModeName.SPREAD
    full = NotPlaced.ONE_PATH

    def __init__(self, table: Table, may: May = may_all) -> None:
        super().__init__(table, 1, may)
