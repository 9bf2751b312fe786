"""What do we say to the cluster? The loops that keep BGPPeers and write Events. They never hold up anything else.

What the API server refuses is logged once, and tried again later; a missing right costs what it was for, no more.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, NoReturn

import structlog

from speaker.cluster.bell import Bell
from speaker.cluster.kube.bgppeers import FRR_KINDS, MANAGER, Apply, PeerKeeper, Remove, peers_in
from speaker.cluster.kube.client import Api, ApiError, Why
from speaker.cluster.kube.events import EVENTS, Alarm, AlarmTeller, Teller, Told, event_body
from speaker.cluster.kube.services import SPEAKER, flags_of
from speaker.cluster.kube.view import Mirrors
from speaker.config import Settings
from speaker.log import LogEvent

LOOK: Final = 1.0
"""Seconds between two looks, at least: with 1000 nodes a look is 3 ms. Without news nobody looks."""
SECONDS: Final = 5.0
"""For one request."""
SETTLE: Final = 1.0
"""After a write."""
WEBHOOK: Final = 600.0
"""Seconds for which a webhook that refused connectTime or bfdProfile is believed: its controller is native then."""
PAUSE: Final = 5.0
PAUSE_MOST: Final = 60.0
"""Seconds after a refusal, twice as long each time."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What Onepeer itself sees."""

    listening: bool
    nodes: Mapping[str, str | None]
    """Each node of the roster: why it is without a session, None where it has one."""
    alarms: tuple[Alarm, ...] = ()
    """What the audit has found."""


def replica_name() -> str:
    """The Node that we run on, by the pod's own field NODE_NAME; else the name of the host."""
    return (os.environ.get("NODE_NAME") or socket.gethostname())[:63].strip("-.") or "onepeer"


class Steward:
    """The loops for these settings."""

    def __init__(self, api: Api, settings: Settings, mirrors: Mirrors, seen: Callable[[], Seen], news: Bell) -> None:
        assert settings.nodes.kubernetes is not None
        self._api, self._settings, self._mirrors, self._seen, self._news = api, settings, mirrors, seen, news
        self._peers = peers_in(settings.nodes.kubernetes.metallb_namespace)
        self._clock = asyncio.get_running_loop().time
        self._replica = replica_name()
        self._log = structlog.get_logger()
        self._refused: dict[str, str] = {}
        self._foreign: list[str] = []
        self._native_until = 0.0
        """Until then neither is tried again."""

    async def keep_peers(self) -> NoReturn:
        """MetalLB's BGPPeers, for ever."""
        keeper, pause = PeerKeeper(self._settings, self._replica, self._clock()), PAUSE
        while True:
            heard = self._news.count
            try:
                steps = self._steps(keeper)
            except Exception as error:
                # A mistake of ours about peers must not end what watches the nodes.
                self._say_refused("bgppeers", ApiError(Why.FAILED, f"Onepeer's own mistake: {error!r}"))
                steps = []
            if not steps:
                await self._until_news(heard, keeper.due)
                continue
            if all([await self._do(step) for step in steps]):
                pause = PAUSE
                # What was written comes back by the watch; a look before that would write it twice.
                await asyncio.sleep(SETTLE)
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSE_MOST)

    def _steps(self, keeper: PeerKeeper) -> list[Apply | Remove]:
        """None before peers, Nodes and speakers are known, or before we listen. Speakers that cannot be read are not
        waited for."""
        mirrors, seen = self._mirrors, self._seen()
        if not seen.listening or not mirrors.peers.whole or mirrors.peers.trouble or not mirrors.nodes.whole:
            return []
        if not mirrors.speakers.whole and mirrors.speakers.trouble is None:
            return []
        sure = mirrors.nodes.trouble is None
        nodes = {node.name: node.ready for node in mirrors.nodes.objects.values()} if sure else None
        present = {peer.name: peer for peer in mirrors.peers.objects.values()}
        foreign = keeper.foreign(present)
        if foreign != self._foreign and foreign:
            self._log.info(LogEvent.BGP_PEER_LEFT, names=foreign)
        self._foreign = foreign
        up = [name for name, why in seen.nodes.items() if why is None]
        speakers = mirrors.speakers.objects.values()
        everywhere = flags_of(speakers).ignore_exclude_lb if speakers else None
        return list(keeper.decide(present, nodes, up, self._clock(), frr=self._frr(), everywhere=everywhere))

    def _frr(self) -> bool | None:
        """Whether every speaker of MetalLB is of an FRR kind; None where that is not known for sure."""
        speakers = self._mirrors.speakers
        if self._clock() < self._native_until:
            return False
        kinds = {speaker.kind for speaker in speakers.objects.values() if speaker.component == SPEAKER}
        if speakers.trouble is not None or not kinds:
            return None
        return kinds <= set(FRR_KINDS)

    async def tell_events(self) -> NoReturn:
        """Events on Nodes and Services, for ever."""
        now = self._clock()
        teller, alarms = Teller(now), AlarmTeller(self._peers.namespace or "", now)
        while True:
            heard, seen = self._news.count, self._seen()
            for told in (*teller.look(seen.nodes, self._clock()), *alarms.look(seen.alarms, self._clock())):
                if not await self._tell(told):
                    await asyncio.sleep(PAUSE)
            behind = teller.behind or alarms.behind
            await self._until_news(heard, self._clock() + LOOK if behind else None)

    async def _until_news(self, heard: int, due: float | None) -> None:
        """Until there is something to look at: news that were not `heard`, or a time that was waited for."""
        await asyncio.sleep(LOOK)
        await self._news.after(heard, None if due is None else max(0.0, due - self._clock()))

    async def _do(self, step: Apply | Remove) -> bool:
        path = self._peers.path(step.name)
        try:
            if isinstance(step, Apply):
                await self._api.apply(path, step.body, MANAGER, SECONDS)
            else:
                await self._api.send("DELETE", path, [], None, SECONDS)
        except ApiError as error:
            if isinstance(step, Remove) and error.why is Why.NOT_FOUND:
                return True
            if "native bgp mode" in error.text:
                self._native_until = self._clock() + WEBHOOK
            self._say_refused(f"bgppeer {step.name}", error)
            return False
        action = "applied" if isinstance(step, Apply) else "removed"
        self._refused.pop(f"bgppeer {step.name}", None)
        self._log.info(LogEvent.BGP_PEER_KEPT, name=step.name, action=action, why=step.why)
        return True

    async def _tell(self, told: Told) -> bool:
        about = told.about
        if about.kind == "Node" and (node := self._mirrors.nodes.objects.get(about.name)):
            about = replace(about, uid=node.uid)
        body = event_body(replace(told, about=about), self._replica, datetime.now(UTC))
        try:
            await self._api.send("POST", EVENTS.path(), [], body, SECONDS)
        except ApiError as error:
            self._say_refused("events", error)
            return False
        self._refused.pop("events", None)
        return True

    def _say_refused(self, what: str, error: ApiError) -> None:
        if self._refused.get(what) != error.why:
            self._refused[what] = error.why
            self._log.warning(LogEvent.CLUSTER_REFUSED, what=what, why=error.text, way_out=error.way_out)
