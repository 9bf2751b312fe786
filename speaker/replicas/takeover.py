"""How does a replica go on with a router's sessions? The best way that is to be had, for each of them.

    planned         the leader before has put the session to rest and told where it stands
    transplant      it is gone: the router itself is asked where the session stands
    reclaim         a new session from the same port, which makes the router drop the old one at once
    graceful-restart, plain     a new session; the router keeps the routes meanwhile, or does not

With the first two the router sees nothing at all. See docs/availability.md.
"""

from collections.abc import Sequence
from enum import StrEnum
from ipaddress import ip_address

import structlog

from speaker.bgp import codec
from speaker.bgp.errors import ProtocolError
from speaker.log import LogEvent
from speaker.net import repair
from speaker.net.repair import Numbers
from speaker.net.sockets import SocketError
from speaker.peers.router import Inherited, RouterPeer
from speaker.replicas.follower import Copies, Copy
from speaker.replicas.ground import Ground
from speaker.replicas.messages import Frozen
from speaker.replicas.mirror import Beyond

#: Where every leader calls routers from. Who knows nothing of the session before it calls from the same port, and the
#: router drops that session at once.
PORT = 1792


class Way(StrEnum):
    """From the best to the worst; the word that log, metrics and `status` have for it."""

    PLANNED = "planned"
    TRANSPLANT = "transplant"
    RECLAIM = "reclaim"
    GRACEFUL_RESTART = "graceful-restart"
    PLAIN = "plain"


class Unfit(Exception):
    """This session cannot be gone on with, and why."""


def freeze(lanes: Sequence[RouterPeer]) -> dict[int, Frozen]:
    """Puts the sessions of these lanes to rest, each with where it stands. Those that cannot be are left out, and have
    ended on our side without a word to the router."""
    frozen = {}
    for lane in lanes:
        outstanding = lane.up.outstanding if lane.up is not None else 0
        handed = lane.hand_over()
        if handed is None:
            continue
        session, sock, unwritten = handed
        with sock:
            try:
                where = repair.numbers(sock, outstanding - unwritten)
            except OSError:
                continue
        frozen[lane.lane] = Frozen(where.send, where.receive, where.window, where.stamp, session.rest + where.unread)
    return frozen


async def take_over(ground: Ground, lanes: Sequence[RouterPeer], copies: Copies, seconds: int) -> dict[int, Way]:
    """Takes the addresses, for so many seconds, and goes on with the sessions. Raises GroundError."""
    ground.announce()
    stands = {}
    for lane in lanes:
        copy = copies.by_lane.get(lane.lane)
        if copy is not None and copy.frozen is not None:
            frozen = copy.frozen
            stands[lane.lane] = Numbers(frozen.send, frozen.receive, frozen.window, frozen.stamp, frozen.rest)
    asked = {n: c for n, c in copies.by_lane.items() if n not in stands and c.described.tcp is not None}
    if not copies.given and asked:
        stands |= await ground.challenge(asked, {lane.lane: lane.target.password for lane in lanes})
    await ground.hold(seconds)
    ground.announce()
    paths, whole = lanes[0].paths, lanes[0].whole
    paths.gather()
    try:
        return {lane.lane: _go_on(lane, copies.by_lane.get(lane.lane), stands.get(lane.lane)) for lane in lanes}
    finally:
        paths.gathered(whole=whole)


def _go_on(lane: RouterPeer, copy: Copy | None, where: Numbers | None) -> Way:
    if copy is not None and where is not None:
        try:
            _transplant(lane, copy, where)
        except (Unfit, Beyond, ProtocolError, OSError, SocketError) as error:
            log = structlog.get_logger().bind(router=lane.name, lane=lane.lane + 1)
            log.error(LogEvent.TAKEOVER_TROUBLE, why=f"the session cannot be gone on with: {error}")
        else:
            return Way.TRANSPLANT if copy.frozen is None else Way.PLANNED
    if copy is None:
        lane.start(PORT)
        return Way.PLAIN
    negotiated = codec.negotiate(codec.offer_of(copy.described.ours), copy.described.theirs)
    lane.start(copy.described.local_port)
    return Way.RECLAIM if negotiated.graceful is None else Way.GRACEFUL_RESTART


def _transplant(lane: RouterPeer, copy: Copy, where: Numbers) -> None:
    described, mirror = copy.described, copy.mirror
    if described.tcp is None:
        raise Unfit("its TCP options are not known")
    local, remote = ip_address(described.local), ip_address(described.remote)
    if (local, remote) != (lane.target.local, lane.target.remote):
        raise Unfit(f"it is from {local} to {remote}, and our settings say otherwise")
    first = mirror.missing(where.send)
    mirror.read()
    session = lane.new_session(codec.offer_of(described.ours))
    negotiated = codec.negotiate(session.offer, described.theirs)
    target = lane.target
    ends = (local, described.local_port), (remote, described.remote_port)
    sock = repair.rebuild(*ends, described.tcp, where, target.password, target.hops)
    inherited = Inherited(mirror.held, told_end=mirror.ended.issuperset(negotiated.families))
    lane.go_on(session, described.theirs, where.unread, sock, first, inherited)
