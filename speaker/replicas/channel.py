"""How do replicas talk? One TCP connection from each that follows to the one that leads, for each router.

Who does not read is dropped when `BOUND` octets wait for it, and begins with a new snapshot: it never holds up the
leader. Who is silent for `SILENCE` is gone. frames.py says how the two know each other.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from speaker.net.sockets import Address, SocketError, listener, tune
from speaker.replicas.frames import HELLO_SIZE, NONCE, PROOF, ChannelError, Handshake, Opener, Sealer

BOUND: Final = 32 * 1024 * 1024
"""Octets that may wait for one follower: a snapshot of a million paths and what comes meanwhile."""

GREET: Final = 2.0
"""Seconds for both to prove that they have the key."""

BEAT: Final = 0.25
"""Seconds between two signs of life."""

SILENCE: Final = 1.5
"""Seconds without one after which the other is gone. A machine that works to its limit is late by 0.1."""

_READ = 256 * 1024


class Link:
    """One connection between two replicas that know each other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seal: Sealer, opens: Opener) -> None:
        self._reader, self._writer, self._sealer, self._opener = reader, writer, seal, opens
        self._ready: deque[tuple[int, bytes]] = deque()

    @property
    def open(self) -> bool:
        """Whether what is sent may arrive."""
        return not self._writer.transport.is_closing()

    def send(self, kind: int, body: bytes) -> None:
        """One frame, handed to TCP at once where that takes it. Whoever does not read is dropped."""
        transport = self._writer.transport
        if transport.is_closing():
            return
        transport.write(self._sealer.seal(kind, body))
        if transport.get_write_buffer_size() > BOUND:
            transport.abort()

    async def frames(self) -> AsyncIterator[tuple[int, bytes]]:
        """What the other says, until it is gone. Raises ChannelError where it is not to be believed."""
        while True:
            while self._ready:
                yield self._ready.popleft()
            try:
                async with asyncio.timeout(SILENCE):
                    data = await self._reader.read(_READ)
            except (TimeoutError, OSError):
                return
            if not data:
                return
            self._ready += self._opener.feed(data)

    async def drain(self) -> None:
        """Until what was sent is with TCP, or it is gone."""
        transport = self._writer.transport
        low, high = transport.get_write_buffer_limits()
        transport.set_write_buffer_limits(0)
        try:
            async with asyncio.timeout(SILENCE):
                await self._writer.drain()
        except (TimeoutError, OSError):
            self.close()
        finally:
            transport.set_write_buffer_limits(high, low)

    def close(self) -> None:
        """At once."""
        self._writer.transport.abort()


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes, *, caller: bool) -> Link:
    """The two get to know each other. Raises ChannelError; OSError, EOFError, TimeoutError where TCP ends."""
    hands = Handshake(key, os.urandom(NONCE), caller=caller)
    async with asyncio.timeout(GREET):
        writer.write(hands.hello())
        writer.write(hands.proof(await reader.readexactly(HELLO_SIZE)))
        sealer, opener = hands.check(await reader.readexactly(PROOF))
    return Link(reader, writer, sealer, opener)


@asynccontextmanager
async def call(address: str, port: int, key: bytes) -> AsyncIterator[Link]:
    """A link to the replica at this address. Raises ChannelError, OSError, EOFError, TimeoutError."""
    async with asyncio.timeout(GREET):
        reader, writer = await asyncio.open_connection(address, port)
    try:
        tune(writer.get_extra_info("socket"))
        yield await greet(reader, writer, key, caller=True)
    finally:
        writer.transport.abort()


class Door:
    """Where the others call. `answer` has a link until it returns; `refuse` is told of callers without the key."""

    def __init__(
        self,
        key: bytes,
        answer: Callable[[Link], Coroutine[Any, Any, None]],
        refuse: Callable[[str, str], None],
    ) -> None:
        self._key, self._answer, self._refuse = key, answer, refuse
        self._servers: list[asyncio.Server] = []
        self._calls: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def open(self, address: Address, port: int) -> None:
        """Listen there too. Raises SocketError."""
        sock = listener(address, port)
        try:
            self._servers.append(await asyncio.start_server(self._accept, sock=sock))
        except OSError as error:
            sock.close()
            raise SocketError(f"{address} port {port}", str(error), "set another replicas.port") from None

    async def close(self) -> None:
        """And end all links."""
        for server in self._servers:
            server.close()
        # Not by cancelling: what asyncio makes of a server's task that is cancelled is a complaint in the log.
        for writer in self._calls.values():
            writer.transport.abort()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._calls[task] = writer
        caller = str(writer.get_extra_info("peername", ("?",))[0])
        try:
            tune(writer.get_extra_info("socket"))
            await self._answer(await greet(reader, writer, self._key, caller=False))
        except (ChannelError, ValueError, TypeError, KeyError) as error:
            self._refuse(caller, str(error))
        except (OSError, EOFError, TimeoutError):
            pass  # a caller that has gone; it calls again
        finally:
            writer.transport.abort()
            del self._calls[task]
