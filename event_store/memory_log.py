"""A log in memory, for tests and for embedding: gone with its process, and otherwise a log like any other.

It belongs to one event loop. Each call gives way to other tasks before and after it acts, and acts without a pause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .errors import HistoryLost, RecordRefused, TopicMismatch, UnknownTopic
from .log import Bounds
from .memory_news import News
from .record import MAX_BATCH_RECORDS, MAX_RECORD_BYTES, Record, RecordBatch, TopicPartition


@dataclass(slots=True)
class _Partition:
    """Columns, as a batch has them; index 0 is offset `begin`."""

    begin: int = 0
    values: list[bytes | None] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    appended_at_us: list[int] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.begin + len(self.values)

    def append(self, records: Sequence[Record], now_us: int) -> int:
        first = self.end
        self.values.extend(record.value for record in records)
        self.keys.extend(record.key for record in records)
        self.appended_at_us.extend(now_us for _ in records)
        return first

    def read(self, tp: TopicPartition, offset: int, max_records: int) -> RecordBatch:
        start = offset - self.begin if self.begin <= offset else len(self.values)
        chosen = slice(start, start + max_records)
        return RecordBatch(tp, offset, self.values[chosen], self.keys[chosen], self.appended_at_us[chosen])

    def forget_before(self, offset: int) -> None:
        gone = offset - self.begin
        del self.values[:gone], self.keys[:gone], self.appended_at_us[:gone]
        self.begin = offset


class MemoryLog:
    """`clock` gives microseconds since 1970 UTC. A value over `max_record_bytes` is refused for good."""

    def __init__(self, clock: Callable[[], int], *, max_record_bytes: int = MAX_RECORD_BYTES) -> None:
        self._clock = clock
        self._max_record_bytes = max_record_bytes
        self._topics: dict[str, int] = {}
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._positions: dict[str, dict[TopicPartition, int]] = {}
        self._news = News()

    async def create_topic(self, topic: str, partitions: int) -> None:
        await asyncio.sleep(0)
        existing = self._topics.setdefault(topic, partitions)
        if existing != partitions:
            raise TopicMismatch(
                f"topic {topic} has {existing} partitions, not {partitions}; partitions can't be taken away or moved. "
                "Make a topic with a new version in its name and move its writers and readers over."
            )
        for partition in range(partitions):
            self._partitions.setdefault(TopicPartition(topic, partition), _Partition())

    async def topics(self) -> Mapping[str, int]:
        await asyncio.sleep(0)
        return dict(self._topics)

    async def append(self, tp: TopicPartition, records: Sequence[Record]) -> int:
        await asyncio.sleep(0)
        partition = self._partition(tp)
        for index, record in enumerate(records):
            size_bytes = len(record.value or b"")
            if size_bytes > self._max_record_bytes:
                raise RecordRefused(index, f"{tp}: a value of {size_bytes} bytes, at most {self._max_record_bytes}")
        first = partition.append(records, self._clock())
        self._news.tell()
        await asyncio.sleep(0)
        return first

    async def read(self, tp: TopicPartition, offset: int, max_records: int = MAX_BATCH_RECORDS) -> RecordBatch:
        await asyncio.sleep(0)
        partition = self._partition(tp)
        if not partition.begin <= offset <= partition.end:
            raise HistoryLost(
                f"{tp}: offset {offset} is not among {partition.begin} to {partition.end}: the log was recreated, "
                "truncated or has forgotten it."
            )
        return partition.read(tp, offset, max_records)

    async def read_each(
        self, offsets: Mapping[TopicPartition, int], max_records: int = MAX_BATCH_RECORDS
    ) -> Mapping[TopicPartition, RecordBatch]:
        await asyncio.sleep(0)
        found = {tp: self._partition(tp) for tp in offsets}
        return {
            tp: partition.read(tp, offsets[tp], max_records)
            for tp, partition in found.items()
            if offsets[tp] != partition.end
        }

    async def bounds(self, tps: Iterable[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        await asyncio.sleep(0)
        return {tp: Bounds(self._partition(tp).begin, self._partition(tp).end) for tp in tps}

    async def wait_for_news(self, timeout_s: float) -> bool:
        return await self._news.wait(timeout_s)

    async def note_positions(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        await asyncio.sleep(0)
        self._positions.setdefault(group, {}).update(positions)

    async def noted_positions(self, group: str) -> Mapping[TopicPartition, int]:
        await asyncio.sleep(0)
        return dict(self._positions.get(group, {}))

    async def close(self) -> None:
        self._news.tell()

    def forget_before(self, tp: TopicPartition, offset: int) -> None:
        """Drops what is older than `offset`, as a broker's retention would."""
        self._partition(tp).forget_before(offset)

    def _partition(self, tp: TopicPartition) -> _Partition:
        try:
            return self._partitions[tp]
        except KeyError:
            raise UnknownTopic(f"the log has no partition {tp}; its topics are {self._topics}") from None
