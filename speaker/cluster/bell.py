"""When is there something new to look at? Whoever has news rings; several may wait, each for what it has not heard."""

from __future__ import annotations

import asyncio


class Bell:
    """`count` is how often it rang: a ring between a look and the wait after it is not lost."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """There is news."""
        self.count += 1
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def after(self, heard: int, seconds: float | None = None) -> None:
        """Until it has rung more often than `heard` times, or for `seconds`."""
        if self.count > heard:
            return
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await asyncio.wait([waiting], timeout=seconds)
        finally:
            self._waiting.discard(waiting)
