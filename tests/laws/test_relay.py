"""The relay under trouble: it waits where it should, sends no lane twice at a time, and refuses only with reason."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from event_store.memory_outbox import MemoryOutbox
from event_store.outbox import ClaimedRows, Lane

from .line import TOPICS, Line, in_virtual_time


def test_an_idle_relay_looks_at_its_outbox_once_a_poll() -> None:
    async def idle(line: Line) -> None:
        outbox = _CountedClaims(TOPICS, line.now_us)
        stop = asyncio.Event()
        running = asyncio.create_task(line.relay(outbox=outbox, poll_s=1.0).run(stop))
        await asyncio.sleep(100.0)
        stop.set()
        await running
        assert 90 <= outbox.claims <= 130

    in_virtual_time(idle)


class _CountedClaims(MemoryOutbox):
    claims = 0

    async def claim(self, lanes: Sequence[Lane], most: int = 1000) -> Sequence[ClaimedRows]:
        self.claims += 1
        return await super().claim(lanes, most)
