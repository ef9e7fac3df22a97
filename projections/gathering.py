"""Batches of several partitions, counted together when they are small.

What a fold and a transaction cost is mostly fixed: six batches of five events take six times as long as one of thirty.
So the first to come lets others join, and counts for them too. A failure that may be one batch's own is not
shared: each is counted again alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from event_store.decoded_batch import DecodedBatch
from event_store.errors import TransientError
from event_store.gather_time import GatherTime
from event_store.record import MAX_BATCH_RECORDS

from .projector import Applied, Projector


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    batch: DecodedBatch
    counted: asyncio.Future[Applied | None]
    """None where the batch is to be counted alone."""


@dataclass(slots=True)
class Gathering:
    projector: Projector
    at_a_time: int = 3
    """Transactions of this process that may be on their way into the database."""
    max_records: int = MAX_BATCH_RECORDS
    """The most records that are counted together."""
    wait_s: float = 0.0
    """How long a batch that leaves room for one like it waits for others; 0 for those that come in the same turn of the

    event loop.
    """
    clock: Callable[[], float] = time.monotonic
    gather_time: GatherTime = field(default_factory=GatherTime)
    """How long whoever looks for batches waits in between."""
    _waiting: list[_Place] = field(default_factory=list)
    _gate: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one that gathers. Who comes through and finds that it was taken along has only to wait."""
    _turns: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._turns = asyncio.Semaphore(self.at_a_time)

    async def apply(self, batch: DecodedBatch) -> Applied:
        """As `Projector.apply_decoded`. One call at a time for a partition."""
        mine = _Place(batch, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        try:
            gathered = await self._gather(mine)
            if gathered:
                await self._count(gathered)
            applied = await mine.counted
        finally:
            mine.counted.cancel()  # If we were cancelled, nobody is to tell us any more, nor take us along.
            with suppress(ValueError):
                self._waiting.remove(mine)
        return await self._alone(batch) if applied is None else applied

    async def _gather(self, mine: _Place) -> Sequence[_Place]:
        """What is to be counted with `mine`, and a turn to do it; nothing where another took it along."""
        async with self._gate:
            if mine not in self._waiting:
                return []
            await self._turns.acquire()
            try:
                if len(mine.batch) < self.max_records:
                    leaves_room = 2 * len(mine.batch) <= self.max_records
                    await asyncio.sleep(self.wait_s if leaves_room else 0.0)
            except BaseException:
                self._turns.release()
                raise
            return self._taken(mine)

    def _taken(self, mine: _Place) -> list[_Place]:
        taken = [mine]
        room = self.max_records - len(mine.batch)
        for place in self._waiting:
            if place is not mine and len(place.batch) <= room:
                taken.append(place)
                room -= len(place.batch)
        self._waiting = [place for place in self._waiting if place not in taken]
        return taken

    async def _count(self, places: Sequence[_Place]) -> None:
        """Counts for all of them and says so; holds a turn, which it gives back."""
        applied: Sequence[Applied | None] = [None] * len(places)
        started_s = self.clock()
        try:
            applied = await self.projector.apply_together([place.batch for place in places])
            self.gather_time.took(self.clock() - started_s)
        except Exception as error:
            if len(places) == 1 or isinstance(error, TransientError):
                for place in places:
                    _fail(place, error)
        finally:  # Where we were cancelled, the others count for themselves.
            self._turns.release()
            for place, one in zip(places, applied, strict=True):
                _tell(place, one)

    async def _alone(self, batch: DecodedBatch) -> Applied:
        async with self._turns:
            return await self.projector.apply_decoded(batch)


def _tell(place: _Place, applied: Applied | None) -> None:
    if not place.counted.done():
        place.counted.set_result(applied)


def _fail(place: _Place, error: Exception) -> None:
    if not place.counted.done():
        place.counted.set_exception(error)
