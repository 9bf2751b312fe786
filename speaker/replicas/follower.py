"""What does a replica know of the router's sessions that another one has? A mirror of each, by a link to the other."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from speaker.bgp import codec
from speaker.bgp.errors import ProtocolError
from speaker.peers.orders import Said, words
from speaker.replicas.channel import BEAT, Link, call
from speaker.replicas.frames import ChannelError
from speaker.replicas.messages import Agreed, Described, Follow, Frozen, Kind, State
from speaker.replicas.mirror import Mirror


@dataclass(slots=True)
class Copy:
    """A session of the leader's. `frozen` once it is ours to go on with."""

    described: Described
    mirror: Mirror
    frozen: Frozen | None = None


@dataclass(slots=True)
class Copies:
    """All of a router, by lane.

    given       the leader has put its sessions to rest, and has no address any more
    kept        it will not, since the Lease is its own
    offered     it wants us to take the Lease
    agreed      which nodes it knows as drained, where it has said so
    """

    by_lane: dict[int, Copy] = field(default_factory=dict)
    given: bool = False
    kept: bool = False
    offered: bool = False
    agreed: Said = field(default_factory=dict)

    def hear(self, kind: int, body: bytes) -> None:
        """The leader says something. Raises ChannelError where it makes no sense."""
        try:
            self._hear(kind, body)
        except (ProtocolError, ValueError, TypeError, KeyError, IndexError) as error:
            raise ChannelError(f"what it says makes no sense: {error}") from None

    def _hear(self, kind: int, body: bytes) -> None:
        lane, rest = (body[0], body[1:]) if body else (0, b"")
        if kind == Kind.STREAM:
            self.by_lane[lane].mirror.sends(rest)
        elif kind == Kind.ACKED:
            self.by_lane[lane].mirror.acknowledged(int.from_bytes(rest, "big"))
        elif kind == Kind.SESSION:
            described = Described.decode(rest)
            negotiated = codec.negotiate(codec.offer_of(described.ours), described.theirs)
            mirror = Mirror(negotiated.add_path_send, described.sequence)
            if described.ended:
                mirror.ended.update(negotiated.families)
            self.by_lane[lane] = Copy(described, mirror)
        elif kind == Kind.HELD:
            self.by_lane[lane].mirror.knows(rest)
        elif kind == Kind.CLOSED:
            self.by_lane.pop(lane, None)
        elif kind == Kind.FROZEN:
            self.by_lane[lane].frozen = Frozen.decode(rest)
        elif kind == Kind.GIVEN:
            self.given = True
        elif kind == Kind.KEPT:
            self.kept = True
        elif kind == Kind.OFFER:
            self.offered = True
        elif kind == Kind.AGREED:
            agreed = Agreed.decode(body).drains
            words(agreed)
            self.agreed = agreed


class Following:
    """Follows the leader of a router for as long as it is asked to.

    state       how we are
    heard       is called after everything that the leader says, and at the end
    refused     is told why the two do not understand each other
    """

    def __init__(
        self,
        follow: Follow,
        state: Callable[[], State],
        heard: Callable[[], None],
        refused: Callable[[str, str], None],
    ) -> None:
        self.copies = Copies()
        self.link: Link | None = None
        self._follow, self._state, self._heard, self._refused = follow, state, heard, refused

    async def run(self, address: str, port: int, key: bytes) -> None:
        """One link, until it ends. What it has told stays known."""
        try:
            async with call(address, port, key) as link, asyncio.TaskGroup() as group:
                link.send(Kind.FOLLOW, self._follow.encode())
                told = group.create_task(self._tell(link))
                self.copies.given = self.copies.kept = self.copies.offered = False
                self.link = link
                async for kind, body in link.frames():
                    self.copies.hear(kind, body)
                    if kind >= Kind.OFFER:
                        self._heard()
                told.cancel()
        except* ChannelError as errors:
            self._refused(address, str(errors.exceptions[0]))
        except* (OSError, EOFError, TimeoutError):
            pass  # the leader has gone; who follows is asked again
        finally:
            self.link = None
            self._heard()

    async def _tell(self, link: Link) -> None:
        while True:
            link.send(Kind.STATE, self._state().encode())
            await asyncio.sleep(BEAT)
