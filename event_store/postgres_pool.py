"""A bounded pool of connections to PostgreSQL that keep the statements they have run, where that is safe.

To plan a statement takes the server longer than most of ours then run, and to describe it costs a round trip. A
statement that is kept belongs to a session of the server. A transaction pooler shares sessions, so the name of a
statement may mean somebody else's there: through one nothing is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import asyncpg

CONNECT_TIMEOUT_S = 10.0
STATEMENT_TIMEOUT_S = 60.0
"""How long this side waits for one statement before it takes the connection for dead."""
IDLE_CONNECTION_S = 300.0
CLOSE_TIMEOUT_S = 5.0
KEPT_STATEMENTS = 200
KEPT_S = 10
"""How long a statement is kept: its plan, made while a table was small, may not suit what the table has become."""
LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
"""What comes of using a connection that is no more."""


async def open_pool(dsn: str, most_connections: int) -> asyncpg.Pool[asyncpg.Record]:
    return await asyncpg.create_pool(
        dsn,
        connect=_connected,
        min_size=0,
        max_size=most_connections,
        max_inactive_connection_lifetime=IDLE_CONNECTION_S,
        statement_cache_size=KEPT_STATEMENTS,
        max_cached_statement_lifetime=KEPT_S,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=STATEMENT_TIMEOUT_S,
        reset=_nothing_to_reset,
    )


async def end_pool(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """What is still to be done on its connections has a moment to end; then they are cut, and it is rolled back."""
    try:
        with contextlib.suppress(*LOST):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await pool.close()
    finally:
        pool.terminate()


async def _connected(*arguments: Any, **options: Any) -> asyncpg.Connection[asyncpg.Record]:
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(*arguments, **options)
    try:
        if await _is_direct(connection):
            return connection
    except BaseException:
        connection.terminate()
        raise
    await connection.close()
    pooled: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
        *arguments, **options | {"statement_cache_size": 0}
    )
    return pooled


async def _is_direct(connection: asyncpg.Connection[asyncpg.Record]) -> bool:
    """Whether the process that we were told of when we connected is the one that answers: a pooler makes up its own.

    Asked as plain text, which leaves nothing behind in whatever session answers.
    """
    told = connection.get_server_pid()
    return await connection.execute(f"SELECT WHERE pg_backend_pid() = {told}") == "SELECT 1"


async def _nothing_to_reset(_: object) -> None:
    """No setting and no lock outlives a transaction here; asyncpg's own reset would cost a round trip each time."""
