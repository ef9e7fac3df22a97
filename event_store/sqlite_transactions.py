"""Steps on SQLite: in a file, and in memory."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from .revisions import Revisions
from .sqlite_file import SqliteFile
from .sqlite_schema import open_tables
from .steps import Steps

T = TypeVar("T")


def run(connection: sqlite3.Connection, steps: Steps[T]) -> T:
    """Inside the caller's transaction."""
    try:
        (sql, values) = next(steps)
        while True:
            (sql, values) = steps.send(connection.execute(sql, values).fetchall())
    except StopIteration as end:
        result: T = end.value
        return result


class StepsOnFile:
    """On a file that somebody else opened, and closes."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def write(self, steps: Steps[T]) -> T:
        return await self._file.write(lambda connection: run(connection, steps))

    async def read(self, steps: Steps[T]) -> T:
        return await self._file.read(lambda connection: run(connection, steps))


class SqliteTransactions(StepsOnFile):
    """On the file at `path`, which is made where it is missing, as are these tables: set → the script of its tables."""

    def __init__(self, path: Path, tables: Mapping[Revisions, str]) -> None:
        open_tables(path, tables)
        super().__init__(SqliteFile(path))

    async def close(self) -> None:
        await self._file.close()


class MemoryTransactions:
    """On tables in memory, one transaction after the other, in the thread of the event loop."""

    def __init__(self, tables: Mapping[Revisions, str]) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._connection.executescript("".join(tables.values()))

    async def write(self, steps: Steps[T]) -> T:
        await asyncio.sleep(0)
        self._connection.execute("BEGIN")
        try:
            result = run(self._connection, steps)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        await asyncio.sleep(0)
        return result

    async def read(self, steps: Steps[T]) -> T:
        return await self.write(steps)

    async def close(self) -> None:
        """Nothing to close; the steps of a file have something. What is in it stays as long as this object."""
