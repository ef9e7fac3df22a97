"""Figures that a process keeps in memory, since it is asked for them all the time.

Each question is answered at a version that the database had after it was asked: what changed since the kept one is read
first, which are the rows of a day or two. Where nothing is kept, or too much has changed, the database answers, and
everything is read in the background.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import polars as pl

from event_store.errors import EventStoreError

from .figures import Question
from .kept_rows import KeptRows, rows_of
from .read_model import FiguresVersion, ReadModel

MOST_ROWS = 3_000_000
"""Two hundred megabytes or so: a year of a shop with 10,000 products. With more, the database answers everything."""
MOST_CHANGED_ROWS = 50_000
"""Reading more of them takes as long as the database takes to answer."""
RESTS = 20
"""After it was read, everything isn't read again for this many times as long as that took."""


@dataclass(slots=True)
class KeptFigures:
    """A FiguresReader over the read model, which stays its owner's to close."""

    read_model: ReadModel
    most_rows: int = MOST_ROWS
    clock: Callable[[], float] = time.monotonic
    _kept: KeptRows | None = None
    _reading: asyncio.Task[None] | None = None
    """Reads everything."""
    _rests_until_s: float = float("-inf")
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _begun: int = 0
    """Looks at what changed, by number."""
    _done: int = 0
    """The last of them that brought what is kept up to date."""

    @property
    def keeps(self) -> FiguresVersion | None:
        return None if self._kept is None else self._kept.version

    async def serving(self) -> int:
        return await self.read_model.serving()

    async def version(self) -> FiguresVersion:
        return await self.read_model.version()

    async def signing_key(self) -> bytes:
        return await self.read_model.signing_key()

    async def extent(self, generation: int) -> tuple[int, int] | None:
        return await self.read_model.extent(generation)

    async def rows(self, generation: int, projection: str) -> pl.DataFrame:
        return await self.read_model.rows(generation, projection)

    async def figures(self, generation: int, question: Question) -> pl.DataFrame:
        kept = await self._current()
        if kept is None or kept.version.generation != generation:
            return await self.read_model.figures(generation, question)
        return await asyncio.to_thread(kept.answer, question)

    def begin(self) -> None:
        """Reads everything in the background, so that it is kept when somebody asks."""
        if self._reading is None and self.clock() >= self._rests_until_s:
            self._reading = asyncio.create_task(self._read())

    async def read_everything(self) -> None:
        """Waits until what the figures are at the moment is kept, where it can be."""
        if self._kept is None:
            self.begin()
        if self._reading is not None:
            await asyncio.shield(self._reading)

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _current(self) -> KeptRows | None:
        """Not older than the question. Who asks while others look at what changed shares the look after theirs."""
        if self._kept is None:
            self.begin()
            return None
        begun_before = self._begun
        async with self._turn:
            if self._done <= begun_before:
                await self._look()
            return self._kept

    async def _look(self) -> None:
        kept = self._kept
        if kept is None:
            return
        self._begun += 1
        number = self._begun
        changes = await self.read_model.changes(kept.version, MOST_CHANGED_ROWS)
        if changes is None:
            self._kept = None
        elif changes.version != kept.version:
            after = await asyncio.to_thread(kept.after, changes)
            self._kept = after if after.height <= self.most_rows else None
        self._done = number

    async def _read(self) -> None:
        begun_s = self.clock()
        try:
            with suppress(EventStoreError):  # Who asks meanwhile asks the database, and hears of it.
                changes = await self.read_model.changes(None, self.most_rows)
                self._kept = None if changes is None else await asyncio.to_thread(rows_of, changes)
        finally:
            now_s = self.clock()
            self._rests_until_s = now_s + RESTS * (now_s - begun_s)
            self._reading = None
