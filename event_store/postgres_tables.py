"""A PostgreSQL database filled with the rows of a SQLite file, and held against them.

All rows come in one transaction, so the database has all of them or none: whoever begins again finds it as empty as
before, and nobody ever works on a part.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from .errors import TargetDiffers
from .postgres_address import dsn_and_place
from .postgres_database import SCHEMA_LOCK, connect, storable
from .postgres_errors import translated
from .sqlite_tables import SqliteTables, Table

if TYPE_CHECKING:
    import asyncpg

NOT_COPIED = ("lease", "signing_key")
"""Nobody holds anything in the new place yet, and it signs with a key of its own."""
CHUNK_ROWS = 5000

SELECT_COLUMNS = """
SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum) FROM pg_class AS c JOIN pg_attribute AS a
    ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
    AND NOT starts_with(c.relname, 'alembic_version')
GROUP BY c.relname
"""
SELECT_COUNTED = """
SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND a.attidentity <> ''
"""
SET_NUMBER = "SELECT setval(pg_get_serial_sequence($1, $2), $3)"


@dataclass(frozen=True, slots=True)
class Compared:
    rows: Mapping[str, int]
    """Table → its rows, all of which are equal in both."""
    left_out: Sequence[str]
    """Tables of the file's that the database knows nothing of: an operator's own, say."""


async def fill(source: SqliteTables, url: str, before_commit: Callable[[], None] = lambda: None) -> bool:
    """Copies every row of every table that the database has. Whether there was anything to do: not where it has rows.

    Raises StorageUnavailable and StorageUnusable: nothing was kept, unless the COMMIT itself failed.
    """
    async with _transaction(url) as connection:
        await connection.execute(SCHEMA_LOCK)  # Whoever fills it at the same time comes before or after.
        tables = await _tables(connection, source)
        if await _has_rows(connection, tables):
            return False
        for table, columns in tables:
            await _fill(connection, source, table, columns)
        await _count_on(connection, source)
        before_commit()
    return True


async def compare(source: SqliteTables, url: str) -> Compared:
    """Holds every row against the file's. Raises TargetDiffers at the first that isn't equal."""
    async with _transaction(url) as connection:
        tables = await _tables(connection, source)
        rows = {table.name: await _compare(connection, source, table, columns) for table, columns in tables}
    others = [one.name for one in source.tables() if one.name not in rows and one.name not in NOT_COPIED]
    return Compared(rows, [name for name in others if not name.startswith("alembic_version")])


@asynccontextmanager
async def _transaction(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    (_, place) = dsn_and_place(url)
    try:
        connection = await connect(url)
        try:
            async with connection.transaction(isolation="repeatable_read"):
                yield connection
        finally:
            await connection.close()
    except Exception as error:
        seen = translated(error, place)
        if seen is error:
            raise
        raise seen from error


async def _tables(
    connection: asyncpg.Connection[asyncpg.Record], source: SqliteTables
) -> list[tuple[Table, Sequence[str]]]:
    """The tables to copy, each with its columns, in an order in which rows may come."""
    rows = await connection.fetch(SELECT_COLUMNS)
    columns: dict[str, Sequence[str]] = {row[0]: row[1] for row in rows}
    return [
        (table, columns[table.name])
        for table in source.tables()
        if table.name in columns and table.name not in NOT_COPIED
    ]


async def _has_rows(
    connection: asyncpg.Connection[asyncpg.Record], tables: Sequence[tuple[Table, Sequence[str]]]
) -> bool:
    parts = " OR ".join(f'EXISTS (SELECT 1 FROM "{table.name}")' for table, _ in tables)  # noqa: S608
    return bool(await connection.fetchval(f"SELECT {parts}"))


async def _fill(
    connection: asyncpg.Connection[asyncpg.Record], source: SqliteTables, table: Table, columns: Sequence[str]
) -> None:
    """What triggers do for a new row was done when the row was new."""
    await connection.execute(f'ALTER TABLE "{table.name}" DISABLE TRIGGER USER')
    rows = _storable(source.rows(table, columns))
    await connection.copy_records_to_table(table.name, records=rows, columns=list(columns), timeout=None)
    await connection.execute(f'ALTER TABLE "{table.name}" ENABLE TRIGGER USER')


def _storable(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    return (tuple(storable(cell) if type(cell) is str else cell for cell in row) for row in rows)


async def _count_on(connection: asyncpg.Connection[asyncpg.Record], source: SqliteTables) -> None:
    """A number that was given once isn't given again, though its row be gone."""
    given = source.last_numbers()
    for table, column in await connection.fetch(SELECT_COUNTED):
        largest = await connection.fetchval(f'SELECT coalesce(max("{column}"), 0) FROM "{table}"')  # noqa: S608
        if last := max(largest, given.get(table, 0)):
            await connection.execute(SET_NUMBER, table, column, last)


async def _compare(
    connection: asyncpg.Connection[asyncpg.Record], source: SqliteTables, table: Table, columns: Sequence[str]
) -> int:
    selected = ", ".join(f'"{column}"' for column in columns)
    key = ", ".join(f'"{name}"{_BY_BYTES if table.columns[name] == "TEXT" else ""}' for name in table.key)
    cursor = await connection.cursor(f'SELECT {selected} FROM "{table.name}" ORDER BY {key}')  # noqa: S608
    ours = _storable(source.rows(table, columns))
    compared = 0
    while True:
        expected = list(islice(ours, CHUNK_ROWS))
        found = [tuple(row) for row in await cursor.fetch(CHUNK_ROWS)]
        if expected != found:
            raise TargetDiffers(_difference(table, columns, expected, found))
        compared += len(expected)
        if len(expected) < CHUNK_ROWS:
            return compared


_BY_BYTES = ' COLLATE "C"'


def _difference(
    table: Table, columns: Sequence[str], expected: Sequence[tuple[Any, ...]], found: Sequence[tuple[Any, ...]]
) -> str:
    at = next((i for i, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]), None)
    rows: Sequence[tuple[Any, ...]] = expected if len(expected) > len(found) else found
    row = rows[min(len(expected), len(found))] if at is None else expected[at]
    key: Mapping[str, Any] = {name: row[list(columns).index(name)] for name in table.key}
    return (
        f"table {table.name} differs at {', '.join(f'{name} {value!r}' for name, value in key.items())}: the new "
        "database was used already, by a shop or by another program. Nothing of it was changed. Name an empty one."
    )
