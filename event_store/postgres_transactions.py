"""Steps on PostgreSQL."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from .postgres_database import PostgresDatabase
from .steps import Steps

if TYPE_CHECKING:
    from .postgres_database import Connection

T = TypeVar("T")

CHANNEL = "countinghouse_steps"
_NAMED = re.compile(r"(?<![:\w]):(\w+)")


async def run(connection: Connection, steps: Steps[T]) -> T:
    """Inside the caller's transaction."""
    try:
        (sql, values) = next(steps)
        while True:
            (numbered, names) = _numbered(sql)
            rows = await connection.fetch(numbered, *(values[name] for name in names))
            (sql, values) = steps.send([tuple(row) for row in rows])
    except StopIteration as end:
        result: T = end.value
        return result


@cache
def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """The statement with `$1` in place of the first name, and the names in their order."""
    names = tuple(dict.fromkeys(_NAMED.findall(sql)))
    return _NAMED.sub(lambda found: f"${names.index(found[1]) + 1}", sql), names


class StepsOnDatabase:
    """On a database that somebody else opened, and closes."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def write(self, steps: Steps[T]) -> T:
        return await self._database.transaction(lambda connection: run(connection, steps))

    async def read(self, steps: Steps[T]) -> T:
        return await self._database.read(lambda connection: run(connection, steps))


class PostgresTransactions(StepsOnDatabase):
    """On the database at `url`, whose tables are there: `countinghouse migrate` makes them."""

    def __init__(self, url: str) -> None:
        super().__init__(PostgresDatabase(url, channel=CHANNEL, most_connections=4))

    async def close(self) -> None:
        await self._database.close()
