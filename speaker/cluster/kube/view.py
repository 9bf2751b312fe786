"""What do the mirrors of a cluster come to? Rosters, prefixes and problems, each told when it is new. Pure.

- The roster once the Nodes are whole, again when it changes, and again when a problem is over.
- Prefixes once pools and advertisements are whole, and again when they change. Until then the settings' own hold.
- A problem with the last time that the API server was heard, and again when its reason changes. All the while, what
  was said before stays.

A listing without a single Node is not believed: Onepeer itself runs on one. It is what a wrong kubeconfig and an
etcd that was restored empty look like.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from speaker.cluster.base import Allowed, Roster, RosterProblem
from speaker.cluster.kube.bgppeers import PeerFacts, peer_facts
from speaker.cluster.kube.client import Why
from speaker.cluster.kube.landscape import Surveyor
from speaker.cluster.kube.mirror import Mirror, Trouble
from speaker.cluster.kube.nodes import NodeFacts, facts, make_roster
from speaker.cluster.kube.pools import AdvertisementFacts, PoolFacts, advertisement_facts, make_allowed, pool_facts
from speaker.cluster.kube.saved import Said
from speaker.cluster.kube.services import (
    Flags,
    ServiceFacts,
    SliceFacts,
    SpeakerFacts,
    flags_of,
    service_facts,
    slice_facts,
    speaker_facts,
)
from speaker.config import Kubernetes, Settings

Item = Roster | Allowed | RosterProblem

_EVERYTHING = {Why.CONFIGURATION, Why.UNREACHABLE, Why.SILENT, Why.UNTRUSTED, Why.UNAUTHORIZED}
"""Reasons that concern the API server as a whole: told once, not for each kind of object."""


@dataclass(frozen=True, slots=True)
class Mirrors:
    """All that is watched."""

    nodes: Mirror[NodeFacts]
    pools: Mirror[PoolFacts]
    advertisements: Mirror[AdvertisementFacts]
    peers: Mirror[PeerFacts]
    services: Mirror[ServiceFacts]
    slices: Mirror[SliceFacts]
    speakers: Mirror[SpeakerFacts]
    epoch: float
    """Wall clock minus the clock of the mirrors."""

    @classmethod
    def new(cls, now: float) -> Mirrors:
        """Nothing is known yet."""
        return cls(
            Mirror(facts, random.random, now, "nodes"),
            Mirror(pool_facts, random.random, now, "ipaddresspools.metallb.io"),
            Mirror(advertisement_facts, random.random, now, "bgpadvertisements.metallb.io"),
            Mirror(peer_facts, random.random, now, "bgppeers.metallb.io"),
            Mirror(service_facts, random.random, now, "services"),
            Mirror(slice_facts, random.random, now, "endpointslices.discovery.k8s.io"),
            Mirror(speaker_facts, random.random, now, "pods"),
            time.time() - now,
        )

    def surveyor(self) -> Surveyor:
        """For the audit."""
        kinds = ("nodes", "pools", "advertisements", "peers", "services", "slices", "speakers")
        return Surveyor({kind: getattr(self, kind) for kind in kinds}, ("services", "slices", "speakers"))

    def troubles(self) -> Iterator[Trouble]:
        """Of each kind that is in trouble."""
        for mirror in (self.nodes, self.pools, self.advertisements, self.peers):
            if mirror.trouble is not None:
                yield mirror.trouble


class View:
    """What was told last, and so what is to be told now."""

    def __init__(self, settings: Settings) -> None:
        self.said = Said()
        """What is in force, by the cluster or from the file of the last run."""
        self._settings = settings
        self._asked_for_saved = False
        self._roster: Roster | None = None
        self._allowed: Allowed | None = None
        self._problem: RosterProblem | None = None

    def wants_saved(self, mirrors: Mirrors, *, late: bool) -> bool:
        """Whether what was saved shall stand in for the cluster; once at most."""
        missing = self.said.nodes is None and (late or mirrors.nodes.trouble is not None)
        wants = missing and not self._asked_for_saved
        self._asked_for_saved |= wants
        return wants

    def remember(self, saved: Said) -> None:
        """What was saved stands in for what the cluster has not said yet."""
        said = self.said
        self.said = Said(
            said.nodes if said.nodes is not None else saved.nodes,
            said.pools if said.pools is not None else saved.pools,
            said.advertisements if said.advertisements is not None else saved.advertisements,
            said.flags if said.flags is not None else saved.flags,
            saved.at,
        )

    def look(self, mirrors: Mirrors) -> Iterator[Item]:
        """What is new."""
        self._hear(mirrors)
        problem = self._problem_of(mirrors)
        over, before = self._problem is not None and problem is None, self._problem
        self._problem = problem
        roster, allowed = self._new_roster(again=over), self._new_allowed()
        # Prefixes first: routes that come before them would be refused, and told so.
        if allowed is not None:
            yield allowed
        if roster is not None:
            yield roster
        # A roster ends the problem that was told before it, so one that goes on is told again.
        if problem is not None and (problem != before or roster is not None):
            yield problem

    def _hear(self, mirrors: Mirrors) -> None:
        old = self.said
        nodes, pools, advertisements = mirrors.nodes, mirrors.pools, mirrors.advertisements
        self.said = Said(
            tuple(nodes.objects.values()) if nodes.objects else old.nodes,
            tuple(pools.objects.values()) if pools.whole else old.pools,
            tuple(advertisements.objects.values()) if advertisements.whole else old.advertisements,
            flags_of(mirrors.speakers.objects.values()) if mirrors.speakers.objects else old.flags,
            old.at,
        )

    def _new_roster(self, *, again: bool) -> Roster | None:
        if self.said.nodes is None:
            return None
        before = self._roster or Roster()
        kubernetes = (self.said.flags or Flags()).fill(self._settings.nodes.kubernetes or Kubernetes())
        roster = make_roster(self.said.nodes, self._settings, before, kubernetes)
        same = self._roster is not None and (roster, roster.notes) == (before, before.notes)
        self._roster = roster
        return roster if again or not same else None

    def _new_allowed(self) -> Allowed | None:
        said = self.said
        if said.pools is None or said.advertisements is None:
            return None
        hosts = self._roster.by_address if self._roster else ()
        allowed, before = make_allowed(said.pools, said.advertisements, hosts, self._settings), self._allowed
        self._allowed = allowed
        return None if before is not None and (allowed, allowed.notes) == (before, before.notes) else allowed

    def _problem_of(self, mirrors: Mirrors) -> RosterProblem | None:
        told: dict[object, Trouble] = {}
        for trouble in mirrors.troubles():
            why, said = trouble.error.why, str(trouble.error)
            told.setdefault(why if why in _EVERYTHING else said, trouble)
        since = min((trouble.since + mirrors.epoch for trouble in told.values()), default=None)
        lines = [_line(trouble, trouble.since + mirrors.epoch) for trouble in told.values()]
        if mirrors.nodes.whole and not mirrors.nodes.objects:
            lines.append("the API server says that the cluster has no Node at all, which is not believed")
        if lines and not mirrors.nodes.whole and self.said.nodes is not None:
            lines.append(f"the roster is what was saved at {_clock(self.said.at)}")
        return RosterProblem(tuple(lines), since) if lines else None


def _line(trouble: Trouble, since: float) -> str:
    error = trouble.error
    said = error.text if error.why in _EVERYTHING else f"{error.subject}: {error.text}"
    way_out = f"; {error.way_out}" if error.way_out else ""
    return f"no word from Kubernetes since {_clock(since)}: {said}{way_out}"


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))
