"""The note of touched days in the back office's SQLite file; see touched_days.py."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import polars as pl

from event_store.record import TopicPartition

from .catalogue import FIGURES
from .figure_table import joined
from .read_model import Changes, FiguresVersion
from .sqlite_figures import columns_statement, extent_statement, frame_of
from .touched_days import Stretches, Touch, buckets_of, days_between, moved_between

SCHEMA = """
CREATE TABLE IF NOT EXISTS touched_day (
    generation INTEGER NOT NULL,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    day INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (generation, topic, number, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS touched_stretch (
    generation INTEGER NOT NULL,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    first_offset INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (generation, topic, number)
) STRICT, WITHOUT ROWID;
"""
TABLES = ("touched_day", "touched_stretch")

LENGTHEN = """
INSERT INTO touched_stretch AS s (generation, topic, number, first_offset, next_offset) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset,
    first_offset = CASE s.next_offset WHEN excluded.first_offset THEN s.first_offset ELSE excluded.first_offset END
"""
TOUCH = """
INSERT INTO touched_day (generation, topic, number, day, next_offset) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset
"""
SELECT_STRETCHES = "SELECT topic, number, first_offset, next_offset FROM touched_stretch WHERE generation = ?"
SELECT_DAYS = "SELECT day FROM touched_day WHERE generation = ? AND topic = ? AND number = ? AND next_offset > ?"
IN_RANGE = " AND bucket >= ?2 AND bucket < ?3"


def note(connection: sqlite3.Connection, generation: int, touch: Touch) -> None:
    """Inside the transaction of the figures."""
    for stretch in touch.stretches:
        connection.execute(LENGTHEN, (generation, *stretch))
    for day in touch.days:
        connection.execute(TOUCH, (generation, *day))


def changes(
    connection: sqlite3.Connection, now: FiguresVersion, since: FiguresVersion | None, most_rows: int
) -> Changes | None:
    """See `ReadModel.changes`; `now` is of the same transaction."""
    days = _every_day(connection, now.generation) if since is None else _days_since(connection, now, since)
    rows = None if days is None else _rows(connection, now.generation, days, most_rows)
    return None if days is None or rows is None else Changes(now, days, rows)


def _every_day(connection: sqlite3.Connection, generation: int) -> Sequence[int]:
    return days_between(*connection.execute(extent_statement(FIGURES), (generation,)).fetchone())


def _days_since(connection: sqlite3.Connection, now: FiguresVersion, since: FiguresVersion) -> list[int] | None:
    if now == since:
        return []
    moved = moved_between(since, now, _stretches(connection, now.generation))
    if moved is None:
        return None
    places = [(now.generation, *tp, before) for tp, before in moved]
    return sorted({day for place in places for (day,) in connection.execute(SELECT_DAYS, place)})


def _stretches(connection: sqlite3.Connection, generation: int) -> Stretches:
    found = connection.execute(SELECT_STRETCHES, (generation,)).fetchall()
    return {TopicPartition(topic, number): (first, end) for topic, number, first, end in found}


def _rows(
    connection: sqlite3.Connection, generation: int, days: Sequence[int], most_rows: int
) -> dict[str, pl.DataFrame] | None:
    """None where there are more of them."""
    parts: dict[str, list[pl.DataFrame]] = {one.name: [] for one in FIGURES}
    for start, end in buckets_of(days):
        for one in FIGURES:
            found = connection.execute(columns_statement(one) + IN_RANGE, (generation, start, end)).fetchone()
            parts[one.name].append(frame_of(one, found))
            most_rows -= parts[one.name][-1].height
            if most_rows < 0:
                return None
    return {one.name: joined(one, parts[one.name]) for one in FIGURES}
