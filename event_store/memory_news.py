"""News among tasks of one event loop: what `wait_for_news` of the in-memory back ends waits on."""

from __future__ import annotations

import asyncio


class News:
    def __init__(self) -> None:
        self._told = asyncio.Event()

    def tell(self) -> None:
        self._told.set()

    async def wait(self, timeout_s: float) -> bool:
        """True once somebody told since the last call. Wakes everybody who waits; who comes later may miss it."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._told.wait()
        except TimeoutError:
            return False
        self._told.clear()
        return True
