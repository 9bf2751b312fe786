"""Who speaks to a router, we or another replica? One router: its Lease, its addresses, its sessions.

The Lease decides, the link confirms, the nodes witness:

- Only with the Lease are the addresses taken, and only when nobody on the link answers for them. Where somebody does,
  it is the leader before: it is asked for a planned handover, and else waited for. Never two.
- The addresses have a lifetime in the kernel that ends before anybody else can have the Lease. They are renewed with
  it. A leader that was frozen finds the time over, and has nothing any more: its addresses are gone, and its
  connections are closed without a word.
- A leader whose Lease cannot be renewed for want of an answer goes on as long as most nodes have sessions with it, for
  then it is the API server that is away. It gives all to a replica that has got the Lease and asks.

Time is the loop's, which is monotonic. See docs/availability.md for what a user sees of each case.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NoReturn

import structlog

from speaker.cluster.kube.candidate import Candidate
from speaker.cluster.kube.lease import Lease
from speaker.config import Router
from speaker.log import LogEvent
from speaker.peers.orders import Said
from speaker.peers.router import RouterPeer
from speaker.peers.seldom import Seldom
from speaker.replicas.channel import BEAT, SILENCE, Link
from speaker.replicas.follower import Following
from speaker.replicas.goodbyes import Goodbyes
from speaker.replicas.ground import Ground, GroundError
from speaker.replicas.messages import Agreed, Follow, Kind, State
from speaker.replicas.publisher import Follower, Publisher
from speaker.replicas.takeover import Way, freeze, take_over
from speaker.serve.counters import Counters

SLACK: Final = 1.1
"""Seconds by which the kernel may be late to take an address away (measured: 0.4 for one, 1 for sixty)."""

HESITATE: Final = 2.0
"""Seconds for which a replica that does not reach the router, or knows nothing of its sessions, lets others go first;
half of it for one with few nodes."""

HANDOVER: Final = 2.0
"""Seconds for the leader before to hand over, at most. It takes milliseconds."""

PATIENCE: Final = 5.0
"""Seconds for which a leader that stops waits for another to take over: sessions go on meanwhile. A pod has 10 s."""

UNFIT: Final = 1.5
"""Seconds for which a leader must be worse than a follower before it hands over."""

REST: Final = 10.0
"""Seconds after a takeover before a leader hands over by its own choice."""

DEFEND: Final = 10.0
"""Seconds between two looks at whether another host has the addresses as well (RFC 5227 1.1, DEFEND_INTERVAL)."""

BEREFT: Final = 30.0
"""Seconds after which a Lease that nobody renews is nobody's. A takeover takes a few."""

SAY_AGAIN: Final = 60.0


def shown(holder: str) -> str:
    """The replica's name, of the name that it has in a Lease. A process that was started again is another candidate: it
    knows nothing of the sessions of the one before."""
    return holder.partition("_")[0]


class Role(StrEnum):
    """What a replica is to a router."""

    FOLLOWS = "follows"
    TAKES = "takes"
    LEADS = "leads"


@dataclass(frozen=True, slots=True)
class Taken:
    """A takeover of ours. `at` is wall clock, `seconds` from the Lease to the last session."""

    at: float
    way: Way
    seconds: float


@dataclass(frozen=True, slots=True)
class Self:
    """What all routers' leads share.

    key     None until it is known
    nodes   how many nodes have a session with us, and how many there are
    witnesses   how many of those with a session answer on the link, None where nobody is asked
    drains      what is known of drained nodes (speaker.peers.orders)
    learn       is told what others know of them
    """

    replica: str
    key: Callable[[], bytes | None]
    nodes: Callable[[], tuple[int, int]]
    witnesses: Callable[[], int | None]
    counters: Counters
    clock: Callable[[], float]
    drains: Callable[[], Said]
    learn: Callable[[Said], None]


class Lead:
    """One router. `ground` has its addresses, `lease` and `lanes` are its own."""

    def __init__(self, us: Self, router: Router, lanes: Sequence[RouterPeer], lease: Lease, ground: Ground) -> None:
        self.us, self.router, self.lanes, self.lease, self.ground = us, router, lanes, lease, ground
        self.role = Role.FOLLOWS
        self.taken: Taken | None = None
        self.conflict: str | None = None
        self._loop = asyncio.get_running_loop()
        self._log = structlog.get_logger().bind(router=router.name)
        self._seldom = Seldom(SAY_AGAIN)
        self._wake = asyncio.Event()
        self._busy = asyncio.Lock()
        self._gone = asyncio.Event()  # we led, and do not any more
        self.publisher = Publisher(self._cannot_mirror)
        self.following = Following(Follow(router.name, us.replica), self._state, self._wake.set, self._not_understood)
        self._before: tuple[str, str] = ("", "")  # who led before us, and its channel
        self._held_until = 0.0
        self._led_since = self._defend_at = 0.0
        self._unfit_since: float | None = None
        self._stopping = False
        self._goodbyes = Goodbyes(self._trouble)
        for lane in lanes:
            lane.witness = self.publisher

    @property
    def candidate(self) -> Candidate:
        """Ours for the Lease."""
        return self.lease.candidate

    def changed(self) -> None:
        """The Lease has been looked at."""
        record = self.candidate.record
        if record is not None and record.holder not in ("", self.us.replica):
            before = (record.holder, record.channel)
            if before != self._before and self.following.link is not None:
                self.following.link.close()  # another leads now
            self._before = before
        self._wake.set()

    def patience(self) -> float:
        """How much longer than it must this one waits for others to take the Lease."""
        up, nodes = self.us.nodes()
        if not self.ground.reaches() or (self.candidate.holder and not self.following.copies.by_lane):
            return HESITATE
        return HESITATE / 2 if 2 * up < nodes else 0.0

    async def run(self) -> NoReturn:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.lease.run())
            group.create_task(self._follow())
            group.create_task(self._turns())
        raise AssertionError("these run for ever")

    # --- to look at ---

    def followers(self) -> list[str]:
        """Who could go on at once."""
        now = self._loop.time()
        return sorted(
            shown(f.replica) for f in self.publisher.followers if f.state is not None and now - f.heard < SILENCE
        )

    def lease_age(self) -> float | None:
        """Seconds since the Lease was seen to be renewed."""
        return self.candidate.age(self._loop.time())

    def is_anothers(self) -> bool:
        """Whether another replica leads, or has until a moment ago."""
        age = self.lease_age()
        return self.role is Role.FOLLOWS and age is not None and age < BEREFT

    # --- the channel ---

    async def answer(self, link: Link, replica: str) -> None:
        """A follower calls; returns when it is gone. Who does not lead has nothing to tell: what it knows of the leader
        before must not be forgotten for it."""
        if self.role is not Role.LEADS:
            return
        follower = Follower(replica, link)
        self.publisher.join(follower, self.lanes)
        try:
            async for kind, body in link.frames():
                follower.heard = self._loop.time()
                if kind == Kind.STATE:
                    follower.state = State.decode(body)
                    self._agree(link, follower.state)
                elif kind == Kind.ASK:
                    async with self._busy:
                        await self._asked(link)
        finally:
            self.publisher.leave(follower)

    async def _follow(self) -> NoReturn:
        while True:
            holder, channel = self._before
            address, _, port = channel.rpartition(":")
            key = self.us.key()
            if key is not None and port.isdigit() and holder and self.role is not Role.LEADS:
                await self.following.run(address.strip("[]"), int(port), key)
            await asyncio.sleep(BEAT)

    def _state(self) -> State:
        sessions = len(self.following.copies.by_lane)
        return State(self.us.nodes()[0], self.ground.reaches(), sessions, self.us.drains())

    def _agree(self, link: Link, state: State) -> None:
        """On which nodes are drained: whichever replica was told, soon all know."""
        self.us.learn(state.drains)
        if self.us.drains() != state.drains:
            link.send(Kind.AGREED, Agreed(self.us.drains()).encode())

    async def _asked(self, link: Link) -> None:
        """One that has got the Lease asks for everything."""
        if self.role is not Role.LEADS or self.candidate.leads(self._loop.time()):
            link.send(Kind.KEPT, b"")
            return
        begun = self._loop.time()
        self.publisher.hand_over()
        for number, frozen in freeze(self.lanes).items():
            link.send(Kind.FROZEN, bytes((number,)) + frozen.encode())
        await self._let_go()
        link.send(Kind.GIVEN, b"")
        await link.drain()
        await self._goodbyes.keep([])
        took = round(self._loop.time() - begun, 4)
        self._log.info(LogEvent.HANDED_OVER, to=shown(self.candidate.holder), took=took)

    # --- turns ---

    async def _turns(self) -> NoReturn:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self._wake.wait()
            self._wake.clear()
            async with self._busy:
                try:
                    await self._turn()
                except GroundError as error:
                    self._trouble(str(error))

    async def _turn(self) -> None:
        now = self._loop.time()
        if self.role is not Role.LEADS:
            self.candidate.wants = not self._stopping  # also after the Lease was given away
        if self.role is Role.LEADS:
            self.publisher.beat()
            await self._lead(now)
            if self.role is Role.LEADS:
                await self._goodbyes.keep(self._spare(now))
        elif self._may_lead(now):
            await self._take(now)
        else:
            self.conflict = None
        if self.following.copies.offered:
            self.following.copies.offered = False
            self.lease.look()
        self.us.learn(self.following.copies.agreed)

    async def _lead(self, now: float) -> None:
        if now >= self._held_until:
            await self._lose("the addresses' time was over before they were renewed")
        elif self.candidate.leads(now):
            await self._renew(now, int(self.candidate.others_after - SLACK - now))
            self._defend(now)
            await self._judge(now)
        elif self._may_lead(now):
            if self._seldom.due("holds on", now):
                self._log.warning(LogEvent.LEADS_WITHOUT_LEASE, why=str(self.lease.trouble or ""))
            await self._renew(now, int(self.candidate.seconds - SLACK))

    def _defend(self, now: float) -> None:
        """Tells the link anew who has the addresses, while another host says that it does (RFC 5227 2.4 c).

        The Lease is ours, and without them the router's sessions are lost."""
        if now < self._defend_at:
            return
        self._defend_at = now + DEFEND
        self._contested(self.ground.contested())
        if self.conflict is not None:
            self.ground.announce()

    def _contested(self, owner: str | None) -> None:
        self.conflict = owner
        if owner is not None and self._seldom.due("conflict", self._loop.time()):
            self._log.error(LogEvent.ADDRESS_CONFLICT, owner=owner, before=shown(self._before[0]))

    def _may_lead(self, now: float) -> bool:
        """By the Lease; or since we had it last, the API server does not answer, and it is not we who are cut off."""
        if self.candidate.leads(now):
            return True
        if not self.candidate.holds_on(now) or self.lease.trouble is None or self._stopping:
            return False
        witnesses, (up, nodes) = self.us.witnesses(), self.us.nodes()
        if witnesses is None:
            return 2 * up > nodes and self.ground.reaches()
        return 2 * witnesses > nodes

    async def _renew(self, now: float, seconds: int) -> None:
        until = now + seconds
        if until < self._held_until + BEAT:
            return
        await self.ground.hold(seconds)
        if self._loop.time() >= self._held_until:
            await self._lose("it was frozen while it renewed the addresses")
        else:
            self._held_until = until

    async def _judge(self, now: float) -> None:
        """Gives the lead to a follower that is better off, where there is one for a while."""
        best = self.best_follower(now)
        reaches, (up, nodes) = self.ground.reaches(), self.us.nodes()
        better = (
            best is not None
            and best.state is not None
            and ((best.state.reaches and not reaches) or (2 * up <= nodes and best.state.nodes > up))
        )
        if not better or now - self._led_since < REST:
            self._unfit_since = None
        elif self._unfit_since is None:
            self._unfit_since = now
        elif best is not None and now - self._unfit_since >= UNFIT:
            self._unfit_since, self._led_since = None, now
            await self._offer(best)

    def _spare(self, now: float) -> list[RouterPeer]:
        """The lanes that another replica could go on with, if our process were killed."""
        up = [lane for lane in self.lanes if lane.up is not None]
        there = (f.state for f in self.publisher.followers if f.state is not None and now - f.heard < SILENCE)
        return up if not self._stopping and any(state.sessions >= len(up) for state in there) else []

    def best_follower(self, now: float) -> Follower | None:
        """The one to hand over to."""
        there = [f for f in self.publisher.followers if f.state is not None and now - f.heard < SILENCE]
        return max(there, key=lambda f: (f.state.reaches, f.state.nodes) if f.state else (False, 0), default=None)

    async def _offer(self, follower: Follower) -> None:
        """The Lease goes to it, and it will ask for the rest."""
        if await self.lease.give(follower.replica):
            follower.link.send(Kind.OFFER, b"")

    async def stop(self) -> bool:
        """Hands over, where somebody can go on; whether that was done. Else sessions and addresses stay as they are.

        Where it takes too long nothing is said to the router, and the other goes on as if we had been killed.
        """
        self._stopping = True
        self._gone.clear()
        self.candidate.wants = False
        follower = self.best_follower(self._loop.time())
        if self.role is not Role.LEADS or follower is None:
            async with self._busy:
                await self._goodbyes.keep([])
            return self.role is not Role.LEADS
        await self._offer(follower)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._gone.wait()
        async with self._busy:
            if self.role is Role.LEADS:
                await self._lose("nobody took over in time")
            await self._goodbyes.keep([])
        return True

    async def close(self) -> None:
        """After the end of the sessions: the addresses go, and the Lease is free."""
        if self.role is Role.LEADS:
            await self._let_go()
        await self.lease.give("")
        await self.ground.close()

    # --- taking and losing ---

    async def _take(self, now: float) -> None:
        self.role = Role.TAKES
        try:
            if await self._may_take():
                await self._taking(now)
        finally:
            if self.role is Role.TAKES:
                self.role = Role.FOLLOWS

    async def _may_take(self) -> bool:
        """Whether nobody else has the addresses any more."""
        copies, link = self.following.copies, self.following.link
        copies.given = copies.kept = False
        if link is not None and link.open:
            link.send(Kind.ASK, b"")
            deadline = self._loop.time() + HANDOVER
            while not (copies.given or copies.kept) and self.following.link is link and self._loop.time() < deadline:
                self._wake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(BEAT):
                        await self._wake.wait()
            if copies.given:
                return True
        owner = await self.ground.taken()
        # To one who comes back, and only thinks that it still leads, whoever leads meanwhile is no intruder.
        self._contested(owner if self.candidate.leads(self._loop.time()) else None)
        return owner is None

    async def _taking(self, now: float) -> None:
        begun = self._loop.time()
        if not self._may_lead(begun):
            return
        by_lease = self.candidate.others_after - begun if self.candidate.leads(begun) else self.candidate.seconds
        seconds = int(by_lease - SLACK)
        if seconds < 1:
            return  # the Lease is renewed in a moment
        await self._goodbyes.clean(self.router.local_addresses)
        self._held_until = float("inf")
        copies = self.following.copies
        self.role = Role.LEADS
        try:
            ways = await take_over(self.ground, self.lanes, copies, seconds)
        except GroundError:
            await self._let_go()
            raise
        if self._loop.time() >= begun + seconds:
            await self._lose("it was frozen while it took the addresses")
            return
        self._held_until, self._led_since = begun + seconds, begun
        copies.by_lane.clear()
        if self.following.link is not None:
            self.following.link.close()
        took = round(self._loop.time() - now, 4)
        worst = max(ways.values(), key=list(Way).index)
        self.taken = Taken(self.us.clock(), worst, took)
        for number, way in ways.items():
            self.us.counters.takeovers[way] += 1
            self._log.info(LogEvent.TAKEN_OVER, lane=number + 1, way=way, took=took, before=shown(self._before[0]))

    async def _lose(self, why: str) -> None:
        self._log.warning(LogEvent.LEAD_LOST, why=why, holder=shown(self.candidate.holder))
        self.publisher.hand_over()  # nothing is said to the router, and whoever follows goes on
        await self._let_go()
        await self._goodbyes.keep([])

    async def _let_go(self) -> None:
        self.role = Role.FOLLOWS
        for lane in self.lanes:
            lane.rest()
        await self.ground.drop()
        self._gone.set()

    # --- words ---

    def _cannot_mirror(self, why: str) -> None:
        self._trouble(f"the others cannot go on with this session: {why}")

    def _not_understood(self, who: str, why: str) -> None:
        if self._seldom.due((who, why), self._loop.time()):
            self._log.warning(LogEvent.REPLICA_REFUSED, address=who, why=why)

    def _trouble(self, why: str) -> None:
        if self._seldom.due(why, self._loop.time()):
            self._log.error(LogEvent.TAKEOVER_TROUBLE, why=why)
