"""Per-product locks: one asyncio lock a product, alive only while somebody holds it or waits for it.

Batches of different partitions meet in the same products (an order's products lie in many of them). With the locks
they take turns here, in memory, instead of in the database. Correctness rests on the position's compare-and-set;
a test counts with the locks switched off.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager


class _Held:
    __slots__ = ("depth", "owner", "waiting")

    def __init__(self, owner: asyncio.Task[object] | None) -> None:
        self.owner = owner
        self.depth = 1
        self.waiting: deque[tuple[asyncio.Future[None], asyncio.Task[object] | None]] = deque()


class ProductLocks:
    """Locks by product id. They wait, in order of arrival, and never skip; a task may take again what it holds."""

    def __init__(self, *, enabled: bool = True) -> None:
        self._held: dict[str, _Held] = {}
        self._enabled = enabled

    def __len__(self) -> int:
        """How many products are locked; 0 at rest."""
        return len(self._held)

    @asynccontextmanager
    async def hold(self, product_ids: Iterable[str]) -> AsyncIterator[None]:
        """Holds all of them. Everybody takes in sorted order, so two batches can't wait for each other."""
        wanted = sorted(set(product_ids)) if self._enabled else []
        task = asyncio.current_task()
        taken = 0
        try:
            for product_id in wanted:
                await self._take(product_id, task)
                taken += 1
            yield
        finally:
            for product_id in wanted[:taken]:
                self._give_back(product_id)

    async def _take(self, product_id: str, task: asyncio.Task[object] | None) -> None:
        held = self._held.get(product_id)
        if held is None:
            self._held[product_id] = _Held(task)
        elif held.owner is task:
            held.depth += 1
        else:
            await self._wait(product_id, held, task)

    async def _wait(self, product_id: str, held: _Held, task: asyncio.Task[object] | None) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        held.waiting.append((turn, task))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(product_id)  # The lock was handed over in the moment of the cancellation.
            elif (turn, task) in held.waiting:  # Or it was passed over, between the cancellation and now.
                held.waiting.remove((turn, task))
            raise

    def _give_back(self, product_id: str) -> None:
        held = self._held[product_id]
        held.depth -= 1
        if held.depth:
            return
        while held.waiting:
            (turn, task) = held.waiting.popleft()
            if not turn.done():
                (held.owner, held.depth) = (task, 1)
                turn.set_result(None)
                return
        del self._held[product_id]
