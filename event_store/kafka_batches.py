"""Record batches as a broker sent them, put into columns as they are taken: no object of ours for each record."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from struct import Struct
from typing import Any

import google_crc32c
from aiokafka.errors import CorruptRecordException, UnsupportedForMessageFormatError
from aiokafka.record.default_records import DefaultRecordBatch

from .kafka_records import SUMMED_FROM, columns_of, gone, unpacked
from .record import RecordBatch, TopicPartition, joined

FORMAT = 2
_HEAD = Struct(">8xi4xb")
"""After the first offset, how many bytes follow that number; after the leader's epoch, the format."""
_BEFORE_SIZE_COUNTS = 12
_LEAST_BYTES = 61
"""What a batch without records has."""
LOG_APPEND_TIME = 1
"""As a batch names the kind of its records' times."""


class FetchedBatches:
    """What came of one partition and nobody has taken yet, in offset order. A batch is decoded in its turn."""

    def __init__(self, tp: TopicPartition, offset: int) -> None:
        self.tp = tp
        self.offset = offset
        """Of the next record to take."""
        self.next_offset = offset
        """From where the broker is to be asked for more."""
        self._batches: deque[tuple[Any, bytes]] = deque()
        """With what they have the checksum of."""
        self._open = RecordBatch(tp, offset, [], [], [])
        """What is left of the batch that was decoded last."""
        self.size_bytes = 0
        """Of what has not been decoded."""

    @property
    def untaken(self) -> int:
        """How many records can be taken."""
        return self.next_offset - self.offset

    def add(self, raw: memoryview) -> None:
        """What a broker sent when it was asked for `next_offset`; a last batch that is cut off is left out.

        Raises KafkaError for what is damaged, and for batches of another format than Kafka has written since 0.11.
        """
        at = 0
        while len(raw) - at >= _HEAD.size:
            (size_bytes, format_) = _HEAD.unpack_from(raw, at)
            stop = at + _BEFORE_SIZE_COUNTS + size_bytes
            if stop > len(raw):
                break
            if format_ != FORMAT:
                raise UnsupportedForMessageFormatError(f"{self.tp}: a batch of format {format_}")
            if stop - at < _LEAST_BYTES:
                raise CorruptRecordException(f"{self.tp}: a batch of {stop - at} bytes")
            batch = DefaultRecordBatch(raw[at:stop])
            summed = bytes(raw[at + SUMMED_FROM : stop])
            if not _is_intact(batch, summed):
                raise CorruptRecordException(f"{self.tp}: a batch after offset {self.next_offset} has another checksum")
            self._batches.append((batch, summed))
            self.size_bytes += len(summed)
            self.next_offset = max(self.next_offset, batch.next_offset)
            at = stop

    def take(self, most: int) -> RecordBatch:
        """The next records. Raises HistoryLost where some are gone, and KafkaError where they can't be unpacked."""
        (first, parts, room) = (self.offset, [], most)
        while room and (len(self._open) or self._batches):
            if not len(self._open):
                self._open = self._decoded()
            part = self._open.slice(0, room)
            self._open = self._open.slice(len(part), len(self._open))
            self.offset = part.next_offset
            room -= len(part)
            parts.append(part)
        return joined(self.tp, first, parts)

    def _decoded(self) -> RecordBatch:
        (batch, summed) = self._batches.popleft()
        self.size_bytes -= len(summed)
        whole = unpacked(self.tp, batch.base_offset, summed)
        if whole is None:
            whole = self._unpacked_one_by_one(batch)
        if whole.first_offset > self.offset:
            raise gone(self.tp, self.offset, whole.first_offset - 1, 0)
        return whole.slice(self.offset - whole.first_offset, len(whole))  # A broker sends the whole batch.

    def _unpacked_one_by_one(self, batch: Any) -> RecordBatch:
        records = [] if batch.is_transactional or batch.is_control_batch else list(batch)
        if not records or records[-1].offset != batch.next_offset - 1:
            raise gone(self.tp, self.offset, batch.next_offset - 1, len(records))
        return columns_of(self.tp, records[0].offset, records, _times_us(records))


def _is_intact(batch: Any, summed: bytes) -> bool:
    """Whether the batch has the checksum that it names. The processor's own instruction takes a tenth of the time."""
    if google_crc32c.implementation != "c":
        return bool(batch.validate_crc())
    return bool(google_crc32c.value(summed) == batch.crc)


def _times_us(records: Sequence[Any]) -> Sequence[int]:
    """Of one batch: where the log itself stamped them, they all have its time."""
    if records[0].timestamp_type == LOG_APPEND_TIME:
        return [records[0].timestamp * 1000] * len(records)
    return [record.timestamp * 1000 for record in records]
