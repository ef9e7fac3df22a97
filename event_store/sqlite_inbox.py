"""The inbox in a SQLite file, for a consumer that keeps its effect in the same one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from .dead_letters import DeadLetter
from .errors import ForeignIdTaken, PositionMoved
from .handled import HandledRanges, Range, difference
from .inbox import InboxEntry, Position
from .record import TopicPartition
from .sqlite_connection import NOW_US

SCHEMA = """
CREATE TABLE IF NOT EXISTS inbox_position (
    generation INTEGER NOT NULL,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    last_fingerprint INTEGER,
    last_appended_at_us INTEGER,
    counted_at_us INTEGER,
    duplicates INTEGER NOT NULL DEFAULT 0,
    stopped TEXT,
    PRIMARY KEY (generation, topic, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event_handled (
    generation INTEGER NOT NULL,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    source TEXT NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    PRIMARY KEY (generation, topic, number, source, first_sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event_handled_id (
    generation INTEGER NOT NULL,
    source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    PRIMARY KEY (generation, source, event_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letter (
    generation INTEGER NOT NULL,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    raw BLOB,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    appended_at_us INTEGER NOT NULL,
    PRIMARY KEY (generation, topic, number, record_offset)
) STRICT;
CREATE TABLE IF NOT EXISTS dead_letter_decision (
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    decision TEXT NOT NULL,
    who TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    reason TEXT NOT NULL,
    event_id TEXT,
    payload BLOB,
    sent_at_us INTEGER,
    PRIMARY KEY (topic, number, record_offset)
) STRICT;
"""

TABLES = ("inbox_position", "event_handled", "event_handled_id", "dead_letter")
"""Those whose rows belong to a generation."""

OPEN_POSITION = (
    "INSERT INTO inbox_position (generation, topic, number, next_offset) VALUES (?, ?, ?, 0) ON CONFLICT DO NOTHING"
)
ADVANCE = f"""
UPDATE inbox_position SET next_offset = :after, last_fingerprint = :fingerprint,
    last_appended_at_us = :appended_at_us, counted_at_us = {NOW_US}, duplicates = duplicates + :duplicates
WHERE generation = :generation AND topic = :topic AND number = :number AND next_offset = :before
"""  # noqa: S608
NOTE_STOP = "UPDATE inbox_position SET stopped = ? WHERE generation = ? AND topic = ? AND number = ?"
SELECT_POSITION = """
SELECT next_offset, last_fingerprint FROM inbox_position WHERE generation = ? AND topic = ? AND number = ?
"""
SELECT_POSITIONS = "SELECT topic, number FROM inbox_position WHERE generation = ? ORDER BY topic, number"
SELECT_HANDLED = """
SELECT source, first_sequence, last_sequence FROM event_handled
WHERE generation = ? AND topic = ? AND number = ? ORDER BY source, first_sequence
"""
DELETE_RANGE = """
DELETE FROM event_handled
WHERE generation = ? AND topic = ? AND number = ? AND source = ? AND first_sequence = ?
"""
UPSERT_RANGE = """
INSERT INTO event_handled (generation, topic, number, source, first_sequence, last_sequence) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET last_sequence = excluded.last_sequence
"""
INSERT_IDS = """
INSERT INTO event_handled_id (generation, source, event_id)
SELECT ?, value ->> 0, value ->> 1 FROM json_each(?) WHERE true ON CONFLICT DO NOTHING
"""
SELECT_KNOWN_IDS = """
SELECT source, event_id FROM event_handled_id
WHERE generation = ? AND (source, event_id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))
"""
INSERT_DEAD = """
INSERT INTO dead_letter (generation, topic, number, record_offset, raw, reason, detail, appended_at_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
SELECT_DEAD = """
SELECT topic, number, record_offset, raw, reason, detail, appended_at_us FROM dead_letter
WHERE generation = ? ORDER BY appended_at_us DESC, topic, number, record_offset DESC LIMIT ?
"""
SELECT_DEAD_OFFSETS = "SELECT topic, number, record_offset FROM dead_letter WHERE generation = ?"
SELECT_PROGRESS = """
SELECT p.topic, p.number, p.next_offset, p.last_appended_at_us, p.counted_at_us, p.duplicates,
    (SELECT count(*) FROM dead_letter AS d
     WHERE d.generation = p.generation AND d.topic = p.topic AND d.number = p.number),
    p.stopped,
    (SELECT count(*) FROM dead_letter AS d
     WHERE d.generation = p.generation AND d.topic = p.topic AND d.number = p.number AND NOT EXISTS (
        SELECT 1 FROM dead_letter_decision AS c
        WHERE c.topic = d.topic AND c.number = d.number AND c.record_offset = d.record_offset))
FROM inbox_position AS p WHERE p.generation = ? ORDER BY p.topic, p.number
"""


def apply(connection: sqlite3.Connection, entry: InboxEntry) -> None:
    """Takes the entry inside the caller's transaction, or raises PositionMoved or ForeignIdTaken: roll back then."""
    place = (entry.generation, *entry.tp)
    connection.execute(OPEN_POSITION, place)
    if connection.execute(ADVANCE, _advance(entry)).rowcount != 1:
        raise PositionMoved(connection.execute(SELECT_POSITION, place).fetchone()[0])
    _write_ranges(connection, place, entry.before.handled, entry.after.handled)
    if entry.foreign_ids:
        ids = json.dumps(entry.foreign_ids)
        if connection.execute(INSERT_IDS, (entry.generation, ids)).rowcount != len(entry.foreign_ids):
            raise ForeignIdTaken(f"{entry.tp}: a record of {entry.foreign_ids[0][0]} was handled meanwhile")
    if entry.dead_letters:
        rows = [(*place, one.offset, one.raw, one.reason, one.detail, one.appended_at_us) for one in entry.dead_letters]
        connection.executemany(INSERT_DEAD, rows)


def _advance(entry: InboxEntry) -> dict[str, object]:
    return {
        "generation": entry.generation,
        "topic": entry.tp.topic,
        "number": entry.tp.partition,
        "before": entry.before.next_offset,
        "after": entry.after.next_offset,
        "fingerprint": entry.after.last_fingerprint,
        "appended_at_us": entry.last_appended_at_us,
        "duplicates": entry.duplicates,
    }


def _write_ranges(
    connection: sqlite3.Connection,
    place: tuple[int, str, int],
    before: Mapping[str, HandledRanges],
    after: Mapping[str, HandledRanges],
) -> None:
    for source, ranges in after.items():
        old = before.get(source, HandledRanges())
        if ranges is old:
            continue
        (gone, grown) = difference(old, ranges)
        if gone:
            connection.executemany(DELETE_RANGE, [(*place, source, first) for first in gone])
        connection.executemany(UPSERT_RANGE, [(*place, source, *one) for one in grown])


def note_stop(connection: sqlite3.Connection, generation: int, tp: TopicPartition, why: str | None) -> None:
    connection.execute(OPEN_POSITION, (generation, *tp))
    connection.execute(NOTE_STOP, (why, generation, *tp))


def position(connection: sqlite3.Connection, generation: int, tp: TopicPartition) -> Position:
    row = connection.execute(SELECT_POSITION, (generation, *tp)).fetchone()
    if row is None:
        return Position()
    return Position(row[0], row[1], handled(connection, generation, tp))


def positions(connection: sqlite3.Connection, generation: int) -> dict[TopicPartition, Position]:
    tps = [TopicPartition(*row) for row in connection.execute(SELECT_POSITIONS, (generation,)).fetchall()]
    return {tp: position(connection, generation, tp) for tp in tps}


def handled(connection: sqlite3.Connection, generation: int, tp: TopicPartition) -> dict[str, HandledRanges]:
    ranges: dict[str, list[Range]] = {}
    for source, first, last in connection.execute(SELECT_HANDLED, (generation, *tp)):
        ranges.setdefault(source, []).append((first, last))
    return {source: HandledRanges(tuple(ordered)) for source, ordered in ranges.items()}


def known_ids(connection: sqlite3.Connection, generation: int, ids: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    return set(connection.execute(SELECT_KNOWN_IDS, (generation, json.dumps(list(ids)))).fetchall())


def dead_letters(connection: sqlite3.Connection, generation: int, most: int) -> list[DeadLetter]:
    rows: Iterable[tuple[str, int, int, bytes | None, str, str, int]]
    rows = connection.execute(SELECT_DEAD, (generation, most))
    return [DeadLetter(TopicPartition(row[0], row[1]), *row[2:]) for row in rows]
