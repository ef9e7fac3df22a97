"""Leases in a SQLite file, for the tables whose owners they name."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from .lease import Holding, Lease
from .revisions import LEASES
from .sqlite_connection import NOW_US
from .sqlite_file import SqliteFile
from .sqlite_schema import open_tables

SCHEMA = """
CREATE TABLE IF NOT EXISTS lease (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    expires_at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

TAKE = f"""
INSERT INTO lease (name, owner, epoch, expires_at_us)
SELECT value, :owner, 1, {NOW_US} + :ttl_us FROM json_each(:names) WHERE true
ON CONFLICT (name) DO UPDATE SET
    epoch = epoch + (owner <> excluded.owner), owner = excluded.owner, expires_at_us = excluded.expires_at_us
WHERE owner = excluded.owner OR expires_at_us <= {NOW_US}
"""  # noqa: S608
SELECT_HELD = f"""
SELECT name, owner, epoch FROM lease
WHERE owner = :owner AND expires_at_us > {NOW_US} AND name IN (SELECT value FROM json_each(:names)) ORDER BY name
"""  # noqa: S608
SELECT_HOLDINGS = f"""
SELECT name, CASE WHEN expires_at_us > {NOW_US} THEN owner END, epoch FROM lease
WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name
"""  # noqa: S608
TAKE_OVER = "UPDATE lease SET epoch = epoch + 1, expires_at_us = 0 WHERE owner = ?"
RELEASE = "UPDATE lease SET owner = '', expires_at_us = 0 WHERE owner = ?"
GIVE_BACK = """
UPDATE lease SET owner = '', expires_at_us = 0 WHERE name IN (SELECT value FROM json_each(?))
"""
IS_CURRENT = "SELECT EXISTS (SELECT 1 FROM lease WHERE name = ? AND epoch = ?)"


def take(
    connection: sqlite3.Connection, names: Sequence[str], owner: str, ttl_s: float, most: int | None = None
) -> list[Lease]:
    """See `Leases.take`; inside the caller's transaction."""
    wanted = {"owner": owner, "names": json.dumps(list(names)), "ttl_us": int(ttl_s * 1e6)}
    if most is not None:
        held = [row[0] for row in connection.execute(SELECT_HELD, wanted)]
        connection.execute(GIVE_BACK, (json.dumps(held[most:]),))
        _take_more(connection, held[:most], names, wanted, most)
    else:
        connection.execute(TAKE, wanted)
    return [Lease(*row) for row in connection.execute(SELECT_HELD, wanted)]


def _take_more(
    connection: sqlite3.Connection, kept: list[str], names: Sequence[str], wanted: dict[str, object], most: int
) -> None:
    for name in [*kept, *(name for name in names if name not in kept)]:
        if most <= 0:
            break
        most -= connection.execute(TAKE, {**wanted, "names": json.dumps([name])}).rowcount


def is_current(connection: sqlite3.Connection, name: str, epoch: int) -> bool:
    return bool(connection.execute(IS_CURRENT, (name, epoch)).fetchone()[0])


class SqliteLeases:
    """The leases of one file."""

    def __init__(self, path: Path) -> None:
        open_tables(path, {LEASES: SCHEMA})
        self._file = SqliteFile(path)

    async def take(self, names: list[str], owner: str, ttl_s: float, *, most: int | None = None) -> list[Lease]:
        return await self._file.write(lambda connection: take(connection, names, owner, ttl_s, most))

    async def take_over(self, owner: str) -> None:
        await self._file.write(lambda connection: connection.execute(TAKE_OVER, (owner,)).rowcount)

    async def holdings(self, prefix: str) -> Sequence[Holding]:
        rows = await self._file.read(lambda connection: connection.execute(SELECT_HOLDINGS, (prefix,)).fetchall())
        return [Holding(*row) for row in rows]

    async def release(self, owner: str) -> None:
        await self._file.write(lambda connection: connection.execute(RELEASE, (owner,)).rowcount)

    async def close(self) -> None:
        await self._file.close()
