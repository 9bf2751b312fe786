"""How does Onepeer run? Builds everything, takes up changes, and ends it. The only file that knows all the others.

Settings and roster come from files that may change at any time, and SIGHUP has them looked at again at once. A version
with a mistake is refused, loudly, and the one before stays in force.
"""

import asyncio
import gc
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from speaker import log as logging
from speaker.auditing import Auditing
from speaker.bgp.iana import CeaseSubcode
from speaker.cluster import Allowed, Network, Roster, RosterProblem, RosterSource
from speaker.cluster.bell import Bell
from speaker.cluster.file import FileRoster
from speaker.cluster.kube.cluster import KubernetesRoster
from speaker.cluster.kube.landscape import Landscape
from speaker.cluster.kube.steward import Seen
from speaker.cluster.watch import FileWatch
from speaker.config import Router, Settings, load
from speaker.doors import Doors
from speaker.journal.journal import Journal
from speaker.kept_since import KeptSince
from speaker.log import LogEvent
from speaker.net.connection import Connection
from speaker.net.sockets import Address, SocketError
from speaker.peers.bfd import BfdWatch
from speaker.peers.holding import HoldLimits
from speaker.peers.kept_drains import KeptDrains
from speaker.peers.kept_lanes import KeptLanes
from speaker.peers.neighbor import Local
from speaker.peers.node import NodeLimits
from speaker.peers.peering import Peering
from speaker.peers.reach import Reach
from speaker.peers.router import RouterOffer
from speaker.peers.signatures import watch_signatures
from speaker.replicas.replicas import Replicas
from speaker.report import Report, RosterState
from speaker.rib.guard import Guard
from speaker.serve.counters import Counters
from speaker.serve.site import ServeError
from speaker.serve.version import VERSION
from speaker.settings_file import SettingsError
from speaker.whereabouts import Whereabouts

#: Seconds between two looks at whether the nodes are back after a start.
SETTLE_LOOK = 0.1

#: Python's garbage collector looks for cycles after so many allocations, 700 unless said: in the midst of a burst, and
#: a look at its objects took as long as the choice of paths in a cold start (docs/benchmarks.md). A table has no
#: cycles. So it looks by the clock: every so many seconds at what is new, and each so-many-th time at everything.
GC_THRESHOLD, GC_EVERY, GC_WHOLE = 500_000, 10.0, 60

#: Seconds for the last NOTIFICATIONs to leave.
FAREWELL = 0.2


async def run(path: Path) -> int:
    """Runs until SIGTERM or SIGINT; the exit status.

    Raises SettingsError where the settings cannot be used at the start.
    """
    _raise_file_limit()
    gc.set_threshold(GC_THRESHOLD)
    gc.freeze()  # what is imported stays
    speaker = Speaker(path, load(path))
    return await speaker.run()


class Speaker:
    """One running Onepeer."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self.settings = settings
        self.settings_problem: str | None = None
        self.roster = RosterState(_source_name(settings))
        self.counters = Counters()
        self._allowed: tuple[Network, ...] | None = None
        self.started = time.time()
        self.journal = Journal(settings.state_dir, settings.journal_size)
        self.replicas: Replicas | None = None
        self._replicas_task: asyncio.Task[None] | None = None
        self._news = Bell()
        self.peering = self._new_peering(settings)
        self._log = structlog.get_logger()
        self._loop = asyncio.get_running_loop()
        self._report = Report(self)
        self._doors = Doors(self._take_call, self._report)
        self.bfd = BfdWatch(self._up_at, lambda node: self._reach.look(node), self.counters)
        self._reach: Reach = Reach(lambda node, answers: self.peering.set_answers(node, answers), self.bfd.answers)
        restart_time = settings.graceful_restart.restart_time
        self._kept_drains = KeptDrains(settings.state_dir)
        self._kept = KeptLanes(settings.state_dir, restart_time, lambda: self.peering.lanes_held())
        self._whereabouts = Whereabouts(self.answers)
        kept = KeptSince(settings.state_dir)
        self.auditing = Auditing(lambda: self.peering, self._whereabouts, kept, self._news.ring)
        self._stop = asyncio.Event()
        self._hangup = asyncio.Event()
        self._stop_reason = ""
        self._group = asyncio.TaskGroup()
        self._roster_task: asyncio.Task[None] | None = None

    # --- life ---

    async def run(self) -> int:
        """See run()."""
        logging.record_to(self.journal.event)
        try:
            return await self._run()
        finally:
            logging.record_to(None)
            self.journal.close()

    async def _run(self) -> int:
        settings = self.settings
        logging.configure(settings.log.level, settings.log.format)
        self._log.info(
            LogEvent.STARTED,
            version=VERSION,
            asn=settings.asn,
            router_id=str(settings.router_id),
            settings=str(self.path),
        )
        try:
            await self._doors.open(settings)
        except (SocketError, ServeError):
            return 1  # the log has said why
        self.journal.start()
        self.peering.adopt_lanes(self._kept.load())
        self.peering.learn_drains(self._kept_drains.load())
        self._set_routers(settings)
        self._reach.set_interval(settings.nodes.probe)
        self.bfd.set(settings)
        async with self._background():
            await self._stop.wait()
            await self._end()
        return 0

    @asynccontextmanager
    async def _background(self) -> AsyncIterator[None]:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._asked_to_stop, number)
        self._loop.add_signal_handler(signal.SIGHUP, self._hangup.set)
        async with asyncio.TaskGroup() as self._group:
            self._restart_roster(self.settings)
            await self._restart_replicas(self.settings)
            work = (
                self._follow_settings(),
                self._settle(),
                watch_signatures(lambda: self.peering.down(), self._whereabouts.signature_dropped),
                self.auditing.run(),
                self._kept.run(),
                _collect_garbage(),
            )
            tasks = [self._group.create_task(one) for one in work]
            try:
                yield
            finally:
                for task in (*tasks, self._roster_task, self._replicas_task):
                    if task is not None:
                        task.cancel()
                await self._reach.close()
                self.bfd.close()
                await self._doors.close()

    def _asked_to_stop(self, number: signal.Signals) -> None:
        self._stop_reason = signal.Signals(number).name
        self._stop.set()

    async def _end(self) -> None:
        self._kept.save()
        if self.replicas is not None:
            await self.replicas.stop()
        keep = self.peering.stop(CeaseSubcode.ADMINISTRATIVE_SHUTDOWN, "Onepeer is stopping", gracefully=True)
        self._log.info(LogEvent.STOPPING, reason=self._stop_reason, graceful=keep)
        await asyncio.sleep(FAREWELL)
        if self.replicas is not None:
            await self.replicas.close()
        self._log.info(LogEvent.STOPPED, ran=round(time.time() - self.started, 1))

    # --- what others reach us by ---

    def listening(self) -> list[str]:
        """report.Running."""
        return self._doors.listening

    def drain(self, node: str, force: bool | None) -> None:
        """report.Running."""
        self.peering.drain(node, force)

    def answers(self, node: str) -> bool | None:
        """report.Running."""
        return self._reach.answers(node)

    def _up_at(self, address: Address) -> float | None:
        peer = self.peering.nodes.get(address)
        return None if peer is None or peer.up is None else peer.up_at

    def _moved(self) -> None:
        self._news.ring()
        self.bfd.moved()

    def _take_call(self, caller: Address, local: Address) -> Connection | None:
        return self.peering.take_call(caller, local)

    def _arm_doors(self) -> None:
        self._doors.arm(self.peering.passwords(), self.peering.ttl_security())

    # --- settings ---

    async def _follow_settings(self) -> None:
        watch = FileWatch([self.path])
        watch.follow([self.path, *self.settings.files])
        while True:
            changed = asyncio.ensure_future(anext(watch))
            hangup = asyncio.ensure_future(self._hangup.wait())
            try:
                await asyncio.wait({changed, hangup}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
                hangup.cancel()
            if self._hangup.is_set():
                self._hangup.clear()
                self._restart_roster(self.settings)
            watch.follow([self.path, *await self._reload()])

    async def _reload(self) -> tuple[Path, ...]:
        """Reads the settings again; the password files to watch beside them."""
        try:
            settings = load(self.path)
        except SettingsError as error:
            self._refuse_settings([str(problem) for problem in error.problems])
            return (*error.files, *self.settings.files)
        self.settings_problem = None
        if settings != self.settings:
            await self._apply(settings)
        return settings.files

    def _refuse_settings(self, problems: list[str]) -> None:
        self.counters.settings_reload_failures += 1
        if self.settings_problem != "\n".join(problems):
            self.settings_problem = "\n".join(problems)
            self._log.error(LogEvent.SETTINGS_REFUSED, problems=problems)

    async def _apply(self, new: Settings) -> None:
        """Takes up changed settings, part by part."""
        old = self.settings
        changed = [key for key in type(new).model_fields if getattr(old, key) != getattr(new, key)]
        try:
            await self._doors.move(old, new)
        except (SocketError, ServeError) as error:
            self._refuse_settings([str(error)])
            return
        self.settings = new
        logging.configure(new.log.level, new.log.format)
        if {"state_dir", "journal_size"} & set(changed):
            self.journal.close()
            self.journal = Journal(new.state_dir, new.journal_size)
            self.journal.start()
            logging.record_to(self.journal.event)
        if {"asn", "router_id", "cluster_id", "replicas"} & set(changed):
            self._start_over(new)
        elif self._prefixes(old) != self._prefixes(new):
            self.peering.set_guard(self._guard(new))
        self._set_routers(new)
        self.peering.set_limits(_limits(new))
        self._reach.set_interval(new.nodes.probe)
        self.bfd.set(new)
        if {"replicas", "routers", "listen", "nodes"} & set(changed):
            await self._restart_replicas(new)
        self._restart_roster(new)
        self.counters.settings_reloads += 1
        self._log.info(LogEvent.SETTINGS_RELOADED, changed=changed)

    def _start_over(self, settings: Settings) -> None:
        """Another identity: every session has to say so, and so every session is made anew."""
        whole, drained = self.peering.whole, self.peering.drains.orders.said()
        why = "asn, router_id, cluster_id or replicas has changed"
        self.peering.stop(CeaseSubcode.OTHER_CONFIGURATION_CHANGE, why, gracefully=False)
        self.peering = self._new_peering(settings)
        self.peering.learn_drains(drained)
        if whole:
            self.peering.tell_whole()

    def _new_peering(self, settings: Settings) -> Peering:
        local = Local(settings.asn, settings.router_id, settings.cluster_id, socket.gethostname())
        guard, rests = self._guard(settings), settings.replicas is not None
        peering = Peering(
            local, guard, self.counters, lambda changes: self.journal.paths(changes), self.answers, rests=rests
        )
        peering.moved = self._moved
        peering.drains.ordered = lambda: self._kept_drains.save(peering.drains.orders.said())
        return peering

    def _set_routers(self, settings: Settings) -> None:
        def offer(router: Router) -> RouterOffer:
            restart_time = int(settings.graceful_restart.restart_time)
            strip = frozenset(settings.guard.strip_communities)
            return RouterOffer(
                hold_time=int(router.hold_time),
                restart_time=restart_time,
                long_lived=int(settings.graceful_restart.long_lived),
                add_path=router.mode in ("auto", "addpath"),
                strip=strip,
                link_bandwidth=router.link_bandwidth,
            )

        self.peering.set_routers(settings.routers, offer)
        self._arm_doors()

    async def _restart_replicas(self, settings: Settings) -> None:
        """Other replicas lead meanwhile."""
        if self.replicas is not None and self._replicas_task is not None:
            await self.replicas.stop()
            self._replicas_task.cancel()
            await self.replicas.close()
            self.replicas = self._replicas_task = None
        if settings.replicas is not None:
            self.replicas = Replicas(settings, self.counters, lambda: self.peering, self.answers)
            self._replicas_task = self._group.create_task(self.replicas.run())

    # --- roster ---

    def _restart_roster(self, settings: Settings) -> None:
        if self._roster_task is not None:
            self._roster_task.cancel()
        if settings.nodes.kubernetes is None:
            self._allowed = None
            self.auditing.set_landscape(None, settings)
        self.roster = self.roster.from_source(_source_name(settings))
        self._roster_task = self._group.create_task(self._follow_roster(settings))

    async def _follow_roster(self, settings: Settings) -> None:
        by_cluster = settings.nodes.kubernetes is not None
        seen, news = self._seen, self._news
        source: RosterSource | KubernetesRoster = (
            KubernetesRoster(settings, seen, news) if by_cluster else FileRoster(settings)
        )
        async for item in source.watch():
            if isinstance(item, RosterProblem):
                self.counters.roster_reload_failures += 1
                self.roster = self.roster.refused(str(item), item.since)
                self._log.error(LogEvent.ROSTER_PROBLEM, problems=list(item.lines))
            elif isinstance(item, Allowed):
                self._set_allowed(item, settings)
            elif isinstance(item, Landscape):
                self.auditing.set_landscape(item, settings)
            else:
                self._set_roster(item, settings)
                self._doors.answer()

    def _seen(self) -> Seen:
        """What the cluster is told of: by several replicas that see the same once."""
        others_tell = self.replicas is not None and self.replicas.others_lead()
        alarms = () if others_tell else tuple(self.auditing.alarms())
        return Seen(bool(self._doors.listening), self._report.why_down(), alarms)

    def _set_allowed(self, allowed: Allowed, settings: Settings) -> None:
        """The cluster says what nodes may announce."""
        before, self._allowed = self._allowed, allowed.prefixes
        if before != allowed.prefixes:
            self.peering.set_guard(self._guard(settings))
        prefixes, remark = [str(prefix) for prefix in allowed.prefixes], "; ".join(allowed.notes)
        self._log.info(LogEvent.GUARD_CHANGED, prefixes=prefixes, **({"remark": remark} if remark else {}))

    def _guard(self, settings: Settings) -> Guard:
        return Guard(self._prefixes(settings), settings.asn, settings.router_id.packed, settings.cluster_id.packed)

    def _prefixes(self, settings: Settings) -> tuple[Network, ...]:
        """What nodes may announce: by the cluster, once it has said so, else by the settings."""
        if settings.nodes.kubernetes is None or self._allowed is None:
            return settings.guard.prefixes
        return self._allowed

    def _set_roster(self, roster: Roster, settings: Settings) -> None:
        change = self.peering.set_roster(roster, _limits(settings))
        self._reach.watch(roster)
        self.bfd.watch(roster)
        self._arm_doors()
        self.roster = self.roster.taken()
        if change.added or change.removed or change.changed or roster.remark:
            self.counters.roster_reloads += 1
            self._log.info(
                LogEvent.ROSTER_CHANGED,
                added=change.added,
                removed=change.removed,
                changed=change.changed,
                nodes=len(roster.nodes),
                **({"remark": roster.remark} if roster.remark else {}),
            )

    # --- the start ---

    async def _settle(self) -> None:
        """Holds End-of-RIB back until the nodes are back or the wait is over: a router that has kept our routes over
        a restart drops with it what was not announced again (RFC 4724 4.1)."""
        begun = self._loop.time()
        wait = self.settings.graceful_restart.wait
        self._log.info(LogEvent.WAITING_FOR_NODES, nodes=self.peering.missing(), wait=wait)
        # A node settles by silence too (MetalLB native has no End-of-RIB), and no event tells of that.
        while self._loop.time() - begun < wait and (self.peering.missing() or not self.peering.nodes):
            await asyncio.sleep(SETTLE_LOOK)
            if not self.peering.calm and self.peering.has_calmed():
                self.peering.tell_calm()
        self.peering.tell_whole()
        up = sum(peer.up is not None for peer in self.peering.nodes.values())
        waited = round(self._loop.time() - begun, 1)
        self._log.info(LogEvent.NODES_SETTLED, up=up, missing=self.peering.missing(), waited=waited)


async def _collect_garbage() -> None:
    while True:
        for _ in range(GC_WHOLE):
            await asyncio.sleep(GC_EVERY)
            gc.collect(1)
        gc.collect()


def _raise_file_limit() -> None:
    """A thousand nodes are a thousand sockets, and the limit that shells and systemd start with is 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _source_name(settings: Settings) -> str:
    return "kubernetes" if settings.nodes.kubernetes else f"file {settings.nodes.file}"


def _limits(settings: Settings) -> NodeLimits:
    nodes = settings.nodes
    holding = HoldLimits(nodes.hold_paths, nodes.hold_last, nodes.mass_failure)
    return NodeLimits(int(nodes.hold_time), nodes.max_prefixes, holding)
