"""The inbox in a PostgreSQL database, for a consumer that keeps its effect in the same one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .dead_letters import DeadLetter
from .errors import ForeignIdTaken, PositionMoved
from .handled import HandledRanges, Range, difference
from .inbox import InboxEntry, Position
from .postgres_database import NOW_US, columns_of, rows_changed, storable
from .record import TopicPartition

if TYPE_CHECKING:
    import asyncpg

    from .postgres_database import Connection

SCHEMA = """
CREATE TABLE IF NOT EXISTS inbox_position (
    generation BIGINT NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    next_offset BIGINT NOT NULL,
    last_fingerprint BIGINT,
    last_appended_at_us BIGINT,
    counted_at_us BIGINT,
    duplicates BIGINT NOT NULL DEFAULT 0,
    stopped TEXT,
    PRIMARY KEY (generation, topic, number)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS event_handled (
    generation BIGINT NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    first_sequence BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    PRIMARY KEY (generation, topic, number, source, first_sequence)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS event_handled_id (
    generation BIGINT NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    event_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (generation, source, event_id)
);
CREATE TABLE IF NOT EXISTS dead_letter (
    generation BIGINT NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    record_offset BIGINT NOT NULL,
    raw BYTEA,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    appended_at_us BIGINT NOT NULL,
    PRIMARY KEY (generation, topic, number, record_offset)
);
CREATE TABLE IF NOT EXISTS dead_letter_decision (
    topic TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    record_offset BIGINT NOT NULL,
    decision TEXT COLLATE "C" NOT NULL,
    who TEXT COLLATE "C" NOT NULL,
    at_us BIGINT NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    event_id TEXT COLLATE "C",
    payload BYTEA,
    sent_at_us BIGINT,
    PRIMARY KEY (topic, number, record_offset)
);
"""

TABLES = ("event_handled", "event_handled_id", "dead_letter", "inbox_position")
"""Those whose rows belong to a generation."""

OPEN_POSITIONS = """
INSERT INTO inbox_position (generation, topic, number, next_offset)
SELECT $1, topic, number, 0 FROM unnest($2::text[], $3::bigint[]) AS p (topic, number)
ORDER BY topic COLLATE "C", number ON CONFLICT DO NOTHING
"""
ADVANCE = f"""
WITH e AS (
    SELECT * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
        AS e (topic, number, before, after, fingerprint, appended_at_us, duplicates)),
locked AS (
    SELECT p.topic, p.number FROM inbox_position AS p JOIN e USING (topic, number)
    WHERE p.generation = $1 AND p.next_offset = e.before ORDER BY p.topic, p.number FOR UPDATE OF p),
advanced AS (
    UPDATE inbox_position AS p SET next_offset = e.after, last_fingerprint = e.fingerprint,
        last_appended_at_us = e.appended_at_us, counted_at_us = {NOW_US}, duplicates = p.duplicates + e.duplicates
    FROM e JOIN locked USING (topic, number)
    WHERE p.generation = $1 AND p.topic = e.topic AND p.number = e.number RETURNING 1),
grown AS (
    INSERT INTO event_handled (generation, topic, number, source, first_sequence, last_sequence)
    SELECT $1, r.* FROM unnest($9::text[], $10::bigint[], $11::text[], $12::bigint[], $13::bigint[]) AS r
    WHERE (SELECT count(*) FROM advanced) = cardinality($2)
    ON CONFLICT (generation, topic, number, source, first_sequence)
    DO UPDATE SET last_sequence = excluded.last_sequence)
SELECT count(*) FROM advanced
"""  # noqa: S608
"""One statement for what every batch does: each more would be a round trip more while its rows are locked."""
NOTE_STOP = "UPDATE inbox_position SET stopped = $4 WHERE generation = $1 AND topic = $2 AND number = $3"
SELECT_POSITION = """
SELECT next_offset, last_fingerprint FROM inbox_position WHERE generation = $1 AND topic = $2 AND number = $3
"""
SELECT_POSITIONS = "SELECT topic, number, next_offset, last_fingerprint FROM inbox_position WHERE generation = $1"
SELECT_HANDLED = """
SELECT topic, number, source, first_sequence, last_sequence FROM event_handled
WHERE generation = $1 ORDER BY topic, number, source, first_sequence
"""
SELECT_HANDLED_IN = """
SELECT topic, number, source, first_sequence, last_sequence FROM event_handled
WHERE generation = $1 AND topic = $2 AND number = $3 ORDER BY source, first_sequence
"""
DELETE_RANGES = """
DELETE FROM event_handled AS h
USING unnest($2::text[], $3::bigint[], $4::text[], $5::bigint[]) AS g (topic, number, source, first_sequence)
WHERE h.generation = $1 AND h.topic = g.topic AND h.number = g.number AND h.source = g.source
    AND h.first_sequence = g.first_sequence
"""
INSERT_IDS = """
INSERT INTO event_handled_id (generation, source, event_id)
SELECT $1, * FROM unnest($2::text[], $3::text[]) ON CONFLICT DO NOTHING
"""
SELECT_KNOWN_IDS = """
SELECT source, event_id FROM event_handled_id JOIN unnest($2::text[], $3::text[]) AS w (source, event_id)
USING (source, event_id) WHERE generation = $1
"""
INSERT_DEAD = """
INSERT INTO dead_letter (generation, topic, number, record_offset, raw, reason, detail, appended_at_us)
SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bytea[], $6::text[], $7::text[], $8::bigint[])
"""
SELECT_DEAD = """
SELECT topic, number, record_offset, raw, reason, detail, appended_at_us FROM dead_letter
WHERE generation = $1 ORDER BY appended_at_us DESC, topic, number, record_offset DESC LIMIT $2
"""
SELECT_DEAD_OFFSETS = "SELECT topic, number, record_offset FROM dead_letter WHERE generation = $1"
SELECT_PROGRESS = """
SELECT p.topic, p.number, p.next_offset, p.last_appended_at_us, p.counted_at_us, p.duplicates,
    (SELECT count(*) FROM dead_letter AS d
     WHERE d.generation = p.generation AND d.topic = p.topic AND d.number = p.number),
    p.stopped,
    (SELECT count(*) FROM dead_letter AS d
     WHERE d.generation = p.generation AND d.topic = p.topic AND d.number = p.number AND NOT EXISTS (
        SELECT 1 FROM dead_letter_decision AS c
        WHERE c.topic = d.topic AND c.number = d.number AND c.record_offset = d.record_offset))
FROM inbox_position AS p WHERE p.generation = $1 ORDER BY p.topic, p.number
"""


async def apply(connection: Connection, generation: int, entries: Sequence[InboxEntry]) -> None:
    """Takes the entries inside the caller's transaction, or raises PositionMoved or ForeignIdTaken: roll back then.

    Rows are always written in the order of their keys, so that two who commit can't wait for each other.
    """
    ordered = sorted(entries, key=lambda entry: entry.tp)
    new = [entry.tp for entry in ordered if not entry.before.next_offset]
    if new:
        await connection.execute(OPEN_POSITIONS, generation, *columns_of(new))
    (gone, grown) = _ranges_changed(ordered)
    advances = columns_of(map(_advance, ordered))
    if await connection.fetchval(ADVANCE, generation, *advances, *(columns_of(grown) or [[]] * 5)) != len(ordered):
        raise PositionMoved(await _moved_to(connection, generation, ordered))
    if gone:
        await connection.execute(DELETE_RANGES, generation, *columns_of(gone))
    await _write_ids(connection, generation, ordered)
    letters = [_dead(one) for entry in ordered for one in entry.dead_letters]
    if letters:
        await connection.execute(INSERT_DEAD, generation, *columns_of(letters))


async def _moved_to(connection: Connection, generation: int, ordered: Sequence[InboxEntry]) -> int:
    """Where the first partition stands that isn't where its entry says."""
    for entry in ordered:
        stored: int = await connection.fetchval(SELECT_POSITION, generation, *entry.tp) or 0
        if stored != entry.before.next_offset:
            return stored
    return ordered[0].before.next_offset


def _advance(entry: InboxEntry) -> tuple[Any, ...]:
    (before, after) = (entry.before.next_offset, entry.after.next_offset)
    return (*entry.tp, before, after, entry.after.last_fingerprint, entry.last_appended_at_us, entry.duplicates)


def _ranges_changed(
    ordered: Sequence[InboxEntry],
) -> tuple[list[tuple[str, int, str, int]], list[tuple[str, int, str, int, int]]]:
    """The handled ranges that are gone, and those that are new or longer."""
    gone: list[tuple[str, int, str, int]] = []
    grown: list[tuple[str, int, str, int, int]] = []
    for entry in ordered:
        for source, ranges in sorted(entry.after.handled.items()):
            (less, more) = difference(entry.before.handled.get(source, HandledRanges()), ranges)
            gone += [(*entry.tp, source, first) for first in less]
            grown += [(*entry.tp, source, *one) for one in more]
    return gone, grown


async def _write_ids(connection: Connection, generation: int, ordered: Sequence[InboxEntry]) -> None:
    ids = sorted(one for entry in ordered for one in entry.foreign_ids)
    if ids and rows_changed(await connection.execute(INSERT_IDS, generation, *columns_of(ids))) != len(ids):
        tps = ", ".join(str(entry.tp) for entry in ordered if entry.foreign_ids)
        raise ForeignIdTaken(f"{tps}: a record without a sequence was handled meanwhile")


def _dead(one: DeadLetter) -> tuple[Any, ...]:
    return (*one.tp, one.offset, one.raw, storable(one.reason), storable(one.detail), one.appended_at_us)


async def note_stop(connection: Connection, generation: int, tp: TopicPartition, why: str | None) -> None:
    await connection.execute(OPEN_POSITIONS, generation, [tp.topic], [tp.partition])
    await connection.execute(NOTE_STOP, generation, *tp, None if why is None else storable(why))


async def position(connection: Connection, generation: int, tp: TopicPartition) -> Position:
    row = await connection.fetchrow(SELECT_POSITION, generation, *tp)
    if row is None:
        return Position()
    handled = _ranges(await connection.fetch(SELECT_HANDLED_IN, generation, *tp))
    return Position(row["next_offset"], row["last_fingerprint"], handled.get(tp, {}))


async def positions(connection: Connection, generation: int) -> dict[TopicPartition, Position]:
    rows = await connection.fetch(SELECT_POSITIONS, generation)
    handled = await handled_ranges(connection, generation)
    found = {TopicPartition(topic, number): (offset, seen) for topic, number, offset, seen in rows}
    return {tp: Position(offset, seen, handled.get(tp, {})) for tp, (offset, seen) in sorted(found.items())}


async def handled_ranges(
    connection: Connection, generation: int
) -> Mapping[TopicPartition, Mapping[str, HandledRanges]]:
    """Partition → source → what was handled."""
    return _ranges(await connection.fetch(SELECT_HANDLED, generation))


def _ranges(rows: Iterable[asyncpg.Record]) -> dict[TopicPartition, dict[str, HandledRanges]]:
    ranges: dict[TopicPartition, dict[str, list[Range]]] = {}
    for topic, number, source, first, last in rows:
        ranges.setdefault(TopicPartition(topic, number), {}).setdefault(source, []).append((first, last))
    return {
        tp: {source: HandledRanges(tuple(ordered)) for source, ordered in sources.items()}
        for tp, sources in ranges.items()
    }


async def known_ids(connection: Connection, generation: int, ids: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    if not ids:
        return set()
    return {(row[0], row[1]) for row in await connection.fetch(SELECT_KNOWN_IDS, generation, *columns_of(ids))}


async def dead_letters(connection: Connection, generation: int, most: int) -> list[DeadLetter]:
    rows = await connection.fetch(SELECT_DEAD, generation, most)
    return [DeadLetter(TopicPartition(row[0], row[1]), *row[2:]) for row in rows]


async def dead_offsets(connection: Connection, generation: int) -> frozenset[tuple[TopicPartition, int]]:
    rows = await connection.fetch(SELECT_DEAD_OFFSETS, generation)
    return frozenset((TopicPartition(topic, number), offset) for topic, number, offset in rows)
