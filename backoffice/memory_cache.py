"""A cache in this process: what was used last, up to a number of bytes. It belongs to one event loop."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from event_store.memory_news import News

from .cache import TTL_S

MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Kept:
    rank: int
    value: bytes
    until_s: float


class MemoryCache:
    address = "memory://"

    def __init__(
        self, *, ttl_s: float = TTL_S, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl_s = ttl_s
        self._most_bytes = most_bytes
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._size_bytes = 0
        self._news = News()

    @property
    def size_bytes(self) -> int:
        """Of all values kept."""
        return self._size_bytes

    async def get(self, key: str) -> bytes | None:
        found = self._live(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found.value

    async def put(self, key: str, rank: int, value: bytes) -> bool:
        found = self._live(key)
        if found is not None and found.rank > rank:
            return False
        self._take(key)
        self._kept[key] = _Kept(rank, value, self._clock() + self._ttl_s)
        self._size_bytes += len(value)
        while self._size_bytes > self._most_bytes:
            self._take(next(iter(self._kept)))
        return True

    async def drop(self, key: str) -> None:
        self._take(key)

    async def hint(self) -> None:
        self._news.tell()

    async def wait_for_hint(self, timeout_s: float) -> bool:
        return await self._news.wait(timeout_s)

    async def check(self) -> None:
        """There is nothing here that could fail."""

    async def close(self) -> None:
        self._kept.clear()
        self._size_bytes = 0

    def _live(self, key: str) -> _Kept | None:
        found = self._kept.get(key)
        if found is not None and found.until_s <= self._clock():
            self._take(key)
            return None
        return found

    def _take(self, key: str) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._size_bytes -= len(gone.value)
