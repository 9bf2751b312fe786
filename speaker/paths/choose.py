"""Which path mode fits a router? The one place that chooses, from what the router offers and what is configured."""

from typing import NamedTuple

from speaker.bgp.iana import Family
from speaker.bgp.opening import Negotiated
from speaker.paths.addpath import AddPath, LimitedAddPath
from speaker.paths.base import May, ModeName, PathMode
from speaker.paths.lanes import Lanes
from speaker.paths.spread import Spread
from speaker.rib.table import Table


class Choice(NamedTuple):
    """A mode and why it was taken, for people."""

    mode: ModeName
    reason: str


def choose(family: Family, offers: list[Negotiated], lanes: int, configured: ModeName | None) -> Choice:
    """The mode for one family of a router.

    offers      what was agreed on with each of its sessions that is up, at least one
    lanes       how many sessions are configured
    configured  the mode that the settings ask for, None for `auto`
    """
    takes_many = all(family in offer.add_path_send for offer in offers)
    if configured is ModeName.ADDPATH and not takes_many:
        return Choice(ModeName.SPREAD, "addpath is configured, but the router does not take it")
    if configured is not None:
        return Choice(configured, "configured")
    if takes_many:
        return Choice(ModeName.ADDPATH, "the router takes ADD-PATH")
    if lanes > 1:
        return Choice(ModeName.LANES, f"{lanes} local addresses are configured")
    return Choice(ModeName.SPREAD, "the router does not take ADD-PATH, and there is one line")


def build(mode: ModeName, table: Table, lanes: int, max_paths: int | None, may: May) -> PathMode:
    """A mode at work on a table. Paths with attributes that the router must not see take nobody's place (`may`)."""
    if mode is ModeName.ADDPATH:
        return AddPath(table) if max_paths is None else LimitedAddPath(table, max_paths, may)
    if mode is ModeName.LANES:
        return Lanes(table, min(lanes, max_paths or lanes), may)
    return Spread(table, may)
