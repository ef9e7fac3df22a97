"""A log copied into another one: every record at its offset, with its key, its bytes and its time.

What the other log has already must be the beginning of ours, as an earlier copy left it: that is compared before
anything is added to it, and the rest when it is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from .errors import HistoryLost, TargetDiffers
from .log import Bounds, Log
from .record import MAX_BATCH_RECORDS, RecordBatch, TopicPartition

TIME_UNIT_US = 1000
"""Times are compared as the coarsest log keeps them, Kafka: in milliseconds."""

Progress = Callable[[TopicPartition, int, int], None]
"""Hears the partition, how many of its records are copied so far, and how many it has."""


class LogCopy(Protocol):
    """A log that takes records with the times they had elsewhere."""

    @property
    def log(self) -> Log:
        """Reads what is in it."""
        ...

    async def begin(self, topic: str, partitions: int) -> None:
        """Makes the topic where it is missing, and lets records bring their own times from here on.

        Raises TopicMismatch and LogUnavailable.
        """
        ...

    async def put(self, batch: RecordBatch) -> None:
        """Appends the batch, whose first offset is the partition's end.

        Raises TargetDiffers where somebody else appended; LogUnavailable with the outcome unknown, RecordRefused.
        """
        ...

    async def end(self, topic: str) -> None:
        """Gives the topic its own clock, as a log that is in use has it."""
        ...

    async def close(self) -> None: ...


async def copy_log(source: Log, target: LogCopy, progress: Progress = lambda tp, done, of: None) -> int:
    """The number of records, all of which are equal in both logs. `source` is at rest.

    Raises TargetDiffers where the target holds anything else, HistoryLost where the source has lost its beginning.
    """
    topics = await source.topics()
    for topic, partitions in topics.items():
        await target.begin(topic, partitions)
    tps = [TopicPartition(topic, number) for topic, count in sorted(topics.items()) for number in range(count)]
    (ours, theirs) = (await source.bounds(tps), await target.log.bounds(tps))
    for tp in tps:
        _check_bounds(tp, ours[tp], theirs[tp])
    for tp in tps:
        await _copy_partition(source, target, tp, theirs[tp].end, ours[tp].end, progress)
    for topic in topics:
        await target.end(topic)
    return sum(one.end for one in ours.values())


def _check_bounds(tp: TopicPartition, ours: Bounds, theirs: Bounds) -> None:
    if ours.begin > 0:
        raise HistoryLost(f"{tp}: the log begins at offset {ours.begin}; what came before can't be copied any more")
    if theirs.begin > 0 or theirs.end > ours.end:
        raise TargetDiffers(
            f"{tp}: the new log holds offsets {theirs.begin} to {theirs.end}, the old one 0 to {ours.end}, so the new "
            "one was used already. Name topics that are empty: another prefix, say."
        )


async def _copy_partition(
    source: Log, target: LogCopy, tp: TopicPartition, copied: int, end: int, progress: Progress
) -> None:
    async for batch in _batches(source, tp, 0, copied):
        await _compare(target.log, batch)
    async for batch in _batches(source, tp, copied, end):
        await target.put(batch)
        progress(tp, batch.next_offset, end)
    async for batch in _batches(source, tp, copied, end):
        await _compare(target.log, batch)


async def _batches(log: Log, tp: TopicPartition, start: int, end: int) -> AsyncIterator[RecordBatch]:
    while start < end:
        batch = await log.read(tp, start, min(MAX_BATCH_RECORDS, end - start))
        yield batch
        start = batch.next_offset


async def _compare(log: Log, expected: RecordBatch) -> None:
    async for found in _batches(log, expected.tp, expected.first_offset, expected.next_offset):
        start = found.first_offset - expected.first_offset
        if not len(found) or _columns(found) != _columns(expected.slice(start, start + len(found))):
            raise TargetDiffers(
                f"{expected.tp}: the new log's records from offset {found.first_offset} on are others than the old "
                "one's. Nothing was overwritten. Name topics that are empty: another prefix, say."
            )


def _columns(batch: RecordBatch) -> tuple[list[bytes | None], list[bytes | None], list[int]]:
    return list(batch.values), list(batch.keys), [time_us // TIME_UNIT_US for time_us in batch.appended_at_us]
