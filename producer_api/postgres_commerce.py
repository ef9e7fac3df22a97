"""Commerce in a PostgreSQL database: the shop's tables and, beside them, the outbox.

Any number of API processes share it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from event_store import postgres_outbox
from event_store.codec import Codec
from event_store.errors import EventStoreError, StorageUnavailable, StorageUnusable
from event_store.postgres_database import PostgresDatabase
from event_store.postgres_outbox_statements import CHANNEL

from . import postgres_pages as pages
from .bookkeeping import Call, Outcome
from .commerce import Answer, Backlog, Command, Once, Order, Product, Refund
from .group_commit import GroupCommit
from .postgres_answers import forget_answers
from .postgres_group import PostgresGroup

if TYPE_CHECKING:
    from event_store.postgres_database import Connection

MOST_CONNECTIONS = 8
"""One commits the groups, the others serve pages."""
CHECK_WRITABLE = "DELETE FROM kept_answers WHERE false"
"""Refused by a server that only follows another."""

log = structlog.get_logger()


class PostgresCommerce:
    """The database at `url`; `topics` (name → partitions) are the lanes of its outbox."""

    def __init__(
        self,
        url: str,
        topics: Mapping[str, int],
        *,
        before_commit: Callable[[], None] = lambda: None,
        after_commit: Callable[[], None] = lambda: None,
        committed: Callable[[int, float], None] = lambda size, seconds: None,
    ) -> None:
        """`committed` is told the size of each group and how long its transaction took."""
        self._topics = topics
        self._codec = Codec()
        self._committed = committed
        self._lanes: dict[str, int] = {}
        self._database = PostgresDatabase(
            url,
            channel=CHANNEL,
            most_connections=MOST_CONNECTIONS,
            prepare=self._prepare,
            before_commit=before_commit,
            after_commit=after_commit,
        )
        self._group: GroupCommit[Call, Answer] = GroupCommit(self._commit)

    async def prepare(self) -> None:
        """A server that is away is left to the first call that finds it there."""
        try:
            await self._database.read(postgres_outbox.partitions)
        except StorageUnavailable as error:
            log.warning(f"Calls are refused until the database is there: {error}", action="database_away")

    async def perform(self, command: Command, once: Once | None = None) -> Answer:
        return await self._group.join((command, once))

    async def product(self, product_id: str) -> Product | None:
        return await self._database.read(lambda connection: pages.product(connection, product_id))

    async def products(self, after: str, most: int) -> Sequence[Product]:
        return await self._database.read(lambda connection: pages.products(connection, after, most))

    async def order(self, order_id: str) -> Order | None:
        return await self._database.read(lambda connection: pages.order(connection, order_id))

    async def refund(self, refund_id: str) -> Refund | None:
        return await self._database.read(lambda connection: pages.refund(connection, refund_id))

    async def backlog(self) -> Backlog:
        return Backlog.of(await self._database.read(postgres_outbox.lane_status))

    async def check_writable(self) -> None:
        async def check(connection: Connection) -> int:
            await connection.execute(CHECK_WRITABLE)
            return sum((await postgres_outbox.partitions(connection)).values())

        lanes = await self._database.transaction(check)
        if lanes < sum(self._topics.values()):
            place = self._database.place
            raise StorageUnusable(f"{place}: the outbox has {lanes} lanes. Start the API anew to make them.")

    async def forget_answers(self, keep_s: float, most: int = 1000) -> int:
        before_us = int((time.time() - keep_s) * 1e6)
        return await self._database.transaction(lambda connection: forget_answers(connection, before_us, most))

    async def close(self) -> None:
        await self._group.close()
        await self._database.close()

    async def _prepare(self, connection: Connection) -> None:
        await postgres_outbox.prepare(connection, self._topics)
        self._lanes = await postgres_outbox.partitions(connection)

    async def _commit(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        begun_s = time.perf_counter()
        try:
            outcomes = await self._perform_all(calls)
        except EventStoreError as error:
            log.warning(f"{len(calls)} requests were not recorded: {error}", action="commit_failed")
            raise
        self._committed(len(calls), time.perf_counter() - begun_s)
        return outcomes

    async def _perform_all(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        """All together; where that fails for another reason than a database that is away, each alone."""
        try:
            return await self._together(calls)
        except StorageUnavailable:
            raise
        except Exception as error:
            if len(calls) == 1:
                raise
            log.warning(f"{len(calls)} requests are recorded one by one: {error}", action="group_failed")
        outcomes: list[Outcome] = []
        while len(outcomes) < len(calls):
            outcomes.append(await self._alone(calls[len(outcomes)]))
            if isinstance(outcomes[-1], StorageUnavailable):  # The others would wait as long, one after the other.
                outcomes += outcomes[-1:] * (len(calls) - len(outcomes))
        return outcomes

    async def _alone(self, call: Call) -> Outcome:
        try:
            return (await self._together([call]))[0]
        except Exception as error:
            return error

    async def _together(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        return await PostgresGroup(self._database, self._codec, lambda: self._lanes, calls).perform()
