"""What does MetalLB's native speaker do when a session does not go as it should? Measured, in seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from golden_cluster import PEER4, Call, Cluster, advertisement, listening, peer, pool, service
from golden_peer import NOTIFICATION, PLAIN, RawPeer, message, nlri, open_message

OPEN_OURS = open_message(64512, 90, PEER4, PLAIN)
OPEN_WRONG_AS = open_message(64513, 90, PEER4, PLAIN)
CONNECTION_REJECTED = message(NOTIFICATION, bytes([6, 5]))


def answering(answer: bytes, wait: float = 0) -> Callable[[Call], Awaitable[None]]:
    """Answer a call with these bytes, then close: 0 s later, or when `wait` is over or the speaker has closed."""

    async def handle(call: Call) -> None:
        _, reader, writer = call
        writer.write(answer)
        if wait:
            try:
                await asyncio.wait_for(reader.read(-1), wait)
                print(f"      it closed after {time.monotonic() - call[0]:.2f} s")
            except TimeoutError:
                print(f"      it still waited after {wait} s")
        writer.close()

    return handle


SCENARIOS: tuple[tuple[str, Callable[[Call], Awaitable[None]], float], ...] = (
    ("TCP closed before our OPEN", answering(b""), 20),
    ("NOTIFICATION 6/5 before our OPEN", answering(CONNECTION_REJECTED), 20),
    ("nothing is said to it", answering(b"", wait=30), 45),
    ("our OPEN has the wrong AS", answering(OPEN_WRONG_AS, wait=5), 20),
    ("NOTIFICATION 6/5 after our OPEN", answering(OPEN_OURS + CONNECTION_REJECTED), 1),
)


async def show(cluster: Cluster) -> None:
    """Print each scenario with the seconds at which the speaker dialled, counted from its first call."""
    for what, handle, seconds in SCENARIOS:
        print(f"{what}:", flush=True)
        async with listening(cluster, PEER4) as calls:
            await asyncio.to_thread(cluster.apply, peer())
            times: list[float] = []
            try:
                async with asyncio.timeout(60) as limit:
                    while True:
                        call = await calls.get()
                        times.append(call[0])
                        if len(times) == 1:
                            limit.reschedule(asyncio.get_running_loop().time() + seconds)
                        await handle(call)
            except TimeoutError:
                offsets = [f"{one - times[0]:.2f}" for one in times]
                print(f"      {len(times)} calls in {seconds} s, at {' '.join(offsets[:12])}", flush=True)
            await asyncio.to_thread(cluster.delete, "bgppeer", "onepeer", namespace="metallb-system")
    await _late_open(cluster)
    await _ipv6_service(cluster)


async def _late_open(cluster: Cluster) -> None:
    print("our OPEN comes 9 s after the call:")
    async with listening(cluster, PEER4) as calls:
        await asyncio.to_thread(cluster.apply, peer())
        _, reader, writer = await asyncio.wait_for(calls.get(), 60)
        await asyncio.sleep(9)
        raw = RawPeer(OPEN_OURS)
        await raw.attach(reader, writer)
        await raw.established()
        await raw.quiet(3)
        print(f"      the session is up, {len(raw.stream)} bytes")
        await raw.end()
    await asyncio.to_thread(cluster.delete, "bgppeer", "onepeer", namespace="metallb-system")


async def _ipv6_service(cluster: Cluster) -> None:
    print("an IPv6 pool and Service, then an IPv4 Service:")
    async with listening(cluster, PEER4) as calls:
        await asyncio.to_thread(cluster.apply, peer())
        _, reader, writer = await asyncio.wait_for(calls.get(), 60)
        raw = RawPeer(OPEN_OURS)
        await raw.attach(reader, writer)
        await raw.established()
        await raw.quiet(3)
        six = (pool("six", "fd00:30::/64"), advertisement("six", ["six"]), *service("six", "fd00:30::1"))
        await asyncio.to_thread(cluster.apply, *six)
        await raw.quiet(3)
        await asyncio.to_thread(cluster.apply, *service("four", "192.168.30.44"))
        await raw.quiet(3)
        there = nlri("192.168.30.44/32") in raw.stream
        print(f"      192.168.30.44 {'was' if there else 'was not'} announced, {len(raw.stream)} bytes")
        await raw.end()
    await asyncio.to_thread(cluster.delete, "service", "six", "four")
    await asyncio.to_thread(cluster.delete, "ipaddresspool,bgpadvertisement", "six", namespace="metallb-system")
    await asyncio.to_thread(cluster.delete, "bgppeer", "onepeer", namespace="metallb-system")
