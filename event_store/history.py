"""Everything a partition ever held, from offset zero on: the archive's segments, and the log beyond them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from .archive import Archive, Segment
from .codec import Codec
from .decoded_batch import DecodedBatch, decode_batch
from .errors import HistoryLost, LogChanged
from .log import Log
from .record import MAX_BATCH_RECORDS, RecordBatch, TopicPartition, fingerprint, joined

LOG_CHUNK_RECORDS = 30_000
"""How many records are decoded together where the log itself is read."""


class RecordIdentity(msgspec.Struct, frozen=True):
    """The identity of a record that decodes."""

    event_id: str = msgspec.field(name="id")
    source: str
    time: str
    sequence: str | None = None


@dataclass(frozen=True, slots=True)
class History:
    log: Log
    archive: Archive
    codec: Codec

    async def check(self, tp: TopicPartition) -> None:
        """Raises HistoryLost where offset zero is neither in the archive nor in the log."""
        bounds = (await self.log.bounds([tp]))[tp]
        archived = await asyncio.to_thread(self.archive.segments, tp)
        reach = archived[-1].next_offset if archived else 0
        if bounds.begin > reach:
            raise HistoryLost(
                f"{tp}: offsets {reach} to {bounds.begin - 1} are neither in the archive nor in the log. "
                "Put back the archive or the log that has them; figures can't be rebuilt without."
            )

    async def read(self, tp: TopicPartition, start: int, end: int) -> AsyncGenerator[DecodedBatch, None]:
        """Decoded batches that cover exactly [start, end), in order."""
        for segment in await asyncio.to_thread(self.archive.segments, tp):
            if segment.first_offset < start or segment.next_offset > end:
                continue
            batch = await self._from_archive(segment)
            if batch is None:
                continue
            async with aclosing(self._from_log(tp, start, segment.first_offset)) as batches:
                async for one in batches:
                    yield one
            yield batch
            start = segment.next_offset
        async with aclosing(self._from_log(tp, start, end)) as batches:
            async for batch in batches:
                yield batch

    async def _from_archive(self, segment: Segment) -> DecodedBatch | None:
        batch = await asyncio.to_thread(self.archive.read, segment)
        if batch is not None:
            await self._confirm(segment, batch.last_fingerprint)
        return batch

    async def _confirm(self, segment: Segment, expected: int) -> None:
        """The segment's last record must be the log's, where the log still has it."""
        last = segment.next_offset - 1
        bounds = (await self.log.bounds([segment.tp]))[segment.tp]
        if last < bounds.begin:
            return
        if last >= bounds.end:
            raise HistoryLost(
                f"{segment.tp}: the log ends at offset {bounds.end}, and the archive's segment {segment.path.name} "
                "goes beyond it: the log's end is missing, or the archive is another log's. Put the right one back."
            )
        found = await self.log.read(segment.tp, last, 1)
        if fingerprint(found.values[0]) != expected:
            raise LogChanged(
                f"{segment.tp}: the archive's segment {segment.path.name} ends in another record than the log has at "
                f"offset {last}. One of them was replaced: put the right log back, or move that segment away."
            )

    async def _from_log(self, tp: TopicPartition, start: int, end: int) -> AsyncGenerator[DecodedBatch, None]:
        while start < end:
            yield decode_batch(self.codec, records := await self.read_counted(tp, start, end))
            start = records.next_offset

    async def read_counted(self, tp: TopicPartition, start: int, end: int) -> RecordBatch:
        """Of the records [start, end) those that are decoded together. Raises HistoryLost where the log has none."""
        records = await self.read_log(tp, start, min(end, start + LOG_CHUNK_RECORDS))
        if not len(records):
            raise HistoryLost(
                f"{tp}: the log ends at offset {start}, and records up to offset {end - 1} were counted: its end "
                "is missing. Put the log back as it was; nothing else brings those records back."
            )
        return records

    async def identities(self, tp: TopicPartition, offsets: Sequence[int]) -> Mapping[int, RecordIdentity]:
        """Who the records at these offsets are; read from the log, neighbours together."""
        found: dict[int, RecordIdentity] = {}
        for wanted in _stretches(sorted(set(offsets))):
            records = await self.read_log(tp, wanted[0], wanted[-1] + 1)
            found |= {offset: _identity(records.values[offset - wanted[0]]) for offset in wanted}
        return found

    async def read_log(self, tp: TopicPartition, start: int, end: int) -> RecordBatch:
        """Records [start, end) as one batch, fewer at the end of the log."""
        parts: list[RecordBatch] = []
        at = start
        while at < end:
            part = await self.log.read(tp, at, min(MAX_BATCH_RECORDS, end - at))
            if not len(part):
                break
            parts.append(part)
            at = part.next_offset
        return joined(tp, start, parts)


_IDENTITY = msgspec.json.Decoder(RecordIdentity)


def _identity(value: bytes | None) -> RecordIdentity:
    return _IDENTITY.decode(value or b"")


def _stretches(offsets: Sequence[int]) -> Iterator[Sequence[int]]:
    """The offsets in groups to read at once: a gap below 50 costs less than another read."""
    start = 0
    while start < len(offsets):
        end = start + 1
        while end < len(offsets) and offsets[end] - offsets[end - 1] < 50 and offsets[end] - offsets[start] < 20_000:
            end += 1
        yield offsets[start:end]
        start = end
