"""Leases in a PostgreSQL database, by its clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .lease import Holding, Lease
from .postgres_database import NOW_US, PostgresDatabase

if TYPE_CHECKING:
    import asyncpg

    from .postgres_database import Connection

SCHEMA = """
CREATE TABLE IF NOT EXISTS lease (
    name TEXT COLLATE "C" PRIMARY KEY,
    owner TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at_us BIGINT NOT NULL
) WITH (fillfactor = 50);
"""
CHANNEL = "countinghouse_lease"

LOCK = f"""
SELECT name, owner, expires_at_us > {NOW_US} AS alive FROM lease
WHERE name = ANY($1::text[]) ORDER BY name FOR UPDATE
"""  # noqa: S608
INSERT_MISSING = """
INSERT INTO lease (name, owner, epoch, expires_at_us)
SELECT name, '', 0, 0 FROM unnest($1::text[]) AS n (name) ORDER BY name ON CONFLICT DO NOTHING
"""
GIVE_BACK = "UPDATE lease SET owner = '', expires_at_us = 0 WHERE name = ANY($1::text[])"
TAKE = f"""
UPDATE lease SET epoch = epoch + (owner <> $2)::int, owner = $2, expires_at_us = {NOW_US} + $3
WHERE name = ANY($1::text[]) RETURNING name, owner, epoch
"""  # noqa: S608
SELECT_HOLDINGS = f"""
SELECT name, CASE WHEN expires_at_us > {NOW_US} THEN owner END, epoch FROM lease
WHERE epoch > 0 AND starts_with(name, $1) ORDER BY name
"""  # noqa: S608
TAKE_OVER = """
WITH owned AS (SELECT name FROM lease WHERE owner = $1 ORDER BY name FOR UPDATE)
UPDATE lease SET epoch = epoch + 1, expires_at_us = 0 FROM owned WHERE lease.name = owned.name
"""
RELEASE = """
WITH owned AS (SELECT name FROM lease WHERE owner = $1 ORDER BY name FOR UPDATE)
UPDATE lease SET owner = '', expires_at_us = 0 FROM owned WHERE lease.name = owned.name
"""


async def take(
    connection: Connection, names: Sequence[str], owner: str, ttl_s: float, most: int | None = None
) -> list[Lease]:
    """See `Leases.take`; inside the caller's transaction, to whose end the leases asked for stay locked.

    All rows are locked before anything is decided, in the order of their names: so nobody decides from what somebody
    else is just changing, and two who ask for the same leases can't wait for each other.
    """
    asked = sorted(set(names))
    rows = await connection.fetch(LOCK, asked)
    if len(rows) < len(asked):
        await connection.execute(INSERT_MISSING, asked)
        rows = await connection.fetch(LOCK, asked)
    (chosen, given_up) = _choice(rows, names, owner, most)
    if given_up:
        await connection.execute(GIVE_BACK, given_up)
    taken = await connection.fetch(TAKE, chosen, owner, int(ttl_s * 1e6)) if chosen else []
    return sorted((Lease(*row.values()) for row in taken), key=lambda lease: lease.name)


def _choice(
    rows: Sequence[asyncpg.Record], names: Sequence[str], owner: str, most: int | None
) -> tuple[list[str], list[str]]:
    """What the owner is to hold, and what it holds and is to give back. Its own come first, then as `names` has it."""
    own = [row["name"] for row in rows if row["owner"] == owner]
    free = {row["name"] for row in rows if row["owner"] != owner and not row["alive"]}
    wanted = [*own, *dict.fromkeys(name for name in names if name in free)]
    return wanted[:most], own[most:] if most is not None else []


class PostgresLeases:
    """The leases of one database."""

    def __init__(self, url: str) -> None:
        self._database = PostgresDatabase(url, channel=CHANNEL, most_connections=2)

    async def take(self, names: list[str], owner: str, ttl_s: float, *, most: int | None = None) -> list[Lease]:
        return await self._database.transaction(lambda connection: take(connection, names, owner, ttl_s, most))

    async def take_over(self, owner: str) -> None:
        await self._database.transaction(lambda connection: connection.execute(TAKE_OVER, owner))

    async def holdings(self, prefix: str) -> Sequence[Holding]:
        return [Holding(*row) for row in await self._database.rows(SELECT_HOLDINGS, prefix)]

    async def release(self, owner: str) -> None:
        await self._database.transaction(lambda connection: connection.execute(RELEASE, owner))

    async def close(self) -> None:
        await self._database.close()
