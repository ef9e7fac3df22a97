"""The archiver: seals what the log has beyond the archive, a partition at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .archive import Segment
from .backoff import Backoff, first_of, sleep_unless
from .decoded_batch import decode_batch
from .errors import TransientError
from .history import History
from .record import MAX_SEGMENT_RECORDS, TopicPartition


@dataclass(frozen=True, slots=True)
class Archiver:
    history: History
    min_records: int = 20_000
    """A shorter stretch stays in the log alone: a file for every handful of records would cost more than it saves."""
    poll_s: float = 5.0
    backoff: Backoff = field(default_factory=Backoff)
    failed: Callable[[Exception, float], None] = lambda error, retry_in_s: None
    """Hears of what is tried again, and in how many seconds."""

    async def run(self, stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            try:
                sealed = await self.seal_all()
                failures = 0
            except TransientError as error:
                failures += 1
                wait_s = self.backoff.wait_s(failures)
                self.failed(error, wait_s)
                await sleep_unless(stop, wait_s)
                continue
            if not sealed:
                await first_of(sleep_unless(stop, self.poll_s))

    async def seal_all(self) -> Sequence[Segment]:
        """Seals every stretch that is long enough; returns the new segments."""
        sealed: list[Segment] = []
        for topic, partitions in (await self.history.log.topics()).items():
            for number in range(partitions):
                sealed += await self._seal(TopicPartition(topic, number))
        return sealed

    async def _seal(self, tp: TopicPartition) -> list[Segment]:
        archive = self.history.archive
        present = await asyncio.to_thread(archive.segments, tp)
        start = present[-1].next_offset if present else 0
        end = (await self.history.log.bounds([tp]))[tp].end
        sealed: list[Segment] = []
        while end - start >= self.min_records:
            records = await self.history.read_log(tp, start, min(end, start + MAX_SEGMENT_RECORDS))
            decoded = await asyncio.to_thread(decode_batch, self.history.codec, records)
            sealed.append(await asyncio.to_thread(archive.write, records, decoded))
            start = records.next_offset
        return sealed
