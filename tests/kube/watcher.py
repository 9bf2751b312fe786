"""A reflector of Nodes on a real API server, as the tests look at it."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from speaker.cluster.kube.client import Api, Object, Resource
from speaker.cluster.kube.mirror import Mirror
from speaker.cluster.kube.reflector import reflect

NODES = Resource("", "v1", "nodes")


def addresses(item: Object) -> tuple[str, ...]:
    """What is kept here: what a heartbeat does not change."""
    return tuple(entry["address"] for entry in item.get("status", {}).get("addresses", []))


class Watcher:
    def __init__(self) -> None:
        now = asyncio.get_running_loop().time()
        self.mirror: Mirror[tuple[str, ...]] = Mirror(addresses, random.random, now)
        self.told = 0
        self.seen: list[tuple[str, ...]] = []
        """The names, after each change."""

    def tell(self) -> None:
        self.told += 1
        self.seen.append(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.mirror.objects))

    @property
    def trouble(self) -> str:
        return str(self.mirror.trouble.error.why) if self.mirror.trouble else ""


@contextlib.asynccontextmanager
async def watching(kubeconfig: Path, resource: Resource = NODES) -> AsyncIterator[Watcher]:
    """A reflector, ended afterwards."""
    api, watcher = Api(kubeconfig), Watcher()
    task = asyncio.create_task(reflect(api, resource, watcher.mirror, watcher.tell))
    try:
        yield watcher
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await api.close()


async def until(condition: Callable[[], object], seconds: float, why: str) -> float:
    """Waits without holding up the loop; how long it took."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while not condition():
        assert loop.time() - begun < seconds, f"not within {seconds} s: {why}"
        await asyncio.sleep(0.01)
    return loop.time() - begun
