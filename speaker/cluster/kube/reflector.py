"""The loop that does what a Mirror says, for ever: asks, reads lines, waits. The rules are in mirror.py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NoReturn, TypeVar

from speaker.cluster.kube.client import Api, ApiError, Resource, Why
from speaker.cluster.kube.mirror import STEADY, Ask, Mirror, Pause

T = TypeVar("T")

BREATH: Final = 32
"""Lines after which other tasks get their turn: those that are buffered already are read without a wait, and one
costs up to 0.5 ms."""


async def reflect(api: Api, resource: Resource, mirror: Mirror[T], tell: Callable[[], None]) -> NoReturn:
    """Keep `mirror` what the cluster is. `tell` is called after each change of it. Ends by being cancelled."""
    clock = asyncio.get_running_loop().time
    seen = mirror.version

    def look() -> None:
        nonlocal seen
        if mirror.version != seen:
            seen = mirror.version
            tell()

    while True:
        step = mirror.next(clock())
        if isinstance(step, Pause):
            await asyncio.sleep(max(0.0, step.until - clock()))
            continue
        try:
            if step.watch:
                await _watch(api, resource, mirror, step, look)
            else:
                mirror.page(await api.get(resource.path(), step.query, step.seconds), clock())
        except ApiError as error:
            mirror.failed(error, clock())
        except Exception as error:
            # A mistake of ours must not leave the roster to grow old unseen.
            mirror.failed(ApiError(Why.FAILED, f"{resource}: Onepeer's own mistake: {error!r}"), clock())
        look()


async def _watch(api: Api, resource: Resource, mirror: Mirror[T], step: Ask, look: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()

    def steady() -> None:
        mirror.steady(loop.time())
        look()

    async with api.stream(resource.path(), step.query, step.seconds) as lines:
        mirror.opened(loop.time())
        timer = loop.call_later(STEADY, steady)
        try:
            count = 0
            async for line in lines:
                if not mirror.line(line, loop.time()):
                    return
                look()
                count += 1
                if count % BREATH == 0:
                    await asyncio.sleep(0)
        finally:
            timer.cancel()
    mirror.closed(loop.time())
