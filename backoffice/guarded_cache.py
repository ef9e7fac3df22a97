"""A cache that nobody has to wait for: calls are short, fail silently, and are left out while the cache is broken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from event_store.backoff import Backoff, dropped

from .breaker import BreakerObserver, CircuitBreaker, NotNow
from .cache import Cache, CacheUnavailable

T = TypeVar("T")

CALL_TIMEOUT_S = 0.1
FIRST_TIMEOUT_S = 1.0
"""A process that has just begun has much to do."""
WRITES_UNDER_WAY = 16
HINT_EVERY_S = 0.05
"""What is counted in between is one hint."""
BACKOFF = Backoff(0.5, 30.0)


class NotOurs(Exception):
    """Bytes that no process of ours has made for this place."""


class CacheStatus(Struct, frozen=True):
    """The cache as one process finds it."""

    address: str
    usable: bool
    detail: str | None
    """What is wrong with it."""


class CacheObserver(BreakerObserver, Protocol):
    def asked(self, outcome: str) -> None:
        """hit, miss, stale, invalid, failed or bypassed."""
        ...

    def wrote(self, outcome: str) -> None:
        """kept, older, failed, bypassed or dropped."""
        ...


class GuardedCache:
    """The cache is its to close."""

    def __init__(
        self,
        cache: Cache,
        observer: CacheObserver,
        *,
        timeout_s: float = CALL_TIMEOUT_S,
        backoff: Backoff = BACKOFF,
    ) -> None:
        self._observer = observer
        self._cache = cache
        self._breaker = CircuitBreaker(cache.check, CacheUnavailable, observer, timeout_s, backoff)
        self._writing: set[asyncio.Task[None]] = set()
        self._hinting: asyncio.Task[None] | None = None
        self._hint_due = False

    def begin(self) -> None:
        """Looks at the cache soon: what is wrong with it at the start is said then, and not at the first page."""
        self._in_background(self._breaker.look(FIRST_TIMEOUT_S))

    async def status(self) -> CacheStatus:
        """As it is known from its use; looks where it hasn't been used yet."""
        if not self._breaker.is_known:
            await self._breaker.look(FIRST_TIMEOUT_S)
        return CacheStatus(self._cache.address, self._breaker.why is None, self._breaker.why)

    async def get(self, key: str, opened: Callable[[bytes], T | None]) -> T | None:
        """What is kept under the key, as `opened` makes it of the bytes; None where there is none, or none to be had.

        `opened` answers None for what is too old, and raises NotOurs for what nobody of ours has written: it is taken
        away then, and a server that goes on like that counts as broken.
        """
        if self._breaker.why is not None:
            self._observer.asked("bypassed")
            return None
        outcome = "failed"

        async def read() -> T | None:
            nonlocal outcome
            found = await self._cache.get(key)
            try:
                answer = None if found is None else opened(found)
            except NotOurs as error:
                outcome = "invalid"
                self._drop_soon(key)
                raise CacheUnavailable("it answers with what no process of this shop has written") from error
            outcome = "miss" if found is None else "stale" if answer is None else "hit"
            return answer

        try:
            return await self._breaker.call(read)
        except NotNow:
            return None
        finally:
            self._observer.asked(outcome)

    def put(self, key: str, rank: int, made: Callable[[], bytes | None]) -> None:
        """Keeps it soon, if not too much is under way. `made` runs in a thread; where it is None, nothing is kept."""
        if self._breaker.why is not None:
            self._observer.wrote("bypassed")
        elif len(self._writing) >= WRITES_UNDER_WAY:
            self._observer.wrote("dropped")
        else:
            self._in_background(self._put(key, rank, made))

    def hint(self) -> None:
        """Tells other processes soon that figures have moved."""
        self._hint_due = True
        if self._hinting is None:
            self._hinting = asyncio.create_task(self._hint())

    async def wait_for_hint(self, timeout_s: float) -> bool:
        if self._breaker.why is None:
            try:
                return await self._cache.wait_for_hint(timeout_s)
            except CacheUnavailable as error:
                self._breaker.failed(str(error))
        await asyncio.sleep(timeout_s)
        return False

    async def close(self) -> None:
        await dropped(self._writing if self._hinting is None else [*self._writing, self._hinting])
        await self._breaker.close()
        await self._cache.close()

    async def _put(self, key: str, rank: int, made: Callable[[], bytes | None]) -> None:
        value = await asyncio.to_thread(made)
        if value is None:
            return
        try:
            kept = await self._breaker.call(lambda: self._cache.put(key, rank, value))
        except NotNow:
            self._observer.wrote("failed")
        else:
            self._observer.wrote("kept" if kept else "older")

    def _drop_soon(self, key: str) -> None:
        if len(self._writing) < WRITES_UNDER_WAY:
            self._in_background(self._drop(key))

    async def _drop(self, key: str) -> None:
        try:
            await self._breaker.call(lambda: self._cache.drop(key))
        except NotNow:
            return

    async def _hint(self) -> None:
        """One that fails is not repeated: who listens looks for itself, too."""
        try:
            while self._hint_due:
                self._hint_due = False
                try:
                    await self._breaker.call(self._cache.hint)
                except NotNow:
                    return
                await asyncio.sleep(HINT_EVERY_S)
        finally:
            self._hinting = None

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
