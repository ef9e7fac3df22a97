"""The archiver: seals what the log has beyond the archive, a partition at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .archive import Segment
from .backoff import Backoff, first_of, sleep_unless
from .decoded_batch import decode_batch
from .errors import TransientError
from .history import History
from .log import Bounds
from .record import MAX_SEGMENT_RECORDS, TopicPartition
from .topics import PARTITIONS, partitions_of, versions


class ArchiverObserver(Protocol):
    """Hears what the archiver does: for metrics and logs."""

    def sealed(self, segment: Segment, seconds: float) -> None: ...

    def looked(self, unsealed: Mapping[TopicPartition, int]) -> None:
        """All that was long enough is sealed; so many records of each partition are in the log alone."""
        ...

    def failed(self, error: Exception, retry_in_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Archiver:
    history: History
    observer: ArchiverObserver
    min_records: int = 20_000
    """A shorter stretch stays in the log alone: a file for every handful of records would cost more than it saves."""
    poll_s: float = 5.0
    backoff: Backoff = field(default_factory=Backoff)

    async def run(self, stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            try:
                sealed = await self.seal_all()
                failures = 0
            except TransientError as error:
                failures += 1
                wait_s = self.backoff.wait_s(failures)
                self.observer.failed(error, wait_s)
                await sleep_unless(stop, wait_s)
                continue
            if not sealed:
                await first_of(sleep_unless(stop, self.poll_s))

    async def seal_all(self) -> Sequence[Segment]:
        """Seals every stretch that is long enough; returns the new segments."""
        log = self.history.log
        bounds = await log.bounds(partitions_of(versions(PARTITIONS, await log.topics())))
        sealed: list[Segment] = []
        unsealed: dict[TopicPartition, int] = {}
        for tp, (start, end) in (await asyncio.to_thread(self._open_ended, bounds)).items():
            found = await self._seal(tp, start, end)
            sealed += found
            unsealed[tp] = end - (found[-1].next_offset if found else start)
        self.observer.looked(unsealed)
        return sealed

    def _open_ended(self, bounds: Mapping[TopicPartition, Bounds]) -> dict[TopicPartition, tuple[int, int]]:
        """Of each partition what the log has beyond the archive, [start, end)."""
        return {tp: (self._archived_to(tp), one.end) for tp, one in sorted(bounds.items())}

    def _archived_to(self, tp: TopicPartition) -> int:
        present = self.history.archive.segments(tp)
        return present[-1].next_offset if present else 0

    async def _seal(self, tp: TopicPartition, start: int, end: int) -> list[Segment]:
        sealed: list[Segment] = []
        while end - start >= self.min_records:
            started_s = time.perf_counter()
            records = await self.history.read_log(tp, start, min(end, start + MAX_SEGMENT_RECORDS))
            decoded = await asyncio.to_thread(decode_batch, self.history.codec, records)
            sealed.append(await asyncio.to_thread(self.history.archive.write, records, decoded))
            self.observer.sealed(sealed[-1], time.perf_counter() - started_s)
            start = records.next_offset
        return sealed
