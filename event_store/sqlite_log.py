"""The embedded log: one SQLite file, no server. What `append` returned is on the disk.

Records are stored as they arrive, a row a batch: the records of one append, their sizes beside them. So a thousand
records cost one insert, and reading them costs slicing. Nothing is ever deleted: offset zero always exists.
"""

from __future__ import annotations

import sqlite3
import time
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .crash_points import NO_CRASH, CrashPoints
from .errors import HistoryLost, LogUnavailable, RecordRefused, StorageUnavailable, TopicMismatch, UnknownTopic
from .log import Bounds
from .pieces import Pieces, laid_out, neighbours
from .record import MAX_BATCH_RECORDS, Record, RecordBatch, TopicPartition, joined
from .sqlite_file import SqliteFile, T, Work
from .sqlite_schema import check_format, create_schema

MAX_STORED_RECORD_BYTES = 1_048_576
"""Larger values are refused. Well above what an outbox accepts, so a refusal means somebody else's row."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS log_partition (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    end_offset INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, number)
) STRICT;
CREATE TABLE IF NOT EXISTS record_batch (
    partition_id INTEGER NOT NULL REFERENCES log_partition (id),
    base_offset INTEGER NOT NULL,
    record_count INTEGER NOT NULL,
    appended_at_us INTEGER NOT NULL,
    sizes BLOB NOT NULL,
    keys BLOB NOT NULL,
    bodies BLOB NOT NULL,
    UNIQUE (partition_id, base_offset)
) STRICT;
CREATE TABLE IF NOT EXISTS group_position (
    group_name TEXT NOT NULL,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (group_name, topic, number)
) STRICT, WITHOUT ROWID;
"""

FORMAT = 1
"""How records lie in the file, which says so in its header: in place of revisions, since the embedded log is a file

format, and no database that others share or query. Files made before there was a number say 0.
"""
NOTE_FORMAT = f"PRAGMA user_version = {FORMAT}"

SELECT_TOPICS = "SELECT topic, count(*) FROM log_partition GROUP BY topic"
INSERT_PARTITION = "INSERT INTO log_partition (topic, number) VALUES (?, ?)"
ADVANCE_END = """
UPDATE log_partition SET end_offset = end_offset + ? WHERE topic = ? AND number = ? RETURNING id, end_offset
"""
INSERT_BATCH = """
INSERT INTO record_batch (partition_id, base_offset, record_count, appended_at_us, sizes, keys, bodies)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
SELECT_PARTITION = "SELECT id, end_offset FROM log_partition WHERE topic = ? AND number = ?"
SELECT_BATCHES = """
SELECT base_offset, record_count, appended_at_us, sizes, keys, bodies FROM record_batch
WHERE partition_id = :id AND base_offset >= (
    SELECT max(base_offset) FROM record_batch WHERE partition_id = :id AND base_offset <= :offset)
ORDER BY base_offset
"""
SELECT_ENDS = "SELECT id, topic, number, end_offset FROM log_partition"
UPSERT_NOTE = """
INSERT INTO group_position (group_name, topic, number, next_offset) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset
"""
SELECT_NOTES = "SELECT topic, number, next_offset FROM group_position WHERE group_name = ?"


class SqliteLog:
    """The log in the file at `path`, which is made where it is missing."""

    def __init__(self, path: Path, crash_points: CrashPoints = NO_CRASH) -> None:
        check_format(path, FORMAT)
        create_schema(path, SCHEMA, _note_format)
        self._file = SqliteFile(
            path,
            before_commit=lambda: crash_points.passing("log.before_commit"),
            after_commit=lambda: crash_points.passing("log.after_commit"),
        )

    async def create_topic(self, topic: str, partitions: int) -> None:
        def create(connection: sqlite3.Connection) -> None:
            existing = dict(connection.execute(SELECT_TOPICS)).get(topic)
            if existing is None:
                connection.executemany(INSERT_PARTITION, [(topic, number) for number in range(partitions)])
            elif existing != partitions:
                raise TopicMismatch(
                    f"topic {topic} has {existing} partitions, not {partitions}; use a new topic version"
                )

        await self._write(create)

    async def topics(self) -> Mapping[str, int]:
        return await self._read(lambda connection: dict(connection.execute(SELECT_TOPICS)))

    async def append(self, tp: TopicPartition, records: Sequence[Record]) -> int:
        (keys, key_sizes) = laid_out([record.key for record in records])
        (bodies, body_sizes) = laid_out([record.value for record in records])
        if (largest := max(body_sizes)) > MAX_STORED_RECORD_BYTES:
            size = f"{largest} bytes, the log takes {MAX_STORED_RECORD_BYTES}"
            raise RecordRefused(body_sizes.index(largest), f"{tp}: a record has {size}")
        sizes = array("i", key_sizes + body_sizes)

        def insert(connection: sqlite3.Connection) -> int:
            row = connection.execute(ADVANCE_END, (len(records), *tp)).fetchone()
            if row is None:
                raise UnknownTopic(f"the log has no partition {tp}; make it with Log.create_topic")
            base: int = row[1] - len(records)
            now_us = time.time_ns() // 1000
            connection.execute(INSERT_BATCH, (row[0], base, len(records), now_us, sizes.tobytes(), keys, bodies))
            return base

        return await self._write(insert)

    async def read(self, tp: TopicPartition, offset: int, max_records: int = MAX_BATCH_RECORDS) -> RecordBatch:
        return await self._read(lambda connection: _select(connection, tp, offset, max_records))

    async def read_each(
        self, offsets: Mapping[TopicPartition, int], max_records: int = MAX_BATCH_RECORDS
    ) -> Mapping[TopicPartition, RecordBatch]:
        return await self._read(lambda connection: _select_each(connection, offsets, max_records))

    async def bounds(self, tps: Iterable[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        wanted = set(tps)
        rows = await self._read(lambda connection: connection.execute(SELECT_ENDS).fetchall())
        ends = {TopicPartition(topic, number): end for _, topic, number, end in rows}
        for tp in wanted - ends.keys():
            raise UnknownTopic(f"the log has no partition {tp}")
        return {tp: Bounds(0, ends[tp]) for tp in wanted}

    async def wait_for_news(self, timeout_s: float) -> bool:
        return await self._file.wait_for_news(timeout_s)

    async def note_positions(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        rows = [(group, *tp, next_offset) for tp, next_offset in sorted(positions.items())]
        await self._write(lambda connection: connection.executemany(UPSERT_NOTE, rows).rowcount)

    async def noted_positions(self, group: str) -> Mapping[TopicPartition, int]:
        rows = await self._read(lambda connection: connection.execute(SELECT_NOTES, (group,)).fetchall())
        return {TopicPartition(topic, number): next_offset for topic, number, next_offset in rows}

    async def close(self) -> None:
        await self._file.close()

    async def _write(self, work: Work[T]) -> T:
        try:
            return await self._file.write(work, grouped=True)
        except StorageUnavailable as error:
            raise LogUnavailable(str(error)) from error

    async def _read(self, work: Work[T]) -> T:
        try:
            return await self._file.read(work, snapshot=False)  # What is appended never changes.
        except StorageUnavailable as error:
            raise LogUnavailable(str(error)) from error


def _note_format(connection: sqlite3.Connection) -> None:
    connection.execute(NOTE_FORMAT)


def _select(connection: sqlite3.Connection, tp: TopicPartition, offset: int, max_records: int) -> RecordBatch:
    partition = connection.execute(SELECT_PARTITION, tp).fetchone()
    if partition is None:
        raise UnknownTopic(f"the log has no partition {tp}")
    (partition_id, end) = partition
    if not 0 <= offset <= end:
        raise HistoryLost(f"{tp}: offset {offset} is not in the log, which has 0 to {end}; was its file replaced?")
    return _select_records(connection, tp, partition_id, range(offset, min(end, offset + max_records)))


def _select_each(
    connection: sqlite3.Connection, offsets: Mapping[TopicPartition, int], max_records: int
) -> dict[TopicPartition, RecordBatch]:
    found: dict[TopicPartition, RecordBatch] = {}
    for partition_id, topic, number, end in connection.execute(SELECT_ENDS).fetchall():
        tp = TopicPartition(topic, number)
        if tp in offsets and (offset := offsets[tp]) != end:
            asked = range(offset, min(end, offset + max_records))
            found[tp] = _select_records(connection, tp, partition_id, asked)
    return found


def _select_records(connection: sqlite3.Connection, tp: TopicPartition, partition_id: int, asked: range) -> RecordBatch:
    parts: list[RecordBatch] = []
    offset = asked.start
    cursor = connection.execute(SELECT_BATCHES, {"id": partition_id, "offset": offset})
    while offset < asked.stop and (row := cursor.fetchone()) is not None:
        (base, count, appended_at_us, sizes, keys, bodies) = row
        lengths = array("i", sizes)
        (start, stop) = (offset - base, min(count, asked.stop - base))
        values = Pieces([neighbours(bodies, lengths[count:]).slice(start, stop)])
        its_keys = Pieces([neighbours(keys, lengths[:count]).slice(start, stop)])
        parts.append(RecordBatch(tp, offset, values, its_keys, [appended_at_us] * (stop - start)))
        offset = base + stop
    cursor.close()
    return joined(tp, asked.start, parts)
