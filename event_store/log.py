"""The log port: topics of numbered partitions to which records are appended and from which they are read by offset.

Back ends: `sqlite_log` (a file, no server) and `memory_log`. One contract suite holds them all (tests/contracts).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .record import MAX_BATCH_RECORDS, Record, RecordBatch, TopicPartition


@dataclass(frozen=True, slots=True)
class Bounds:
    """`begin` is the oldest offset that can be read, `end` the offset the next record will get."""

    begin: int
    end: int


class Log(Protocol):
    async def create_topic(self, topic: str, partitions: int) -> None:
        """Does nothing where the topic exists so; raises TopicMismatch where it has other partitions."""
        ...

    async def topics(self) -> Mapping[str, int]:
        """Topic → its number of partitions."""
        ...

    async def append(self, tp: TopicPartition, records: Sequence[Record]) -> int:
        """Appends all of `records` (not empty) in this order, durably, and returns the first one's offset.

        Raises RecordRefused and appends none where one can never be taken, UnknownTopic, or LogUnavailable with the
        outcome unknown: sending the same records again may then store them twice.
        """
        ...

    async def read(self, tp: TopicPartition, offset: int, max_records: int = MAX_BATCH_RECORDS) -> RecordBatch:
        """The next records from `offset` on, at most `max_records`; an empty batch at the end.

        Raises HistoryLost for an offset below the beginning or beyond the end, UnknownTopic, LogUnavailable.
        """
        ...

    async def read_each(
        self, offsets: Mapping[TopicPartition, int], max_records: int = MAX_BATCH_RECORDS
    ) -> Mapping[TopicPartition, RecordBatch]:
        """What partitions have from these offsets on, as `read`, all in one go; those that have nothing are left out.

        An offset that is not in the log gives an empty batch; `read` says why. Raises LogUnavailable.
        """
        ...

    async def bounds(self, tps: Iterable[TopicPartition]) -> Mapping[TopicPartition, Bounds]: ...

    async def wait_for_news(self, timeout_s: float) -> bool:
        """Returns True soon after anything was appended since the last call (perhaps by another process), or

        False after `timeout_s`. A hint: appends may be missed or invented, so callers look for themselves.
        """
        ...

    async def note_positions(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        """Publishes a group's positions for lag tools. Display only: nobody resumes from them."""
        ...

    async def noted_positions(self, group: str) -> Mapping[TopicPartition, int]: ...

    async def close(self) -> None: ...
