"""One PostgreSQL database: a bounded pool of connections, and every use of it a transaction.

Nothing outlives a transaction on a pooled connection: no settings, no locks, and prepared statements only where no
pooler stands in between (postgres_pool.py); so a transaction pooler may. `transaction` repeats nothing by itself: its
caller knows whether its work may run again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import asyncpg

from .postgres_address import dsn_and_place
from .postgres_errors import translated
from .postgres_news import PostgresNews
from .postgres_pool import CONNECT_TIMEOUT_S, LOST, end_pool, open_pool

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Work = Callable[["Connection"], Awaitable[T]]
"""What is done in one transaction."""

LOCK_TIMEOUT_S = 10
"""How long a statement waits for another transaction's lock."""
PAUSED_S = 30
"""A process that is paused inside a transaction loses it, and its locks, after this long."""
LONGEST_S = 300
"""How long a transaction may take: to a server, one whose process is paused within a statement is at work, not idle.

As long as five statements of which each takes the longest that this side waits for it.
"""
LIMITS_TRANSACTIONS = 17
"""The first version of PostgreSQL that ends those which take too long."""

BEGIN = f"""
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'; SET LOCAL idle_in_transaction_session_timeout = '{PAUSED_S}s'
"""
BEGIN_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
NOW_US = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""SQL for the database's clock, in microseconds since 1970 UTC."""

SCHEMA_LOCK = "SELECT pg_advisory_xact_lock(hashtext('countinghouse schema'))"
"""Before anything else in a transaction that changes the schema."""


class PostgresDatabase:
    """The database at `url`, whose tables are there: `countinghouse migrate` makes them. Use from one event loop.

    With `notify` each committed transaction is news at `channel`; without it that is left to triggers. `prepare` runs
    once, at the first use, in a transaction.
    """

    def __init__(
        self,
        url: str,
        *,
        channel: str,
        notify: bool = False,
        most_connections: int = 8,
        prepare: Work[None] | None = None,
        before_commit: Callable[[], None] = lambda: None,
        after_commit: Callable[[], None] = lambda: None,
    ) -> None:
        (self._dsn, self.place) = dsn_and_place(url)
        self._prepare = prepare
        self._commit = f"NOTIFY {channel}; COMMIT" if notify else "COMMIT"
        self._most_connections = most_connections
        self._before_commit = before_commit
        self._after_commit = after_commit
        self._news = PostgresNews(self._dsn, channel)
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()

    async def transaction(self, work: Work[T], *, first: str = "", longest_s: float | None = None) -> T:
        """Runs `work` in a READ COMMITTED transaction and returns its result after COMMIT.

        Raises what `work` raises, after rolling it back; StorageUnavailable when the database is out of reach, busy
        or full: nothing was kept, unless the COMMIT itself failed, whose outcome the caller must read back; and
        StorageUnusable where waiting won't help. `first` is SQL without values that opens the transaction, such as a
        lock that the statements of the work are to come after: it takes no round trip of its own. `longest_s` is for
        work that may take longer than `LONGEST_S`.
        """
        async with self._connection() as connection, self._translated():
            limits = _limits(connection, LONGEST_S if longest_s is None else longest_s)
            return await self._run(connection, work, "; ".join(filter(None, [BEGIN, limits, first])))

    async def read(self, work: Work[T]) -> T:
        """Runs `work`, which only reads; all its statements see one moment."""
        async with self._connection() as connection, self._translated():
            async with _begun(connection, BEGIN_SNAPSHOT):
                result = await work(connection)
                await _commit(connection)
            return result

    async def rows(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """The answer to one statement that only reads; a transaction around it would take two more round trips."""
        async with self._connection() as connection, self._translated():
            return await connection.fetch(statement, *values)

    async def wait_for_news(self, timeout_s: float) -> bool:
        """True soon after a commit that notified the channel since the last call, False after `timeout_s`.

        A hint. The first call connects, for which it may take a second longer.
        """
        return await self._news.wait(timeout_s)

    async def close(self) -> None:
        await self._news.close()
        async with self._opening:
            (pool, self._pool) = (self._pool, None)
        if pool is not None:
            await end_pool(pool)

    async def _run(self, connection: Connection, work: Work[T], begin: str) -> T:
        async with _begun(connection, begin):
            result = await work(connection)
            self._before_commit()
            await _commit(connection, self._commit)
        self._after_commit()
        return result

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with self._translated():
            pool = await self._opened()
            connection = await pool.acquire(timeout=2 * CONNECT_TIMEOUT_S)
        try:
            yield connection
        finally:
            # A connection that can't be given back is closed, and what was done on it is settled by then.
            with contextlib.suppress(*LOST):
                await pool.release(connection, timeout=CONNECT_TIMEOUT_S)

    async def _opened(self) -> asyncpg.Pool[asyncpg.Record]:
        if self._pool is not None:
            return self._pool
        async with self._opening:
            if self._pool is None:
                pool = await open_pool(self._dsn, self._most_connections)
                try:
                    await self._prepared(pool)
                except BaseException:
                    pool.terminate()
                    raise
                self._pool = pool
            return self._pool

    async def _prepared(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        if self._prepare is not None:
            async with pool.acquire() as connection, _begun(connection, BEGIN):
                await self._prepare(connection)
                await _commit(connection)

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except Exception as error:
            seen = translated(error, self.place)
            if seen is error:
                raise
            raise seen from error


def _limits(connection: Connection, longest_s: float) -> str:
    if connection.get_server_version().major < LIMITS_TRANSACTIONS:
        return ""
    return f"SET LOCAL transaction_timeout = '{longest_s:.0f}s'"


@asynccontextmanager
async def _begun(connection: Connection, begin: str) -> AsyncIterator[None]:
    """A transaction that its body commits, and that is rolled back whatever keeps the body from it."""
    try:
        await connection.execute(begin)
        yield
    except BaseException:
        # Where even this fails the connection is lost, and the transaction with it.
        with contextlib.suppress(*LOST):
            if not connection.is_closed():
                await connection.execute("ROLLBACK", timeout=CONNECT_TIMEOUT_S)
        raise


async def _commit(connection: Connection, commit: str = "COMMIT") -> None:
    """PostgreSQL answers the COMMIT of a failed transaction with ROLLBACK, which is no error to the driver."""
    if await connection.execute(commit) != "COMMIT":
        raise RuntimeError("the work passed over a failed statement, so nothing of it was kept")


async def connect(url: str) -> asyncpg.Connection[asyncpg.Record]:
    """A connection of its own, for work outside of a pool."""
    return await asyncpg.connect(dsn_and_place(url)[0], timeout=CONNECT_TIMEOUT_S, statement_cache_size=0)


def columns_of(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows (at least one) as one list a column, as `unnest` takes them."""
    return [list(column) for column in zip(*rows, strict=True)]


def rows_changed(status: str) -> int:
    """How many rows a statement changed, by the server's word for it: `UPDATE 3`, `INSERT 0 3`."""
    return int(status.rpartition(" ")[2])


def storable(text: str) -> str:
    """The text as PostgreSQL can keep it: no NUL, no lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
