"""The archiver: seals what the log has beyond the archive, a partition at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .archive import Segment
from .backoff import Backoff, first_of, sleep_unless
from .decoded_batch import decode_batch
from .errors import TransientError
from .history import History
from .log import Bounds
from .record import MAX_SEGMENT_RECORDS, TopicPartition
from .topics import partitions_of


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
        log = self.history.log
        bounds = await log.bounds(partitions_of(await log.topics()))
        sealed: list[Segment] = []
        for tp, (start, end) in (await asyncio.to_thread(self._open_ended, bounds)).items():
            sealed += await self._seal(tp, start, end)
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
            records = await self.history.read_log(tp, start, min(end, start + MAX_SEGMENT_RECORDS))
            decoded = await asyncio.to_thread(decode_batch, self.history.codec, records)
            sealed.append(await asyncio.to_thread(self.history.archive.write, records, decoded))
            start = records.next_offset
        return sealed
