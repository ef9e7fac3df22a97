"""The read model in the back office's PostgreSQL database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg
import polars as pl

from event_store import postgres_inbox
from event_store.crash_points import NO_CRASH, CrashPoints
from event_store.dead_letters import DeadLetter
from event_store.errors import GenerationChanged
from event_store.inbox import Position
from event_store.postgres_database import NOW_US, PostgresDatabase, storable
from event_store.postgres_transactions import StepsOnDatabase
from event_store.record import TopicPartition

from . import postgres_figures, postgres_touched_days
from .catalogue import FIGURES
from .figures import Question, answer_of, periods_of
from .generation_statements import AT_MOST_ONE, RETIRE, SELECT_GENERATIONS, SELECT_SERVING, first_generation_statement
from .letter_steps import StepLetters
from .postgres_figures import columns_statement, extent_statement, frame_of, merge_statement
from .projection import Projection
from .read_model import (
    SELECT_VERSION,
    Changes,
    Effect,
    FiguresVersion,
    Generation,
    Increments,
    PartitionProgress,
    Snapshot,
    State,
    Sums,
    SumsAsked,
    check_can_serve,
    check_takes,
    progress_of,
    version_of,
)
from .touched_days import touch_of

if TYPE_CHECKING:
    from event_store.postgres_database import Connection

GENERATIONS = """
CREATE TABLE IF NOT EXISTS generation (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state TEXT NOT NULL,
    created_at_us BIGINT NOT NULL,
    served_at_us BIGINT,
    note TEXT NOT NULL
);
"""
SIGNING_KEY = """
CREATE TABLE IF NOT EXISTS signing_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    value BYTEA NOT NULL
);
INSERT INTO signing_key (id, value)
VALUES (1, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) ON CONFLICT DO NOTHING;
"""
TABLES = GENERATIONS + AT_MOST_ONE + SIGNING_KEY + postgres_inbox.SCHEMA + postgres_touched_days.SCHEMA
"""Beside those of the figures themselves."""
OF_GENERATIONS = (*postgres_touched_days.TABLES, *postgres_inbox.TABLES)
CHANNEL = "countinghouse_figures"
EMPTYING_TIMEOUT_S = 3600.0

SHARE_GENERATIONS = "SELECT pg_advisory_xact_lock_shared(hashtext('countinghouse generations'))"
LOCK_GENERATIONS = "SELECT pg_advisory_xact_lock(hashtext('countinghouse generations'))"
"""Batches share this lock, who changes a generation's state has it alone. Unlike row locks it is fair: a switch is not

kept waiting by batches that come after it. What it guards is read in a later statement than the one that waits.
"""
FIRST_GENERATION = first_generation_statement(NOW_US)
SELECT_STATE = "SELECT state FROM generation WHERE number = $1"
ABANDON_BUILDING = "UPDATE generation SET state = 'abandoned', note = $1 WHERE state = 'building'"
INSERT_GENERATION = f"""
INSERT INTO generation (state, created_at_us, note) VALUES ('building', {NOW_US}, $1) RETURNING number
"""  # noqa: S608
SERVE = f"UPDATE generation SET state = 'serving', served_at_us = {NOW_US}, note = $2 WHERE number = $1"  # noqa: S608
ABANDON = "UPDATE generation SET state = 'abandoned', note = $2 WHERE number = $1"
SELECT_LEFT_OVER = """
SELECT number FROM generation AS g WHERE state = 'abandoned'
    AND EXISTS (SELECT 1 FROM inbox_position AS p WHERE p.generation = g.number)
"""
SELECT_BEHIND = """
SELECT s.topic, s.number FROM inbox_position AS s
LEFT JOIN inbox_position AS t ON t.generation = $1 AND t.topic = s.topic AND t.number = s.number
WHERE s.generation = $2 AND s.next_offset > coalesce(t.next_offset, 0)
"""


class PostgresReadModel:
    """The read model in the database at `url`."""

    def __init__(self, url: str, projections: Sequence[Projection], crash_points: CrashPoints = NO_CRASH) -> None:
        self._database = PostgresDatabase(
            url,
            channel=CHANNEL,
            notify=True,
            before_commit=lambda: crash_points.passing("consumer.before_commit"),
            after_commit=lambda: crash_points.passing("consumer.after_commit"),
        )
        self.letters = StepLetters(StepsOnDatabase(self._database))
        self._projections = {projection.name: projection for projection in projections}
        self._upserts = {projection.name: merge_statement(projection) for projection in projections}

    async def serving(self) -> int:
        number = await self._database.read(_serving)
        if number is not None:
            return number

        async def first(connection: Connection) -> int:
            await connection.execute(LOCK_GENERATIONS)
            await connection.execute(FIRST_GENERATION)
            return await _serving(connection) or 0

        return await self._database.transaction(first)

    async def version(self) -> FiguresVersion:
        found = await self._database.rows(SELECT_VERSION)
        if not found:
            await self.serving()
            found = await self._database.rows(SELECT_VERSION)
        return version_of([tuple(row) for row in found])

    async def changes(self, since: FiguresVersion | None, most_rows: int) -> Changes | None:
        await self.serving()

        async def select(connection: Connection) -> Changes | None:
            now = version_of([tuple(row) for row in await connection.fetch(SELECT_VERSION)])
            return await postgres_touched_days.changes(connection, now, since, most_rows)

        return await self._database.read(select)

    async def signing_key(self) -> bytes:
        return bytes(await self._database.read(lambda connection: connection.fetchval("SELECT value FROM signing_key")))

    async def generations(self) -> Sequence[Generation]:
        rows = await self._database.rows(SELECT_GENERATIONS)
        return [Generation(row[0], State(row[1]), *row[2:]) for row in rows]

    async def position(self, generation: int, tp: TopicPartition) -> Position:
        return await self._database.read(lambda connection: postgres_inbox.position(connection, generation, tp))

    async def known_ids(self, generation: int, ids: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        return await self._database.read(lambda connection: postgres_inbox.known_ids(connection, generation, ids))

    async def commit(self, effect: Effect, *, serving: bool) -> None:
        touch = touch_of(effect)

        async def apply(connection: Connection) -> None:
            check_takes(effect.generation, await _state(connection, effect.generation), serving=serving)
            await postgres_inbox.apply(connection, effect.generation, effect.entries)
            await postgres_touched_days.note(connection, effect.generation, touch)
            await self._merge(connection, effect.generation, effect.increments)

        await self._database.transaction(apply, first=SHARE_GENERATIONS)

    async def _merge(self, connection: Connection, generation: int, increments: Increments) -> None:
        """Tables in one order for everybody, as the rows of each: so two batches can't wait for each other."""
        for name, rows in sorted(increments.items()):
            if rows.height:
                columns = [rows[column].to_list() for column in self._projections[name].columns]
                try:
                    await connection.execute(self._upserts[name], generation, *columns)
                except asyncpg.NumericValueOutOfRangeError as error:
                    raise OverflowError(f"a figure of {name} would go beyond 64 bits") from error

    async def note_stop(self, generation: int, tp: TopicPartition, why: str | None) -> None:
        await self._database.transaction(lambda c: postgres_inbox.note_stop(c, generation, tp, why))

    async def progress(self, generation: int) -> Sequence[PartitionProgress]:
        return await self._database.read(lambda connection: _progress(connection, generation))

    async def dead_letters(self, generation: int, most: int = 1000) -> Sequence[DeadLetter]:
        return await self._database.read(lambda c: postgres_inbox.dead_letters(c, generation, most))

    async def sums(self, generation: int, projections: Sequence[str], asked: SumsAsked) -> Sums:
        async def add_up(connection: Connection) -> Sums:
            chosen = [self._projections[name] for name in projections]
            rows = {one.name: await postgres_figures.sums(connection, generation, one, asked) for one in chosen}
            return Sums(rows, await _progress(connection, generation))

        return await self._database.read(add_up)

    async def figures(self, generation: int, question: Question) -> pl.DataFrame:
        async def answer(connection: Connection) -> pl.DataFrame:
            periods = periods_of(question, await self._extent(connection, generation))
            asked = SumsAsked(periods, question.products, question.by_product)
            added_up = FIGURES if periods else ()
            parts = [await postgres_figures.sums(connection, generation, one, asked) for one in added_up]
            return answer_of(question, periods, parts)

        return await self._database.read(answer)

    async def extent(self, generation: int) -> tuple[int, int] | None:
        return await self._database.read(lambda connection: self._extent(connection, generation))

    async def _extent(self, connection: Connection, generation: int) -> tuple[int, int] | None:
        row = await connection.fetchrow(extent_statement(list(self._projections.values())), generation)
        return None if row is None or row[0] is None else (row[0], row[1])

    async def rows(self, generation: int, projection: str) -> pl.DataFrame:
        asked = self._projections[projection]
        return await self._database.read(lambda connection: _rows(connection, generation, asked))

    async def snapshot(self, generation: int) -> Snapshot:
        async def take(connection: Connection) -> Snapshot:
            return Snapshot(
                await postgres_inbox.positions(connection, generation),
                {name: await _rows(connection, generation, one) for name, one in self._projections.items()},
                await postgres_inbox.dead_offsets(connection, generation),
            )

        return await self._database.read(take)

    async def begin_generation(self, note: str) -> int:
        async def begin(connection: Connection) -> int:
            await connection.execute(LOCK_GENERATIONS)
            await connection.execute(ABANDON_BUILDING, "left behind by a rebuild that died")
            return int(await connection.fetchval(INSERT_GENERATION, storable(note)))

        number = await self._database.transaction(begin)
        await self._empty_abandoned()
        return number

    async def switch(self, to: int, note: str) -> None:
        async def flip(connection: Connection) -> None:
            await connection.execute(LOCK_GENERATIONS)
            behind = await connection.fetchrow(SELECT_BEHIND, to, await _serving(connection))
            check_can_serve(to, await _state(connection, to), None if behind is None else TopicPartition(*behind))
            await connection.execute(RETIRE)
            await connection.execute(SERVE, to, storable(note))

        await self._database.transaction(flip)

    async def abandon(self, generation: int, note: str) -> None:
        async def end(connection: Connection) -> None:
            await connection.execute(LOCK_GENERATIONS)
            if generation == await _serving(connection):
                raise GenerationChanged(f"generation {generation} is serving")
            await connection.execute(ABANDON, generation, storable(note))

        await self._database.transaction(end)
        await self._empty_abandoned()

    async def wait_for_news(self, timeout_s: float) -> bool:
        return await self._database.wait_for_news(timeout_s)

    async def close(self) -> None:
        await self._database.close()

    async def _empty_abandoned(self) -> None:
        """Deletes the rows of abandoned generations, without the lock: millions of rows would keep batches waiting.

        Nothing is written to an abandoned generation any more. Positions go in the same transaction as the rest, so
        what a death in between leaves over is found by them.
        """
        tables = (*(str(one.table.__tablename__) for one in self._projections.values()), *OF_GENERATIONS)

        async def empty(connection: Connection) -> None:
            numbers = [row["number"] for row in await connection.fetch(SELECT_LEFT_OVER)]
            for table in tables if numbers else ():
                statement = f"DELETE FROM {table} WHERE generation = ANY($1::bigint[])"  # noqa: S608
                await connection.execute(statement, numbers, timeout=EMPTYING_TIMEOUT_S)

        await self._database.transaction(empty, longest_s=len(tables) * EMPTYING_TIMEOUT_S)


async def _serving(connection: Connection) -> int | None:
    number: int | None = await connection.fetchval(SELECT_SERVING)
    return number


async def _state(connection: Connection, generation: int) -> State | None:
    found = await connection.fetchval(SELECT_STATE, generation)
    return None if found is None else State(found)


async def _progress(connection: Connection, generation: int) -> list[PartitionProgress]:
    handled = await postgres_inbox.handled_ranges(connection, generation)
    rows = await connection.fetch(postgres_inbox.SELECT_PROGRESS, generation)
    return [progress_of(row, handled.get(TopicPartition(*row[:2]), {})) for row in rows]


async def _rows(connection: Connection, generation: int, projection: Projection) -> pl.DataFrame:
    columns = await connection.fetchrow(columns_statement(projection), generation)
    return frame_of(projection, columns or ())
