"""Waiting for news instead of looking for them."""

import asyncio

from speaker.cluster.bell import Bell


async def test_a_ring_between_a_look_and_the_wait_is_not_lost() -> None:
    bell = Bell()
    heard = bell.count
    bell.ring()
    await asyncio.wait_for(bell.after(heard), 1)


async def test_all_who_wait_are_woken_and_a_wait_has_its_end() -> None:
    bell = Bell()
    waits = [asyncio.create_task(bell.after(bell.count)) for _ in range(3)]
    await asyncio.sleep(0)
    bell.ring()
    await asyncio.wait_for(asyncio.gather(*waits), 1)
    await asyncio.wait_for(bell.after(bell.count, 0.01), 1)
