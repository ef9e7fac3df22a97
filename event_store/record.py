"""Records and where they stand: what the log stores and hands back."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from . import pieces

MAX_BATCH_RECORDS = 3000
"""The most records one read hands out, and so the most one database transaction counts."""

MAX_SEGMENT_RECORDS = 200_000
"""The most that a segment of the archive holds, and so what a rebuild holds in memory of each partition it reads."""

MAX_RECORD_BYTES = 262_144
"""The most bytes an event may have, checked before its outbox row is written; every log takes at least this."""


class TopicPartition(NamedTuple):
    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class Record(NamedTuple):
    """One record to append. A value of None is a tombstone; our relay never writes one."""

    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Neighbouring records of one partition, as columns: record `i` has offset `first_offset + i`.

    Our topics are neither compacted nor transactional, so offsets have no gaps.
    """

    tp: TopicPartition
    first_offset: int
    values: Sequence[bytes | None]
    keys: Sequence[bytes | None]
    appended_at_us: Sequence[int]
    """Microseconds since 1970 UTC at which the log took each record."""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def next_offset(self) -> int:
        return self.first_offset + len(self.values)

    def slice(self, start: int, stop: int) -> RecordBatch:
        return RecordBatch(
            self.tp,
            self.first_offset + start,
            self.values[start:stop],
            self.keys[start:stop],
            self.appended_at_us[start:stop],
        )


def joined(tp: TopicPartition, first_offset: int, parts: Sequence[RecordBatch]) -> RecordBatch:
    """Neighbouring batches as one; without any, an empty one at `first_offset`."""
    if len(parts) == 1:
        return parts[0]
    return RecordBatch(
        tp,
        first_offset,
        pieces.joined([part.values for part in parts]),
        pieces.joined([part.keys for part in parts]),
        [time_us for part in parts for time_us in part.appended_at_us],
    )


def fingerprint(value: bytes | None) -> int:
    """CRC-32 of a record's value; -1 for a tombstone. It tells a recreated topic from the one we counted."""
    return -1 if value is None else zlib.crc32(value)
