"""A commerce database for tests: one shop's, looked at and meddled with from outside, while the shop is open.

What a test asks here is asked on a connection of its own, and the shop's event loop stands still meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import asyncpg

from event_store import postgres_database, sqlite_file
from event_store.topics import PARTITIONS
from producer_api.commerce import Commerce
from producer_api.postgres_commerce import PostgresCommerce
from producer_api.sqlite_commerce import SqliteCommerce

from . import pgbouncer
from .pgbouncer import POOLED
from .postgres import NEWEST, PostgresServer, older_versions

T = TypeVar("T")
Rows = Callable[[str], Sequence[Any]]

SQLITE = "sqlite"
POSTGRES = "postgres"
EITHER = (SQLITE, POSTGRES)
BEHIND_A_POOLER = f"{POSTGRES} pooled"
EVERY = (
    *EITHER,
    *(f"{POSTGRES} {version}" for version in older_versions()),
    *([BEHIND_A_POOLER] if pgbouncer.is_there() else []),
)
"""For what is to hold on the oldest server that is there, too, and behind a pooler."""

WRITTEN_TO = "products, orders, outbox, kept_answers"
TABLES = (
    "likes order_lines payments refund_lines refunds orders products accepted_events kept_answers "
    "outbox outbox_waiting outbox_claimed outbox_dead outbox_lane outbox_source lease"
)
EMPTY = "; ".join(f"DELETE FROM {table}" for table in TABLES.split())  # noqa: S608
"""(Emptying so many tables otherwise would take a hundred times as long.)"""
REFUSE_IN_SQLITE = "CREATE TRIGGER broken BEFORE INSERT ON {} BEGIN SELECT RAISE(ABORT, 'secret'); END"
REFUSE_IN_POSTGRES = """
CREATE FUNCTION break_it() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'secret' USING ERRCODE = 'integrity_constraint_violation'; END $$;
CREATE TRIGGER broken BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION break_it()
"""


def version_of(kind: str) -> int:
    """Of PostgreSQL."""
    if kind == BEHIND_A_POOLER:
        return POOLED
    version = kind.partition(" ")[2]
    return int(version) if version else NEWEST


class ShopDatabase(Protocol):
    def commerce(self, **options: Any) -> Commerce:
        """As another process would open it; `prepare` comes next."""
        ...

    def rows(self, statement: str) -> Sequence[Any]: ...

    def execute(self, statement: str) -> None: ...

    def snapshot(self) -> contextlib.AbstractContextManager[Rows]:
        """Any number of questions about one moment."""
        ...

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Somebody else writes, for as long as the block lasts."""
        ...

    def refusing(self, table: str) -> contextlib.AbstractContextManager[None]:
        """The table takes no row."""
        ...

    def empty(self) -> None:
        """As before anybody opened it."""
        ...

    def lose_patience(self, monkeypatch: Any) -> None:
        """Who waits for somebody else's lock waits a fifth of a second."""
        ...


class SqliteShop:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "commerce.db"

    def commerce(self, **options: Any) -> SqliteCommerce:
        return SqliteCommerce(self.file, **{"topics": PARTITIONS, **options})

    def rows(self, statement: str) -> Sequence[Any]:
        with self._connected() as connection:
            return connection.execute(statement).fetchall()

    def execute(self, statement: str) -> None:
        with self._connected() as connection:
            connection.execute(statement)

    @contextmanager
    def snapshot(self) -> Iterator[Rows]:
        with self._connected() as connection:
            connection.execute("BEGIN")
            yield lambda statement: connection.execute(statement).fetchall()

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    @contextmanager
    def refusing(self, table: str) -> Iterator[None]:
        self.execute(REFUSE_IN_SQLITE.format(table))
        yield
        self.execute("DROP TRIGGER broken")

    def empty(self) -> None:
        for file in self.file.parent.glob(f"{self.file.name}*"):
            file.unlink()

    def lose_patience(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_S", 0.2)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            yield connection


class PostgresShop:
    """A database of its own on the server, for any number of tests, each of which begins with `empty`."""

    def __init__(self, server: PostgresServer) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = server
        self._name = self._run(server.create_migrated_database())
        self.url = server.direct_url(self._name)
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._is_made = False

    def commerce(self, *, port: int = 0, **options: Any) -> PostgresCommerce:
        """`port`: of a proxy that stands before the server."""
        self._is_made = True
        url = self._server.url(self._name, port=port)
        return PostgresCommerce(url, **{"topics": PARTITIONS, **options})

    def rows(self, statement: str) -> Sequence[Any]:
        return [tuple(row) for row in self._run(self._connected().fetch(statement))]

    def execute(self, statement: str) -> None:
        self._run(self._connected().execute(statement))

    @contextmanager
    def snapshot(self) -> Iterator[Rows]:
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield self.rows
        finally:
            self.execute("ROLLBACK")

    @contextmanager
    def locked(self) -> Iterator[None]:
        self.execute(f"BEGIN; LOCK TABLE {WRITTEN_TO} IN EXCLUSIVE MODE")
        yield
        self.execute("ROLLBACK")

    @contextmanager
    def refusing(self, table: str) -> Iterator[None]:
        self.execute(REFUSE_IN_POSTGRES.format(table))
        yield
        self.execute("DROP FUNCTION break_it CASCADE")

    def empty(self) -> None:
        if self._is_made:
            self.execute(EMPTY)

    def lose_patience(self, monkeypatch: Any) -> None:
        impatient = postgres_database.BEGIN.replace(f"{postgres_database.LOCK_TIMEOUT_S}s", "200ms")
        monkeypatch.setattr(postgres_database, "BEGIN", impatient)

    def close(self) -> None:
        if self._connection is not None:
            self._run(self._connection.close())
        self._run(self._server.drop_database(self._name))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _connected(self) -> asyncpg.Connection[asyncpg.Record]:
        """Another one after the server was gone."""
        if self._connection is None or self._connection.is_closed():
            self._connection = self._run(self._connect())
        return self._connection

    async def _connect(self) -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(self.url.replace("+asyncpg", ""))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)
