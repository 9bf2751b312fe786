"""Which checks are there, and in which order? Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from speaker.doctor import cluster, host, running
from speaker.doctor.facts import Facts
from speaker.doctor.findings import Finding

Check = Callable[[Facts], Iterator[Finding]]

CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("onepeer", running.onepeer),
    ("rights", host.rights),
    ("kernel", host.kernel),
    ("clock", host.clock),
    ("files", host.files),
    ("addresses", host.addresses),
    ("ports", host.ports),
    ("links", host.links),
    ("replicas", host.replicas),
    ("roster", running.roster),
    ("routers", running.routers),
    ("cluster", cluster.cluster),
)
"""Each with its name, from the inside to the outside: what is wrong first is often why the rest is."""


def examine(facts: Facts) -> Iterator[tuple[str, Finding]]:
    """All of it."""
    for name, check in CHECKS:
        for finding in check(facts):
            yield name, finding
