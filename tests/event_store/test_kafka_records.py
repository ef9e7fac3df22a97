"""Kafka's record batches, unpacked by compiled code, hold what aiokafka reads of them."""

from __future__ import annotations

import random
import struct

import pytest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from event_store import compiled, kafka_records
from event_store.kafka_batches import FetchedBatches
from event_store.kafka_records import SUMMED_FROM, unpacked
from event_store.pieces import Pieces
from event_store.record import RecordBatch, TopicPartition

from .compiled_mutations import built

TP = TopicPartition("catalog-events", 3)
BASE = 4_000_000_000
NOW_MS = 1_299_244_200_000
PIECES = st.none() | st.binary(max_size=200)
HEADERS = st.lists(st.tuples(st.text(max_size=3), st.binary(max_size=3)), max_size=2)
RECORDS = st.lists(st.tuples(st.integers(-(10**9), 10**9), PIECES, PIECES, HEADERS), min_size=1, max_size=150)

LZ4 = 3
ATTRIBUTES_AT = 21
LATEST_AT = 35
CRC_AT = 17


def batch_of(records: list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes]]]], kind: int = 0) -> bytes:
    """As a broker sends it, from offset BASE on."""
    builder = DefaultRecordBatchBuilder(2, kind, False, -1, -1, -1, 10_000_000)
    for number, (later_ms, key, value, headers) in enumerate(records):
        builder.append(number, NOW_MS + later_ms, key, value, headers)
    return struct.pack(">q", BASE) + bytes(builder.build())[8:]


def stamped_by_log(raw: bytes, at_ms: int) -> bytes:
    """As a broker rewrites a batch of a topic in which its own time counts."""
    (attributes,) = struct.unpack_from(">h", raw, ATTRIBUTES_AT)
    made = bytearray(raw)
    struct.pack_into(">h", made, ATTRIBUTES_AT, attributes | 8)
    struct.pack_into(">q", made, LATEST_AT, at_ms)
    return bytes(made)


def as_aiokafka_reads(raw: bytes) -> RecordBatch:
    records = list(DefaultRecordBatch(raw))
    times_us = [record.timestamp * 1000 for record in records]
    return RecordBatch(TP, records[0].offset, [one.value for one in records], [one.key for one in records], times_us)


def shown(batch: RecordBatch | None) -> object:
    assert batch is not None
    return batch.tp, batch.first_offset, list(batch.values), list(batch.keys), list(batch.appended_at_us)


@given(RECORDS)
def test_a_batch_holds_what_aiokafka_reads_of_it(
    records: list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes]]]],
) -> None:
    raw = batch_of(records)
    assert shown(unpacked(TP, BASE, raw[SUMMED_FROM:])) == shown(as_aiokafka_reads(raw))
    stamped = stamped_by_log(raw, NOW_MS + 5)
    assert shown(unpacked(TP, BASE, stamped[SUMMED_FROM:])) == shown(as_aiokafka_reads(stamped))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 0b10000, 0b100000, 0b1000000, -(2**15)])
def test_a_batch_of_another_kind_is_left_to_aiokafka(bits: int) -> None:
    raw = bytearray(batch_of([(0, b"k", b"v", [])]))
    struct.pack_into(">h", raw, ATTRIBUTES_AT, bits)
    assert unpacked(TP, BASE, bytes(raw[SUMMED_FROM:])) is None


@pytest.mark.parametrize("count", [-1, 0, 1, 3, 2**31 - 1])
def test_a_batch_that_has_not_as_many_records_as_it_says_is_left_to_aiokafka(count: int) -> None:
    raw = bytearray(batch_of([(0, b"k", b"v", []), (1, b"k", b"w", [])]))
    struct.pack_into(">i", raw, 57, count)
    assert unpacked(TP, BASE, bytes(raw[SUMMED_FROM:])) is None
    struct.pack_into(">i", raw, 23, count - 1)
    assert unpacked(TP, BASE, bytes(raw[SUMMED_FROM:])) is None


def test_a_compacted_batch_is_left_to_aiokafka() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 10_000)
    for offset in (0, 2, 3):
        builder.append(offset, NOW_MS, b"k", b"v", [])
    assert unpacked(TP, BASE, bytes(builder.build())[SUMMED_FROM:]) is None


def test_damage_is_found_or_left_within_the_batch() -> None:
    chance = random.Random(3)
    for _ in range(2_000):
        summed = bytearray(built(chance)[SUMMED_FROM:])
        summed[chance.randrange(40, len(summed))] = chance.randrange(256)
        batch = unpacked(TP, BASE, bytes(summed))
        assert batch is None or len(list(batch.values)) == len(list(batch.keys)) == len(batch.appended_at_us)


def test_a_compressed_batch_and_a_plain_one_are_taken_alike() -> None:
    records: list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes]]]] = [
        (number, b"key-%d" % number, b"value-%d" % number * 20, []) for number in range(50)
    ]
    (plain, compressed) = (FetchedBatches(TP, BASE + 7), FetchedBatches(TP, BASE + 7))
    plain.add(memoryview(batch_of(records)))
    compressed.add(memoryview(batch_of(records, LZ4)))
    taken = [(shown(plain.take(20)), shown(compressed.take(20))) for _ in range(3)]
    assert all(one == other for one, other in taken)
    assert plain.untaken == compressed.untaken == 0


def test_without_compiled_code_aiokafka_reads_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = batch_of([(0, b"k", b"v", []), (3, None, b"", [])])
    by_compiled = FetchedBatches(TP, BASE)
    by_compiled.add(memoryview(raw))
    found = by_compiled.take(10)
    assert isinstance(found.values, Pieces)
    assert compiled.reader() is not None
    monkeypatch.setattr(kafka_records, "reader", lambda: None)
    by_aiokafka = FetchedBatches(TP, BASE)
    by_aiokafka.add(memoryview(raw))
    assert shown(by_aiokafka.take(10)) == shown(found)
