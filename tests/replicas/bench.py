"""What does a follower cost the leader for each octet to a router? `python -m tests.replicas.bench`."""

import asyncio
import statistics
import time

from speaker.replicas.channel import Link, greet
from speaker.replicas.messages import Kind

KEY = bytes(32)
CHUNK, CHUNKS, ROUNDS = 1 << 16, 32, 15
FOLLOWERS = 2


async def pair() -> tuple[Link, asyncio.Task[None]]:
    """Our end of a link, and what reads all at the other."""
    made: asyncio.Queue[Link] = asyncio.Queue()

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.put_nowait(await greet(reader, writer, KEY, caller=False))

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    follower = await greet(reader, writer, KEY, caller=True)
    return await made.get(), asyncio.create_task(drink(follower))


async def drink(link: Link) -> None:
    async for _ in link.frames():
        pass


async def main() -> None:
    pairs = [await pair() for _ in range(FOLLOWERS)]
    links = [link for link, _ in pairs]
    octets, rounds = bytes(CHUNK), []
    for _ in range(ROUNDS):
        spent = 0.0
        for _ in range(CHUNKS):
            begun = time.perf_counter()
            body = b"\0" + octets
            for link in links:
                link.send(Kind.STREAM, body)
            spent += time.perf_counter() - begun
            for link in links:
                await link.drain()
        rounds.append(1e3 * spent / (CHUNK * CHUNKS / 1e6))
    print(f"{FOLLOWERS} followers: {statistics.median(rounds):.2f} ms for each megabyte (worst {max(rounds):.2f})")
    for _, task in pairs:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
