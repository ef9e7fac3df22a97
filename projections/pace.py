"""A pace: no more than so many records a second, so that work in the background leaves room for what is in front."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from event_store.pause_watch import NeverPaused, PauseWatch


@dataclass(slots=True)
class Pace:
    """Shared by all that work at it together; None is as fast as it goes."""

    records_per_s: float | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    pause: PauseWatch = field(default_factory=NeverPaused)
    _free_at_s: float = field(default=0.0)

    async def take(self, records: int) -> None:
        """Returns when the records that were taken before have had their time, and nobody holds it still.

        A batch is taken whole.
        """
        await self.pause.over()
        if self.records_per_s is None:
            return
        now_s = self.clock()
        begin_s = max(now_s, self._free_at_s)
        self._free_at_s = begin_s + records / self.records_per_s
        if begin_s > now_s:
            await self.sleep(begin_s - now_s)
