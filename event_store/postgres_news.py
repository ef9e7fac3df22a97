"""Notices the commits of other processes to a PostgreSQL database, by LISTEN on a connection of its own.

A hint and nothing more: a pooler may swallow it and a lost connection misses it, so whoever waits also looks for
itself from time to time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import asyncpg

LISTEN_TIMEOUT_S = 1.0
"""How long a wait may take longer than asked, when it has to connect first."""
CLOSE_TIMEOUT_S = 1.0
AGAIN_AFTER_S = 5.0
"""After a failed attempt to listen there is none for this long; the timeout of each wait goes by instead."""


class PostgresNews:
    def __init__(self, dsn: str, channel: str) -> None:
        self._dsn = dsn
        self._channel = channel
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._connecting = asyncio.Lock()
        self._changed = asyncio.Event()
        self._not_before_s = float("-inf")

    async def wait(self, timeout_s: float) -> bool:
        """True soon after the channel was notified since the last call, False after `timeout_s`.

        Also True after it began to listen: what came before is not known.
        """
        await self._listen()
        if not self._changed.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), timeout_s)
        is_news = self._changed.is_set()
        self._changed.clear()
        return is_news

    async def close(self) -> None:
        (connection, self._connection) = (self._connection, None)
        if connection is not None:
            await _end(connection)

    async def _listen(self) -> None:
        async with self._connecting:
            if self._connection is not None or time.monotonic() < self._not_before_s:
                return
            try:
                async with asyncio.timeout(LISTEN_TIMEOUT_S):
                    self._connection = await self._connected()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                self._not_before_s = time.monotonic() + AGAIN_AFTER_S
                return
            self._changed.set()

    async def _connected(self) -> asyncpg.Connection[asyncpg.Record]:
        connection = await asyncpg.connect(self._dsn, statement_cache_size=0)
        try:
            connection.add_termination_listener(self._lost)
            await connection.add_listener(self._channel, lambda *_: self._changed.set())
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _lost(self, connection: object) -> None:
        if connection is self._connection:
            self._connection = None
            self._changed.set()


async def _end(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await connection.close(timeout=CLOSE_TIMEOUT_S)
