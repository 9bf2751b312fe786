"""What does the cluster say, and what do we say to it? Reflectors, made into rosters and prefixes as app.py takes them.

Fails static: what cannot be seen changes nothing. A start that the API server does not answer begins with what was
saved. What is told when is in view.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Final

import structlog

from speaker.cluster.bell import Bell
from speaker.cluster.kube.bgppeers import peers_in
from speaker.cluster.kube.client import Api
from speaker.cluster.kube.landscape import Landscape
from speaker.cluster.kube.nodes import NODES
from speaker.cluster.kube.pools import advertisements_in, pools_in
from speaker.cluster.kube.reflector import reflect
from speaker.cluster.kube.saved import Said, load, save
from speaker.cluster.kube.services import SERVICES, SLICES, pods_in
from speaker.cluster.kube.steward import Seen, Steward
from speaker.cluster.kube.view import Item, Mirrors, View
from speaker.config import Settings
from speaker.log import LogEvent

START: Final = 3.0
"""Seconds that a start waits for the cluster before it takes what was saved. A listing of 1000 Nodes takes 1.3."""

TOGETHER: Final = 0.005
"""Seconds in which changes become one: a Node is made in several steps, and a listing is three of them."""


class KubernetesRoster:
    """The roster by the cluster of these settings. Other settings are another KubernetesRoster.

    `seen` says what Onepeer itself sees: the cluster is told of it in Events, and BGPPeers are kept by it. `news` is
    rung when that has changed.
    """

    def __init__(self, settings: Settings, seen: Callable[[], Seen], news: Bell) -> None:
        if settings.nodes.kubernetes is None:
            raise ValueError("these settings have no nodes.kubernetes")
        self._settings, self._seen, self._news = settings, seen, news
        self._kubernetes = settings.nodes.kubernetes
        self._view = View(settings)
        self._log = structlog.get_logger()
        self._unsaved = ""

    async def watch(self) -> AsyncIterator[Item | Landscape]:
        """See RosterSource."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()
        api = Api(self._kubernetes.kubeconfig)
        mirrors = Mirrors.new(loop.time())
        surveyor = mirrors.surveyor()
        tasks = [loop.create_task(work) for work in self._work(api, mirrors, changed)]
        timer = loop.call_later(START, changed.set)
        saved, folder = Said(), self._settings.state_dir
        try:
            while True:
                await changed.wait()
                await asyncio.sleep(TOGETHER)
                changed.clear()
                late = loop.time() >= timer.when()
                if self._view.wants_saved(mirrors, late=late) and (found := await asyncio.to_thread(load, folder)):
                    self._view.remember(found)
                for item in self._view.look(mirrors):
                    yield item
                if (landscape := surveyor.look()) is not None:
                    yield landscape
                said = self._view.said
                if mirrors.nodes.whole and said != saved:
                    saved = said
                    await self._save(said)
        finally:
            timer.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await api.close()

    def _work(self, api: Api, mirrors: Mirrors, changed: asyncio.Event) -> Iterator[Coroutine[Any, Any, Any]]:
        def tell() -> None:
            changed.set()
            self._news.ring()

        namespace = self._kubernetes.metallb_namespace
        yield reflect(api, NODES, mirrors.nodes, tell)
        yield reflect(api, pools_in(namespace), mirrors.pools, tell)
        yield reflect(api, advertisements_in(namespace), mirrors.advertisements, tell)
        yield reflect(api, SERVICES, mirrors.services, changed.set)
        yield reflect(api, SLICES, mirrors.slices, changed.set)
        yield reflect(api, pods_in(namespace), mirrors.speakers, tell)
        steward = Steward(api, self._settings, mirrors, self._seen, self._news)
        yield steward.tell_events()
        yield reflect(api, peers_in(namespace), mirrors.peers, tell)
        if self._kubernetes.bgp_peers.manage:
            yield steward.keep_peers()

    async def _save(self, said: Said) -> None:
        try:
            await asyncio.to_thread(save, self._settings.state_dir, said)
        except OSError as error:
            if str(error) != self._unsaved:
                self._log.warning(LogEvent.STATE_UNSAVED, folder=str(self._settings.state_dir), why=str(error))
            self._unsaved = str(error)
        else:
            self._unsaved = ""
