"""All that the audit wants to know of a cluster, as one value. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from speaker.cluster.kube.bgppeers import PeerFacts
from speaker.cluster.kube.mirror import Mirror
from speaker.cluster.kube.nodes import NodeFacts
from speaker.cluster.kube.pools import AdvertisementFacts, PoolFacts
from speaker.cluster.kube.services import ServiceFacts, SliceFacts, SpeakerFacts


@dataclass(frozen=True, slots=True)
class Landscape:
    """What the cluster says; None for a kind that could not be read yet, and then nothing is concluded from it."""

    nodes: tuple[NodeFacts, ...] | None = None
    pools: tuple[PoolFacts, ...] | None = None
    advertisements: tuple[AdvertisementFacts, ...] | None = None
    peers: tuple[PeerFacts, ...] | None = None
    services: tuple[ServiceFacts, ...] | None = None
    slices: tuple[SliceFacts, ...] | None = None
    speakers: tuple[SpeakerFacts, ...] | None = None
    problems: tuple[str, ...] = ()
    """Of what only the audit wants: a missing right, in the API server's own words."""


class Surveyor:
    """Makes a Landscape when a mirror has changed.

    own     mirrors whose troubles nobody else tells
    """

    def __init__(self, mirrors: Mapping[str, Mirror[Any]], own: Iterable[str]) -> None:
        self._mirrors, self._own = mirrors, list(own)
        self._versions: tuple[int, ...] = ()

    def look(self) -> Landscape | None:
        """What is new."""
        versions = tuple(mirror.version for mirror in self._mirrors.values())
        if versions == self._versions:
            return None
        self._versions = versions
        found = {name: tuple(m.objects.values()) for name, m in self._mirrors.items() if m.whole}
        troubles = [self._mirrors[name].trouble for name in self._own]
        problems = dict.fromkeys(str(trouble.error) for trouble in troubles if trouble is not None)
        return Landscape(**found, problems=tuple(problems))
