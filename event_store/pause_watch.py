"""What a process knows of the pause of its part.

It is looked up once a second beside the work, so that no batch asks a database anything. Where the database can't
be asked the last answer holds; as long as there was none, the part stands still.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from .backoff import dropped, first_of
from .errors import EventStoreError
from .pauses import Pause

LOOK_EVERY_S = 1.0

Look = Callable[[], Awaitable[Pause | None]]


class PauseObserver(Protocol):
    """Hears what becomes of the pause: for whoever watches the process."""

    def paused(self, pause: Pause) -> None: ...

    def resumed(self) -> None: ...


@dataclass(slots=True)
class PauseWatch:
    look: Look
    observer: PauseObserver
    every_s: float = LOOK_EVERY_S
    _known: Pause | None = None
    _may_work: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_paused(self) -> bool:
        return not self._may_work.is_set()

    async def over(self, stop: asyncio.Event | None = None) -> None:
        """Returns when it isn't paused, at once where it isn't now, or when `stop` is set."""
        if self.is_paused:
            stopped = stop or asyncio.Event()
            await first_of(self._may_work.wait(), stopped.wait())

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """While the block runs, what is known is at most a second old."""
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            await dropped([watching])

    async def _watch(self) -> None:
        while True:
            with suppress(EventStoreError):  # Whoever works with this database says so.
                self._learn(await self.look())
            await asyncio.sleep(self.every_s)

    def _learn(self, pause: Pause | None) -> None:
        (before, self._known) = (self._known, pause)
        if pause is None:
            self._may_work.set()
            if before is not None:
                self.observer.resumed()
        else:
            self._may_work.clear()
            if pause != before:
                self.observer.paused(pause)


class NeverPaused(PauseWatch):
    """For who can't be paused."""

    def __init__(self) -> None:
        super().__init__(_nothing, _Silent())
        self._may_work.set()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        yield


async def _nothing() -> None:
    return None


class _Silent:
    def paused(self, pause: Pause) -> None: ...

    def resumed(self) -> None: ...
