"""Commerce in one SQLite file, commerce.db: the shop's tables and, beside them, the outbox."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import URL
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from event_store import sqlite_outbox
from event_store.codec import Codec
from event_store.errors import EventStoreError, StorageUnusable
from event_store.sqlite_file import SqliteFile
from event_store.sqlite_outbox import SqliteOutbox
from event_store.sqlite_schema import create_schema

from .commerce import (
    Answer,
    Backlog,
    Command,
    GiveRefund,
    ListProduct,
    Once,
    Order,
    Pay,
    PlaceOrder,
    Product,
    RecordView,
    Refund,
    SetLike,
    TakeIn,
)
from .group_commit import GroupCommit
from .recording import Recording
from .refusals import Refused
from .shop_pages import ShopPages
from .sqlite_answers import forget_answers, keep_answer, kept_answer
from .sqlite_intake import take_in
from .sqlite_orders import pay, place_order
from .sqlite_products import list_product, record_view, record_views, set_like
from .sqlite_refunds import give_refund, read_refund
from .tables import CommerceRow

log = structlog.get_logger()

Call = tuple[Command, Once | None]

PERFORM: Mapping[type[Command], Callable[[sqlite3.Connection, Any, Recording], Answer]] = {
    ListProduct: list_product,
    RecordView: record_view,
    SetLike: set_like,
    PlaceOrder: place_order,
    Pay: pay,
    GiveRefund: give_refund,
    TakeIn: take_in,
}


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
        create_schema(self._path, schema())

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
        lanes = await self._outbox.lanes()
        oldest = [lane.oldest_waiting_us for lane in lanes if lane.oldest_waiting_us is not None]
        oldest_s = max(0.0, time.time() - min(oldest) / 1e6) if oldest else 0.0
        return Backlog(sum(lane.ready + lane.claimed for lane in lanes), oldest_s)

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

    async def _commit(self, calls: Sequence[Call]) -> Sequence[Answer | Exception]:
        begun_s = time.perf_counter()
        try:
            outcomes = await self._file.write(lambda connection: self._perform_all(connection, calls))
        except EventStoreError as error:
            log.warning(f"{len(calls)} requests were not recorded: {error}", action="commit_failed")
            raise
        self._committed(len(calls), time.perf_counter() - begun_s)
        return outcomes

    def _perform_all(self, connection: sqlite3.Connection, calls: Sequence[Call]) -> list[Answer | Exception]:
        """Views, by far the most, go together after all others; every call is judged for itself."""
        recording = Recording(self._codec, datetime.now(UTC))
        outcomes: list[Any] = [None] * len(calls)
        views: list[RecordView] = []
        at: list[int] = []
        for index, (command, once) in enumerate(calls):
            if once is None and type(command) is RecordView:
                views.append(command)
                at.append(index)
            else:
                outcomes[index] = _perform_one(connection, command, once, recording)
        if views:
            for index, outcome in zip(at, record_views(connection, views, recording), strict=True):
                outcomes[index] = outcome
        if recording.drafts:
            sqlite_outbox.write(connection, recording.drafts)
        return outcomes


def _perform_one(
    connection: sqlite3.Connection, command: Command, once: Once | None, recording: Recording
) -> Answer | Exception:
    """One call under a savepoint of its own: what it raises undoes it, and only it. An error of the file ends all."""
    drafted = len(recording.drafts)
    connection.execute("SAVEPOINT call")
    try:
        outcome = _perform_once(connection, command, once, recording)
    except Exception as error:
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
            raise
        connection.execute("ROLLBACK TO call")
        del recording.drafts[drafted:]
        outcome = error
    connection.execute("RELEASE call")
    return outcome


def _perform_once(
    connection: sqlite3.Connection, command: Command, once: Once | None, recording: Recording
) -> Answer | Exception:
    perform = PERFORM[type(command)]
    if once is None:
        return perform(connection, command, recording)
    kept = kept_answer(connection, once)
    if kept is not None:
        return kept
    outcome: Answer | Refused
    try:
        outcome = perform(connection, command, recording)
    except Refused as refused:  # Decided before anything was written, so only the refusal is kept.
        outcome = refused
    keep_answer(connection, once, outcome, recording)
    return outcome


def schema() -> str:
    """The DDL of the shop's tables, from their one declaration."""
    dialect = sqlite.dialect()
    statements = []
    for table in CommerceRow.metadata.sorted_tables:
        statements.append(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)))
        statements += [str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect)) for index in table.indexes]
    return "".join(f"{statement.strip()};\n" for statement in statements)
