"""One partition of the log, counted batch by batch for as long as its lease is held.

The next batch is read and decoded while the last one commits. A transient error repeats the same batch and
acknowledges nothing; an error nobody has classified narrows the batch down to the record that causes it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Protocol

from event_store.backoff import Backoff, sleep_unless
from event_store.crash_points import NO_CRASH, CrashPoints
from event_store.decoded_batch import DecodedBatch, decode_batch
from event_store.errors import (
    EventStoreError,
    ForeignIdTaken,
    PositionMoved,
    Stop,
    TransientError,
)
from event_store.log import Log
from event_store.log_identity import check_counted
from event_store.pause_watch import NeverPaused, PauseWatch
from event_store.record import MAX_BATCH_RECORDS, RecordBatch, TopicPartition
from projections.gathering import Gathering
from projections.projector import Applied, Projector, buried

MAX_UNCLASSIFIED_FAILURES = 3
"""How often a batch may fail for a reason we don't know before it is halved."""


class ConsumerObserver(Protocol):
    """Hears what the consumer does: for metrics and logs."""

    def counted(self, applied: Applied, seconds: float) -> None: ...

    def took(self, phase: str, seconds: float) -> None:
        """How long some records took to `read`, `decode`, `fold` or `commit`."""
        ...

    def failed(self, tp: TopicPartition, error: Exception, retry_in_s: float) -> None: ...

    def stopped(self, tp: TopicPartition, stop: Stop) -> None: ...

    def narrowed(self, tp: TopicPartition, first_offset: int, records: int, error: Exception) -> None: ...

    def resynced(self, tp: TopicPartition, next_offset: int) -> None: ...


@dataclass(slots=True)
class Partition:
    """Counts one partition; `run` returns when `leave` is set, and raises Stop or GenerationChanged."""

    tp: TopicPartition
    log: Log
    gathering: Gathering
    observer: ConsumerObserver
    backoff: Backoff
    max_records: int = MAX_BATCH_RECORDS
    crash_points: CrashPoints = NO_CRASH
    pause: PauseWatch = field(default_factory=NeverPaused)
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _ready: RecordBatch | None = None
    """What somebody has read for us."""
    _looks: bool = True
    """Whether the log may have more than we know of."""
    is_waiting: bool = False
    """Whether all that we know of is counted; the next batch may be read for us then."""

    @property
    def projector(self) -> Projector:
        return self.gathering.projector

    @property
    def is_busy(self) -> bool:
        """Whether it counts what was read for it, and won't look for more by itself: come again."""
        return not self.is_waiting and not self._looks

    def notice(self, ready: RecordBatch) -> None:
        """Takes what was read at our position; where that is nothing, we look ourselves and say why."""
        self._ready = ready if len(ready) else None
        self._looks = self._looks or self._ready is None
        self._news.set()

    def stop(self) -> None:
        """Tells it to leave, after the batch in flight."""
        self.leave.set()
        self._news.set()

    async def run(self) -> None:
        self.projector.forget(self.tp)
        await self._open()
        ahead: asyncio.Task[DecodedBatch | None] | None = None
        try:
            while not self.leave.is_set():
                batch = await (ahead or self._next())
                ahead = None
                if batch is None:
                    await self._wait()
                    continue
                if len(batch) == self.max_records:  # There is likely more; at the log's end the watch tells.
                    ahead = asyncio.create_task(self._fetch(batch.next_offset))
                if not await self._count(batch):
                    await _dropped(ahead)
                    ahead = None
                    self._looks = True
        finally:
            await _dropped(ahead)

    async def _wait(self) -> None:
        self.is_waiting = True
        try:
            await self._news.wait()
        finally:
            self.is_waiting = False

    async def _next(self) -> DecodedBatch | None:
        """The batch at our position, which is mostly at hand; None where we know of nothing there."""
        offset = (await self.projector.position(self.tp)).next_offset
        self._news.clear()
        (ready, self._ready) = (self._ready, None)
        if ready is not None and ready.first_offset == offset:
            self.crash_points.passing("consumer.after_read")
            return self._decoded(ready)
        if not self._looks and ready is None:
            return None
        self._looks = False
        batch = await self._fetch(offset)
        self._looks = self._looks or batch is not None
        return batch

    async def _fetch(self, offset: int) -> DecodedBatch | None:
        """The next decoded batch, None at the end of the log. Patient with a log that is away."""
        failures = 0
        while True:
            try:
                started_s = time.perf_counter()
                batch = await self.log.read(self.tp, offset, self.max_records)
                self.observer.took("read", time.perf_counter() - started_s)
                self.crash_points.passing("consumer.after_read")
                return self._decoded(batch) if len(batch) else None
            except TransientError as error:
                failures += 1
                await self._back_off(error, failures)
                if self.leave.is_set():
                    return None

    def _decoded(self, batch: RecordBatch) -> DecodedBatch:
        started_s = time.perf_counter()
        decoded = decode_batch(self.projector.codec, batch)
        self.observer.took("decode", time.perf_counter() - started_s)
        return decoded

    async def _count(self, batch: DecodedBatch) -> bool:
        """Counts the batch; False where the partition stands elsewhere now, and must be read from there."""
        unclassified = 0
        failures = 0
        while not self.leave.is_set():
            if self.pause.is_paused:
                await self.pause.over(self.leave)
                continue
            try:
                await self._apply(batch)
                return True
            except PositionMoved as moved:
                self._resync(moved)
                return False
            except TransientError as error:
                failures += 1
                await self._back_off(error, failures)
            except ForeignIdTaken:
                failures += 1  # Somebody handled one of its records: the table knows which, look again.
            except EventStoreError:
                raise
            except Exception as error:
                unclassified += 1
                if unclassified >= MAX_UNCLASSIFIED_FAILURES:
                    await self._narrow(batch, error)
                    return False
                await self._back_off(error, unclassified)
        return False

    async def _apply(self, batch: DecodedBatch) -> None:
        started_s = time.perf_counter()
        applied = await self.gathering.apply(batch)
        self.observer.counted(applied, time.perf_counter() - started_s)

    async def _back_off(self, error: Exception, failures: int) -> None:
        wait_s = self.backoff.wait_s(failures)
        self.observer.failed(self.tp, error, wait_s)
        await sleep_unless(self.leave, wait_s)

    async def _narrow(self, batch: DecodedBatch, error: Exception) -> None:
        """Counts the first half alone; one record alone that still fails becomes a dead letter with its reason."""
        records = len(batch)
        self.observer.narrowed(self.tp, batch.first_offset, records, error)
        half = await self.log.read(self.tp, batch.first_offset, max(1, records // 2))
        if records == 1:
            await self._bury(half, error)
        else:
            await self._count(self._decoded(half))

    async def _bury(self, record: RecordBatch, error: Exception) -> None:
        try:
            await self._apply(buried(self._decoded(record), record, error))
        except PositionMoved as moved:
            self._resync(moved)

    def _resync(self, moved: PositionMoved) -> None:
        self.projector.forget(self.tp)
        self.observer.resynced(self.tp, moved.next_offset)

    async def _open(self) -> None:
        """Looks at the log's identity, as patiently as at everything else in it."""
        failures = 0
        while not self.leave.is_set():
            try:
                return await self._check_identity()
            except TransientError as error:
                failures += 1
                await self._back_off(error, failures)

    async def _check_identity(self) -> None:
        position = await self.projector.position(self.tp)
        await check_counted(self.log, self.tp, position.next_offset, position.last_fingerprint)


async def _dropped(task: asyncio.Task[DecodedBatch | None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
