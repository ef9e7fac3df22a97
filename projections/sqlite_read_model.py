"""The read model in the back office's SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from event_store import sqlite_inbox
from event_store.crash_points import NO_CRASH, CrashPoints
from event_store.dead_letters import DeadLetter
from event_store.errors import GenerationChanged
from event_store.inbox import Position
from event_store.record import TopicPartition
from event_store.sqlite_connection import NOW_US
from event_store.sqlite_file import SqliteFile
from event_store.sqlite_schema import open_tables
from event_store.sqlite_transactions import StepsOnFile

from . import sqlite_figures, sqlite_touched_days
from .catalogue import FIGURES as ADDED_UP
from .figures import Question, answer_of, periods_of
from .generation_statements import AT_MOST_ONE, RETIRE, SELECT_GENERATIONS, SELECT_SERVING, first_generation_statement
from .letter_steps import StepLetters
from .projection import Projection
from .read_model import (
    SELECT_VERSION,
    Changes,
    Effect,
    FiguresVersion,
    Generation,
    PartitionProgress,
    Snapshot,
    State,
    Sums,
    SumsAsked,
    VersionRow,
    check_can_serve,
    check_takes,
    progress_of,
    version_of,
)
from .revisions import FIGURES
from .sqlite_figures import (
    cells_of,
    columns_statement,
    extent_statement,
    frame_of,
    merge_cells,
    schema,
    upsert_statements,
)
from .touched_days import touch_of

GENERATIONS = """
CREATE TABLE IF NOT EXISTS generation (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    state TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    served_at_us INTEGER,
    note TEXT NOT NULL
) STRICT;
"""
FIRST_GENERATION = first_generation_statement(NOW_US)
SIGNING_KEY = """
CREATE TABLE IF NOT EXISTS signing_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    value BLOB NOT NULL
) STRICT;
INSERT INTO signing_key (id, value) VALUES (1, randomblob(32)) ON CONFLICT DO NOTHING;
"""
TABLES = GENERATIONS + AT_MOST_ONE + SIGNING_KEY + sqlite_inbox.SCHEMA + sqlite_touched_days.SCHEMA
"""Beside those of the figures themselves."""
OF_GENERATIONS = (*sqlite_inbox.TABLES, *sqlite_touched_days.TABLES)
SELECT_SIGNING_KEY = "SELECT value FROM signing_key"
SELECT_STATE = "SELECT state FROM generation WHERE number = ?"
SELECT_BUILDING = "SELECT number FROM generation WHERE state = 'building'"
INSERT_GENERATION = f"INSERT INTO generation (state, created_at_us, note) VALUES ('building', {NOW_US}, ?)"  # noqa: S608
SERVE = f"UPDATE generation SET state = 'serving', served_at_us = {NOW_US}, note = ? WHERE number = ?"  # noqa: S608
ABANDON = "UPDATE generation SET state = 'abandoned', note = ? WHERE number = ?"
SELECT_BEHIND = """
SELECT s.topic, s.number FROM inbox_position AS s
LEFT JOIN inbox_position AS t ON t.generation = ? AND t.topic = s.topic AND t.number = s.number
WHERE s.generation = ? AND s.next_offset > coalesce(t.next_offset, 0)
"""


class SqliteReadModel:
    """The read model in the file at `path`, which is made where it is missing."""

    def __init__(self, path: Path, projections: Sequence[Projection], crash_points: CrashPoints = NO_CRASH) -> None:
        open_tables(path, {FIGURES: TABLES + schema(projections)})
        self._file = SqliteFile(
            path,
            before_commit=lambda: crash_points.passing("consumer.before_commit"),
            after_commit=lambda: crash_points.passing("consumer.after_commit"),
        )
        self.letters = StepLetters(StepsOnFile(self._file))
        self._projections = {projection.name: projection for projection in projections}
        self._upserts = {projection.name: upsert_statements(projection) for projection in projections}

    async def serving(self) -> int:
        number = await self._file.read(_serving)
        if number is not None:
            return number

        def first(connection: sqlite3.Connection) -> int:
            connection.execute(FIRST_GENERATION)
            return _serving(connection) or 0

        return await self._file.write(first)

    async def version(self) -> FiguresVersion:
        def select(connection: sqlite3.Connection) -> list[VersionRow]:
            return connection.execute(SELECT_VERSION).fetchall()

        found = await self._file.read(select)
        if not found:
            await self.serving()
            found = await self._file.read(select)
        return version_of(found)

    async def changes(self, since: FiguresVersion | None, most_rows: int) -> Changes | None:
        await self.serving()

        def select(connection: sqlite3.Connection) -> Changes | None:
            now = version_of(connection.execute(SELECT_VERSION).fetchall())
            return sqlite_touched_days.changes(connection, now, since, most_rows)

        return await self._file.read(select)

    async def signing_key(self) -> bytes:
        row = await self._file.read(lambda connection: connection.execute(SELECT_SIGNING_KEY).fetchone())
        return bytes(row[0])

    async def generations(self) -> Sequence[Generation]:
        rows = await self._file.read(lambda connection: connection.execute(SELECT_GENERATIONS).fetchall())
        return [Generation(row[0], State(row[1]), *row[2:]) for row in rows]

    async def position(self, generation: int, tp: TopicPartition) -> Position:
        return await self._file.read(lambda connection: sqlite_inbox.position(connection, generation, tp))

    async def known_ids(self, generation: int, ids: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        return await self._file.read(lambda connection: sqlite_inbox.known_ids(connection, generation, ids))

    async def commit(self, effect: Effect, *, serving: bool) -> None:
        generation = effect.generation
        cells = {name: cells_of(rows, generation) for name, rows in effect.increments.items()}
        touch = touch_of(effect)

        def apply(connection: sqlite3.Connection) -> None:
            check_takes(generation, _state(connection, generation), serving=serving)
            sqlite_touched_days.note(connection, generation, touch)
            for entry in effect.entries:
                sqlite_inbox.apply(connection, entry)
            for name, values in cells.items():
                self._merge(connection, name, values)

        await self._file.write(apply, grouped=True)

    def _merge(self, connection: sqlite3.Connection, name: str, cells: Sequence[Any]) -> None:
        width = 1 + len(self._projections[name].columns)
        try:
            merge_cells(connection, self._upserts[name], cells, width)
        except sqlite3.IntegrityError as error:  # Beyond its range an integer becomes a REAL, which the column refuses.
            raise OverflowError(f"a figure of {name} would go beyond 64 bits") from error

    async def note_stop(self, generation: int, tp: TopicPartition, why: str | None) -> None:
        await self._file.write(lambda connection: sqlite_inbox.note_stop(connection, generation, tp, why))

    async def progress(self, generation: int) -> Sequence[PartitionProgress]:
        return await self._file.read(lambda connection: _progress(connection, generation))

    async def dead_letters(self, generation: int, most: int = 1000) -> Sequence[DeadLetter]:
        return await self._file.read(lambda connection: sqlite_inbox.dead_letters(connection, generation, most))

    async def sums(self, generation: int, projections: Sequence[str], asked: SumsAsked) -> Sums:
        def add_up(connection: sqlite3.Connection) -> Sums:
            chosen = [self._projections[name] for name in projections]
            rows = {one.name: sqlite_figures.sums(connection, generation, one, asked) for one in chosen}
            return Sums(rows, _progress(connection, generation))

        return await self._file.read(add_up)

    async def figures(self, generation: int, question: Question) -> pl.DataFrame:
        def answer(connection: sqlite3.Connection) -> pl.DataFrame:
            periods = periods_of(question, self._extent(connection, generation))
            asked = SumsAsked(periods, question.products, question.by_product)
            parts = [sqlite_figures.sums(connection, generation, one, asked) for one in ADDED_UP] if periods else []
            return answer_of(question, periods, parts)

        return await self._file.read(answer)

    async def extent(self, generation: int) -> tuple[int, int] | None:
        return await self._file.read(lambda connection: self._extent(connection, generation))

    def _extent(self, connection: sqlite3.Connection, generation: int) -> tuple[int, int] | None:
        row = connection.execute(extent_statement(list(self._projections.values())), (generation,)).fetchone()
        return None if row[0] is None else (row[0], row[1])

    async def rows(self, generation: int, projection: str) -> pl.DataFrame:
        asked = self._projections[projection]
        return await self._file.read(lambda connection: _rows(connection, generation, asked))

    async def snapshot(self, generation: int) -> Snapshot:
        def take(connection: sqlite3.Connection) -> Snapshot:
            dead = connection.execute(sqlite_inbox.SELECT_DEAD_OFFSETS, (generation,)).fetchall()
            return Snapshot(
                sqlite_inbox.positions(connection, generation),
                {name: _rows(connection, generation, one) for name, one in self._projections.items()},
                frozenset((TopicPartition(topic, number), offset) for topic, number, offset in dead),
            )

        return await self._file.read(take)

    async def begin_generation(self, note: str) -> int:
        def begin(connection: sqlite3.Connection) -> int:
            left = connection.execute(SELECT_BUILDING).fetchone()
            if left is not None:
                self._empty(connection, left[0], "left behind by a rebuild that died")
            return int(connection.execute(INSERT_GENERATION, (note,)).lastrowid or 0)

        return await self._file.write(begin)

    async def switch(self, to: int, note: str) -> None:
        def flip(connection: sqlite3.Connection) -> None:
            behind = connection.execute(SELECT_BEHIND, (to, _serving(connection))).fetchone()
            check_can_serve(to, _state(connection, to), None if behind is None else TopicPartition(*behind))
            connection.execute(RETIRE)
            connection.execute(SERVE, (note, to))

        await self._file.write(flip)

    async def abandon(self, generation: int, note: str) -> None:
        def end(connection: sqlite3.Connection) -> None:
            if generation == _serving(connection):
                raise GenerationChanged(f"generation {generation} is serving")
            self._empty(connection, generation, note)

        await self._file.write(end)

    async def wait_for_news(self, timeout_s: float) -> bool:
        return await self._file.wait_for_news(timeout_s)

    async def close(self) -> None:
        await self._file.close()

    def _empty(self, connection: sqlite3.Connection, generation: int, note: str) -> None:
        for table in (*OF_GENERATIONS, *(str(one.table.__tablename__) for one in self._projections.values())):
            connection.execute(f"DELETE FROM {table} WHERE generation = ?", (generation,))  # noqa: S608
        connection.execute(ABANDON, (note, generation))


def _serving(connection: sqlite3.Connection) -> int | None:
    row = connection.execute(SELECT_SERVING).fetchone()
    return None if row is None else int(row[0])


def _state(connection: sqlite3.Connection, generation: int) -> State | None:
    row = connection.execute(SELECT_STATE, (generation,)).fetchone()
    return None if row is None else State(row[0])


def _progress(connection: sqlite3.Connection, generation: int) -> list[PartitionProgress]:
    rows = connection.execute(sqlite_inbox.SELECT_PROGRESS, (generation,)).fetchall()
    return [progress_of(row, sqlite_inbox.handled(connection, generation, TopicPartition(*row[:2]))) for row in rows]


def _rows(connection: sqlite3.Connection, generation: int, projection: Projection) -> pl.DataFrame:
    return frame_of(projection, connection.execute(columns_statement(projection), (generation,)).fetchone())
