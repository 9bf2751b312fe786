"""Who calls with a wrong TCP MD5 signature? The kernel drops such calls before anybody sees them; it only counts."""

import asyncio
from collections.abc import Callable
from typing import NoReturn

import structlog

from speaker.log import LogEvent
from speaker.net.sockets import MD5_COUNTERS, md5_drops
from speaker.peers.neighbor import SAY_AGAIN

#: Seconds between two looks at the kernel's counters.
LOOK = 2.0


async def watch_signatures(suspects: Callable[[], list[str]], dropped: Callable[[], None]) -> NoReturn:
    """For ever: `dropped` is called when the kernel has dropped some. Whoever has no key tries for ever, and that is a
    line of the log a while, with the `suspects`."""
    log, clock = structlog.get_logger(), asyncio.get_running_loop().time
    before = said = md5_drops()
    due = dict.fromkeys(MD5_COUNTERS.values(), 0.0)
    while True:
        await asyncio.sleep(LOOK)
        now, counts = clock(), md5_drops()
        if counts != before:
            before = counts
            dropped()
        for reason, count in counts.items():
            more = count - said.get(reason, 0)
            if more and now >= due[reason]:
                said, due = {**said, reason: count}, {**due, reason: now + SAY_AGAIN}
                log.warning(LogEvent.MD5_REFUSED, reason=reason, count=more, suspects=suspects())
