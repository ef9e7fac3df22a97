"""The records of one of Kafka's batches as columns, without an object for each of them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from struct import Struct
from typing import Any

from .compiled import address, reader
from .errors import HistoryLost
from .pieces import Part, Pieces
from .record import RecordBatch, TopicPartition

SUMMED_FROM = 21
"""Where that begins of which a batch has the checksum, behind it."""
_HEAD = Struct(">hiqq14xi")
"""Attributes, the last record's place, the first and the latest time in ms, and how many records there are."""
_STAMPED_BY_LOG = 0b1000
"""Of the attributes: the log's own time, the latest, is that of every record."""


def unpacked(tp: TopicPartition, first_offset: int, summed: bytes) -> RecordBatch | None:
    """The batch whose bytes from `SUMMED_FROM` on are `summed`, by compiled code.

    None where there is none, or the batch is empty, compressed, transactional, a control batch, not whole or damaged.
    """
    compiled = reader()
    (attributes, last, first_ms, latest_ms, count) = _HEAD.unpack_from(summed)
    if compiled is None or attributes & ~_STAMPED_BY_LOG or not 0 < count == last + 1 <= len(summed):
        return None
    columns = [array("q", bytes(8 * count)) for _ in range(5)]
    numbers = [address(column) for column in columns]
    if compiled.records(summed, len(summed), _HEAD.size, count, *numbers) != count:
        return None
    (key_starts, key_sizes, value_starts, value_sizes, later_ms) = columns
    if attributes & _STAMPED_BY_LOG:
        times_us: Sequence[int] = [latest_ms * 1000] * count
    else:
        times_us = [(first_ms + later) * 1000 for later in later_ms]
    values = Pieces([Part(summed, value_starts, value_sizes)])
    return RecordBatch(tp, first_offset, values, Pieces([Part(summed, key_starts, key_sizes)]), times_us)


def columns_of(tp: TopicPartition, offset: int, records: Sequence[Any], times_us: Sequence[int]) -> RecordBatch:
    """The client's records as a batch from `offset` on. Raises HistoryLost where they are not neighbours."""
    if records and records[-1].offset != offset + len(records) - 1:
        raise gone(tp, offset, records[-1].offset, len(records))
    return RecordBatch(tp, offset, [one.value for one in records], [one.key for one in records], times_us)


def gone(tp: TopicPartition, first: int, last: int, records: int) -> HistoryLost:
    return HistoryLost(
        f"{tp}: offsets {first} to {last} hold {records} records, so some are gone: the topic is compacted or "
        "transactional. Ours must be neither (cleanup.policy=delete)."
    )
