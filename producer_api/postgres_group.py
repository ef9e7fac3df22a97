"""A group of calls in one PostgreSQL transaction, tried until its outcome is known.

What the whole group needs is read first, rows that it may change under their locks: products before orders, each in
the order of their ids. It is decided in memory, and what it changes is written table by table, in the order of their
keys. So the groups of several processes wait for each other and rarely meet in a deadlock; then, or where two were the
first to write one key, the whole group is done again, with what the other one left.

A COMMIT that isn't answered is read back. The next attempt takes the same turn, so it begins when the server has ended
the one before, and looks for an outbox row that this one wrote. A group that wrote no such row is simply done again:
all it can have left are orders, which are then found, and answers, which are then given again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from event_store import postgres_outbox
from event_store.backoff import Backoff
from event_store.codec import Codec, Draft
from event_store.errors import StorageUnavailable
from event_store.postgres_database import PostgresDatabase
from event_store.postgres_errors import is_contention

from .bookkeeping import Call, Outcome, perform, perform_all
from .books import Books
from .postgres_answers import PostgresAnswers
from .postgres_intake import PostgresTakenIn
from .postgres_orders import PostgresOrders
from .postgres_products import PostgresProducts
from .postgres_refunds import PostgresRefunds
from .recording import Recording

if TYPE_CHECKING:
    from event_store.postgres_database import Connection

MOST_MEETINGS = 10
"""How often a group may meet others before it is given up."""
READ_BACK_S = 5.0
"""How long it is tried to learn what became of a COMMIT; a server that crashed is back by then."""
PAUSE = Backoff(first_s=0.01, cap_s=0.25)
TAKE_TURN = "SELECT pg_advisory_xact_lock({})"
"""The attempts of one group go one after the other: whoever reads back what became of one begins when the server has
ended it, also where its connection is long lost."""


class _Committing(NamedTuple):
    """An attempt that came as far as its COMMIT."""

    outcomes: list[Outcome]
    drafts: Sequence[Draft]
    row_id: int | None
    """Of one of its outbox rows."""

    async def is_kept(self, connection: Connection) -> bool:
        return self.row_id is not None and await postgres_outbox.is_written(connection, self.row_id, self.drafts)


class PostgresGroup:
    """`lanes` gives what `postgres_outbox.partitions` said, for `write` to bring up to date."""

    def __init__(
        self, database: PostgresDatabase, codec: Codec, lanes: Callable[[], dict[str, int]], calls: Sequence[Call]
    ) -> None:
        self._database = database
        self._codec = codec
        self._lanes = lanes
        self._calls = calls
        self._take_turn = TAKE_TURN.format(random.getrandbits(62))
        self._committing: _Committing | None = None
        self._give_up_at_s: float | None = None

    async def perform(self) -> list[Outcome]:
        """The outcome of each call, after COMMIT.

        Raises what the transaction did, and then nothing was kept; only StorageUnavailable leaves that open.
        """
        attempts = 0
        while True:
            try:
                return await self._database.transaction(self._attempt, first=self._take_turn)
            except Exception as error:
                attempts += 1
                if not self._goes_on(error, attempts):
                    raise
            await asyncio.sleep(PAUSE.wait_s(attempts))

    def _goes_on(self, error: Exception, attempts: int) -> bool:
        if self._committing is None or not isinstance(error, StorageUnavailable):
            return is_contention(error) and attempts <= MOST_MEETINGS
        if self._give_up_at_s is None:
            self._give_up_at_s = time.monotonic() + READ_BACK_S
        return time.monotonic() < self._give_up_at_s

    async def _attempt(self, connection: Connection) -> list[Outcome]:
        if self._committing is not None and await self._committing.is_kept(connection):
            return self._committing.outcomes
        self._committing = None
        page = _Page(self._calls, Recording(self._codec, datetime.now(UTC)))
        await page.read(connection)
        outcomes = perform_all(page.books, self._calls, perform)
        await page.write(connection)
        drafts = page.books.recording.drafts
        self._committing = _Committing(outcomes, drafts, await postgres_outbox.write(connection, drafts, self._lanes()))
        return outcomes


class _Page:
    """The part of the books that a group needs."""

    def __init__(self, calls: Sequence[Call], recording: Recording) -> None:
        commands = [command for command, _ in calls]
        products = PostgresProducts(commands)
        orders = PostgresOrders(commands)
        refunds = PostgresRefunds(commands)
        taken_in = PostgresTakenIn(commands)
        answers = PostgresAnswers([once for _, once in calls if once is not None])
        self.books = Books(products, orders, refunds, taken_in, answers, recording)
        self._locked = (products, orders)
        self._parts = (products, orders, refunds, taken_in, answers)

    async def read(self, connection: Connection) -> None:
        """What is read after the locks is as whoever held them before has left it."""
        for locked in self._locked:
            await locked.lock(connection)
        for part in self._parts:
            await part.read(connection)

    async def write(self, connection: Connection) -> None:
        for part in self._parts:
            await part.write(connection)
