"""How long does the status page keep the event loop? `python -m tests.page.bench [NODES] [PREFIXES]`, in milliseconds.

That many nodes have a session over loopback and announce that many prefixes each. A clock beside the answers sees the
longest time for which nothing else could run.
"""

import asyncio
import contextlib
import gc
import io
import statistics
import sys
import time
from ipaddress import IPv4Address

from speaker.app import GC_THRESHOLD
from speaker.serve.views import OverviewQuery
from tests.app.stage import Stage, until
from tests.app.wire import Identity

ANSWERS = 30
POOL = IPv4Address("192.168.0.0")


class Large(Stage):
    """One with more hosts than an octet has numbers."""

    def host(self, number: int) -> str:
        return str(IPv4Address(f"{self.net}.0") + number)


async def longest_pause(stage: Stage) -> float:
    """While one answer is made."""
    longest, last = 0.0, time.perf_counter()
    asked = asyncio.create_task(stage.report().overview(OverviewQuery()))
    while not asked.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    asked.result()
    return 1e3 * longest


async def main(nodes: int, prefixes: int) -> None:
    stage = Large(io.StringIO())
    with contextlib.redirect_stderr(stage.stream):
        await stage.start(count=nodes, guard={"prefixes": [f"{POOL}/16"]})
        texts = [f"{POOL + at}/32" for at in range(prefixes)]
        for number in range(31, 31 + nodes):
            wire = await stage.call(number, Identity(stage.host(number)))
            await until(lambda wire=wire: wire.up, "a session is up", 30)
            for at in range(0, prefixes, 500):
                wire.announce(*texts[at : at + 500], hop=stage.host(number))
        await until(lambda: sum(stage.status().paths.values()) == nodes * prefixes, "all is there", 120)
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        pauses = [await longest_pause(stage) for _ in range(ANSWERS)]
        await stage.close()
    stage.clean()
    print(f"{nodes} nodes, {prefixes} prefixes: median {statistics.median(pauses):.0f}, worst {max(pauses):.0f} ms")


if __name__ == "__main__":
    asyncio.run(main(*(int(word) for word in (*sys.argv[1:], "1000", "1000")[:2])))
