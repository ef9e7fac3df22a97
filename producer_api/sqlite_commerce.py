"""Commerce in one SQLite file, commerce.db: the shop's tables and, beside them, the outbox."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import URL
from sqlalchemy.dialects import sqlite

from event_store import sqlite_outbox
from event_store.codec import Codec
from event_store.errors import EventStoreError, StorageUnusable
from event_store.sqlite_file import SqliteFile
from event_store.sqlite_outbox import SqliteOutbox
from event_store.sqlite_schema import open_tables

from .bookkeeping import Call, Outcome, perform, perform_all
from .books import Books
from .commerce import Answer, Backlog, Command, Once, Order, Product, Refund
from .group_commit import GroupCommit
from .recording import Recording
from .revisions import COMMERCE
from .shop_pages import ShopPages
from .sqlite_answers import SqliteAnswers, forget_answers
from .sqlite_intake import SqliteTakenIn
from .sqlite_orders import SqliteOrders
from .sqlite_products import SqliteProducts
from .sqlite_refunds import SqliteRefunds, read_refund
from .tables import ddl

log = structlog.get_logger()


class SqliteCommerce:
    """The file at `path`; `topics` (name → partitions) are the lanes of its outbox. `prepare` comes before the rest."""

    def __init__(
        self,
        path: Path,
        topics: Mapping[str, int],
        *,
        before_commit: Callable[[], None] = lambda: None,
        after_commit: Callable[[], None] = lambda: None,
        committed: Callable[[int, float], None] = lambda size, seconds: None,
    ) -> None:
        """`committed` is told the size of each group and how long its transaction took."""
        self._path = path
        self._topics = topics
        self._codec = Codec()
        self._committed = committed
        self._file = SqliteFile(path, before_commit=before_commit, after_commit=after_commit)
        self._outbox = SqliteOutbox(path, topics)
        self._pages = ShopPages(URL.create("sqlite+aiosqlite", database=str(path)))
        self._group: GroupCommit[Call, Answer] = GroupCommit(self._commit)

    async def prepare(self) -> None:
        """Makes the tables and the lanes where they are missing."""
        open_tables(self._path, {COMMERCE: schema()})

    async def perform(self, command: Command, once: Once | None = None) -> Answer:
        return await self._group.join((command, once))

    async def product(self, product_id: str) -> Product | None:
        return await self._pages.product(product_id)

    async def products(self, after: str, most: int) -> Sequence[Product]:
        return await self._pages.products(after, most)

    async def order(self, order_id: str) -> Order | None:
        return await self._pages.order(order_id)

    async def refund(self, refund_id: str) -> Refund | None:
        return await self._file.read(lambda connection: read_refund(connection, refund_id))

    async def backlog(self) -> Backlog:
        return Backlog.of(await self._outbox.lanes())

    async def check_writable(self) -> None:
        await self._file.write(lambda connection: None)
        lanes = await self._outbox.lanes()
        if len(lanes) < sum(self._topics.values()):
            raise StorageUnusable(f"{self._path}: the outbox has {len(lanes)} lanes. Start the API anew to make them.")

    async def forget_answers(self, keep_s: float, most: int = 1000) -> int:
        before_us = int((time.time() - keep_s) * 1e6)
        return await self._file.write(lambda connection: forget_answers(connection, before_us, most))

    async def close(self) -> None:
        await self._group.close()
        await self._pages.close()
        await self._outbox.close()
        await self._file.close()

    async def _commit(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        begun_s = time.perf_counter()
        try:
            outcomes = await self._file.write(lambda connection: self._perform_all(connection, calls))
        except EventStoreError as error:
            log.warning(f"{len(calls)} requests were not recorded: {error}", action="commit_failed")
            raise
        self._committed(len(calls), time.perf_counter() - begun_s)
        return outcomes

    def _perform_all(self, connection: sqlite3.Connection, calls: Sequence[Call]) -> list[Outcome]:
        books = _books(connection, Recording(self._codec, datetime.now(UTC)))
        outcomes = perform_all(books, calls, partial(_perform_one, connection))
        if books.recording.drafts:
            sqlite_outbox.write(connection, books.recording.drafts)
        return outcomes


def _books(connection: sqlite3.Connection, recording: Recording) -> Books:
    return Books(
        SqliteProducts(connection),
        SqliteOrders(connection),
        SqliteRefunds(connection),
        SqliteTakenIn(connection),
        SqliteAnswers(connection),
        recording,
    )


def _perform_one(connection: sqlite3.Connection, books: Books, command: Command, once: Once | None) -> Outcome:
    """One call under a savepoint of its own: what it raises undoes it, and only it. An error of the file ends all."""
    drafted = len(books.recording.drafts)
    connection.execute("SAVEPOINT call")
    outcome: Outcome
    try:
        outcome = perform(books, command, once)
    except Exception as error:
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
            raise
        connection.execute("ROLLBACK TO call")
        del books.recording.drafts[drafted:]
        outcome = error
    connection.execute("RELEASE call")
    return outcome


def schema() -> str:
    """The DDL of the shop's tables, from their one declaration."""
    return ddl(sqlite.dialect())
