"""All routers' leads of one replica, with what they share: the key, the door for the others, the API server."""

import asyncio
import os
import time
from collections.abc import Callable

import structlog

from speaker.cluster.kube.candidate import Candidate
from speaker.cluster.kube.client import Api, ApiError
from speaker.cluster.kube.lease import Lease, lease_name
from speaker.cluster.kube.secret import own_namespace, shared_key
from speaker.cluster.kube.steward import replica_name
from speaker.config import Router, Settings
from speaker.log import LogEvent
from speaker.net.orphans import bury
from speaker.net.sockets import SocketError, reason
from speaker.peers.neighbor import endpoint
from speaker.peers.peering import Peering
from speaker.peers.router import RouterPeer
from speaker.peers.seldom import Seldom
from speaker.replicas.channel import Door, Link
from speaker.replicas.ground import Ground, GroundError
from speaker.replicas.lead import Lead, Self
from speaker.replicas.messages import Follow, Kind
from speaker.serve.counters import Counters

#: Seconds between two tries at what a start needs: the key, the interface.
AGAIN = 1.0

_SAY_AGAIN = 60.0


class Replicas:
    """For these settings, which have `replicas` and `nodes.kubernetes`.

    peering     gives the peering that there is
    answers     says whether a node answers on the link, None where nothing is known
    """

    def __init__(
        self,
        settings: Settings,
        counters: Counters,
        peering: Callable[[], Peering],
        answers: Callable[[str], bool | None],
    ) -> None:
        assert settings.replicas is not None
        assert settings.nodes.kubernetes is not None
        self._answers = answers
        self._settings, self._replicas, self._peering = settings, settings.replicas, peering
        self._api = Api(settings.nodes.kubernetes.kubeconfig)
        self._namespace = own_namespace()
        self.name = f"{replica_name()}_{os.urandom(3).hex()}"
        self.leads: dict[str, Lead] = {}
        self._key: bytes | None = None
        self._us = Self(
            self.name, lambda: self._key, self._nodes, self._witnesses, counters, time.time,
            lambda: peering().drains.orders.said(), lambda said: peering().learn_drains(said),
        )  # fmt: skip
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._log = structlog.get_logger()
        self._seldom = Seldom(_SAY_AGAIN)
        self._door: Door | None = None
        self._stopping = False

    async def run(self) -> None:
        """Until it is cancelled."""
        await self._bury()
        try:
            while True:
                if self._key is None:
                    await self._open()
                # Who stops changes nothing any more, and must be there for as long as a handover takes.
                if not self._stopping:
                    await self._fit()
                await asyncio.sleep(AGAIN if self._key is None else AGAIN / 4)
        finally:
            for task in self._tasks.values():
                task.cancel()
            if self._door is not None:
                await self._door.close()

    def others_lead(self) -> bool:
        """Whether every router is another's to lead, which then tells the cluster of what is missing."""
        return bool(self.leads) and all(lead.is_anothers() for lead in self.leads.values())

    async def stop(self) -> bool:
        """Hands over what we lead; whether all of it is another's now. What is not stays as it is until `close`."""
        self._stopping = True
        return all(await asyncio.gather(*(lead.stop() for lead in self.leads.values())))

    async def close(self) -> None:
        """After the end of the sessions."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*(lead.close() for lead in self.leads.values()))
        await self._api.close()

    # --- inside ---

    def _nodes(self) -> tuple[int, int]:
        return len(self._up()), len(self._peering().roster.nodes)

    def _witnesses(self) -> int | None:
        if not self._settings.nodes.probe:
            return None
        # Our own host's speaker is beside us, however the link is.
        mine = {n.name for n in self._peering().roster.nodes if set(n.addresses) & set(self._settings.listen.addresses)}
        return sum(name in mine or self._answers(name) is True for name in self._up())

    def _up(self) -> set[str]:
        return {peer.source.node for peer in self._peering().nodes.values() if peer.up is not None}

    async def _bury(self) -> None:
        """What a process before us has left: see speaker.net.orphans."""
        ours = {address for router in self._settings.routers for address in router.local_addresses}
        try:
            await asyncio.to_thread(bury, ours)
        except OSError as error:
            why = f"connections of a process that was killed stay until they time out: {reason(error)}"
            self._log.error(LogEvent.TAKEOVER_TROUBLE, why=why)

    async def _open(self) -> None:
        """The key, and the door that it opens. Without them takeovers are plain ones."""
        try:
            key = await shared_key(self._api, self._namespace)
        except ApiError as error:
            if self._seldom.due(error.why, asyncio.get_running_loop().time()):
                self._log.warning(LogEvent.CLUSTER_REFUSED, what="the replicas' key", why=error.text,
                                  way_out=error.way_out)  # fmt: skip
            return
        door = Door(key, self._answer, self._refused)
        try:
            for address in self._settings.listen.addresses:
                await door.open(address, self._replicas.port)
        except SocketError as error:
            await door.close()
            if self._seldom.due("door", asyncio.get_running_loop().time()):
                self._log.error(LogEvent.LISTEN_FAILED, key="replicas.port", address=error.what, why=error.why,
                                way_out=error.way_out)  # fmt: skip
            return
        self._key, self._door = key, door

    async def _fit(self) -> None:
        """A lead for each router that there is, and none for another."""
        peering, wanted = self._peering(), {router.name: router for router in self._settings.routers}
        for name, lead in list(self.leads.items()):
            if peering.routers.get(name) != lead.lanes or self._tasks[name].done():
                del self.leads[name]
                task = self._tasks.pop(name)
                if task.done() and (fault := task.exception()) is not None:
                    self._log.error(LogEvent.INTERNAL_FAULT, router=name, exc_info=fault)
                task.cancel()
                await lead.close()
        for name, lanes in list(peering.routers.items()):
            if name in wanted and name not in self.leads:
                await self._begin(wanted[name], lanes)

    async def _begin(self, router: Router, lanes: list[RouterPeer]) -> None:
        ground = Ground(router.address, router.local_addresses)
        try:
            await ground.open(self._replicas.interface)
        except GroundError as error:
            if self._seldom.due(str(error), asyncio.get_running_loop().time()):
                self._log.error(LogEvent.TAKEOVER_TROUBLE, why=str(error))
            return
        channel = endpoint((str(self._settings.listen.addresses[0]), self._replicas.port)) or ""
        candidate = Candidate(self.name, channel, self._replicas.lease_time)
        lead: Lead
        lease = Lease(
            self._api, self._namespace, lease_name(router.name), candidate,
            lambda: lead.changed(), lambda: lead.patience(),
        )  # fmt: skip
        lead = self.leads[router.name] = Lead(self._us, router, lanes, lease, ground)
        self._tasks[router.name] = asyncio.get_running_loop().create_task(lead.run())

    async def _answer(self, link: Link) -> None:
        """Another replica calls: it says what it is about."""
        async for kind, body in link.frames():
            follow = Follow.decode(body)
            lead = self.leads.get(follow.router)
            if kind == Kind.FOLLOW and lead is not None:
                await lead.answer(link, follow.replica)
            return

    def _refused(self, caller: str, why: str) -> None:
        if self._seldom.due((caller, why), asyncio.get_running_loop().time()):
            self._log.warning(LogEvent.REPLICA_REFUSED, address=caller, why=why)
