"""The note of touched days in the back office's PostgreSQL database; see touched_days.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from event_store.postgres_database import columns_of
from event_store.record import TopicPartition

from .catalogue import FIGURES
from .figure_table import joined
from .postgres_figures import columns_statement, extent_statement, frame_of
from .read_model import Changes, FiguresVersion
from .touched_days import Stretches, Touch, buckets_of, days_between, moved_between

if TYPE_CHECKING:
    from event_store.postgres_database import Connection

SCHEMA = """
CREATE TABLE IF NOT EXISTS touched_day (
    generation BIGINT NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    day BIGINT NOT NULL,
    next_offset BIGINT NOT NULL,
    PRIMARY KEY (generation, topic, number, day)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS touched_stretch (
    generation BIGINT NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    first_offset BIGINT NOT NULL,
    next_offset BIGINT NOT NULL,
    PRIMARY KEY (generation, topic, number)
) WITH (fillfactor = 50);
"""
TABLES = ("touched_day", "touched_stretch")

NOTE = """
WITH lengthened AS (
    INSERT INTO touched_stretch AS s (generation, topic, number, first_offset, next_offset)
    SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
    ON CONFLICT (generation, topic, number) DO UPDATE SET next_offset = excluded.next_offset,
        first_offset = CASE s.next_offset WHEN excluded.first_offset THEN s.first_offset ELSE excluded.first_offset END
)
INSERT INTO touched_day (generation, topic, number, day, next_offset)
SELECT $1, * FROM unnest($6::text[], $7::bigint[], $8::bigint[], $9::bigint[])
ON CONFLICT (generation, topic, number, day) DO UPDATE SET next_offset = excluded.next_offset
"""
SELECT_STRETCHES = "SELECT topic, number, first_offset, next_offset FROM touched_stretch WHERE generation = $1"
SELECT_DAYS = """
SELECT DISTINCT t.day FROM touched_day AS t
JOIN unnest($2::text[], $3::bigint[], $4::bigint[]) AS p (topic, number, stood) USING (topic, number)
WHERE t.generation = $1 AND t.next_offset > p.stood ORDER BY t.day
"""
IN_RANGE = " AND bucket >= $2 AND bucket < $3"


async def note(connection: Connection, generation: int, touch: Touch) -> None:
    """Inside the transaction of the figures, after its partitions' positions are locked."""
    days = columns_of(touch.days) if touch.days else [[], [], [], []]
    await connection.execute(NOTE, generation, *columns_of(touch.stretches), *days)


async def changes(
    connection: Connection, now: FiguresVersion, since: FiguresVersion | None, most_rows: int
) -> Changes | None:
    """See `ReadModel.changes`; `now` is of the same transaction."""
    generation = now.generation
    days = await (_every_day(connection, generation) if since is None else _days_since(connection, now, since))
    rows = None if days is None else await _rows(connection, generation, days, most_rows)
    return None if days is None or rows is None else Changes(now, days, rows)


async def _every_day(connection: Connection, generation: int) -> Sequence[int]:
    row = await connection.fetchrow(extent_statement(FIGURES), generation)
    return () if row is None else days_between(row[0], row[1])


async def _days_since(connection: Connection, now: FiguresVersion, since: FiguresVersion) -> list[int] | None:
    if now == since:
        return []
    moved = moved_between(since, now, await _stretches(connection, now.generation))
    if not moved:
        return None if moved is None else []
    places = columns_of((*tp, before) for tp, before in moved)
    return [row["day"] for row in await connection.fetch(SELECT_DAYS, now.generation, *places)]


async def _stretches(connection: Connection, generation: int) -> Stretches:
    found = await connection.fetch(SELECT_STRETCHES, generation)
    return {TopicPartition(topic, number): (first, end) for topic, number, first, end in found}


async def _rows(
    connection: Connection, generation: int, days: Sequence[int], most_rows: int
) -> dict[str, pl.DataFrame] | None:
    """None where there are more of them."""
    parts: dict[str, list[pl.DataFrame]] = {one.name: [] for one in FIGURES}
    for start, end in buckets_of(days):
        for one in FIGURES:
            found = await connection.fetchrow(columns_statement(one) + IN_RANGE, generation, start, end)
            parts[one.name].append(frame_of(one, found or ()))
            most_rows -= parts[one.name][-1].height
            if most_rows < 0:
                return None
    return {one.name: joined(one, parts[one.name]) for one in FIGURES}
