"""Group commit: requests that come while a transaction is being committed share the next one.

Nobody is answered before the common COMMIT. One hand-over to the database's thread per group, not per request, is
most of what an accepted view costs less than a transaction of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from event_store.errors import StorageUnavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_GROUP = 512
"""The most requests in one transaction: bounds how long the first of them waits."""
MAX_WAITING = 20_000
"""More than this are turned away at once: their clients would have gone by the time they are served."""


class GroupCommit(Generic[Item, Result]):
    """`commit` runs a group in one transaction and returns, in order, the result or the exception of each.

    What it raises is raised to the whole group. Use from one event loop.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]]) -> None:
        self._commit = commit
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def join(self, item: Item) -> Result:
        """Returns when the transaction `item` took part in is committed; cancelling doesn't take it back."""
        if len(self._waiting) >= MAX_WAITING:
            raise StorageUnavailable(f"{MAX_WAITING} requests wait for the database")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await future

    async def close(self) -> None:
        """Waits for what is under way."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_GROUP))]
                await self._run_group([(item, future) for item, future in group if not future.cancelled()])
        finally:
            self._task = None
            self._fail_waiting(StorageUnavailable("the process is stopping"))

    async def _run_group(self, group: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        results: Sequence[Result | Exception]
        try:
            results = await self._commit([item for item, _ in group])
        except StorageUnavailable as error:
            # The others would wait as long for the same database, one group after the other.
            self._fail_waiting(error)
            results = [error] * len(group)
        except Exception as error:
            results = [error] * len(group)
        for (_, future), result in zip(group, results, strict=True):
            if not future.done():
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)

    def _fail_waiting(self, error: Exception) -> None:
        while self._waiting:
            (_, future) = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)
