"""The answers kept under idempotency keys, in PostgreSQL, in the transaction of what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from event_store.postgres_database import columns_of, rows_changed

from .books import KeptAnswer
from .commerce import Once

if TYPE_CHECKING:
    from event_store.postgres_database import Connection

SELECT_ANSWERS = """
SELECT endpoint, key, fingerprint, status, body, location
FROM unnest($1::text[], $2::text[]) AS asked (endpoint, key) JOIN kept_answers USING (endpoint, key)
"""
INSERT_ANSWERS = """
INSERT INTO kept_answers (endpoint, key, fingerprint, status, body, location, kept_at_us)
SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bytea[], $6::text[], $7::bigint[])
"""
FORGET_ANSWERS = """
WITH old AS MATERIALIZED (
    SELECT endpoint, key FROM kept_answers WHERE kept_at_us < $1 ORDER BY kept_at_us LIMIT $2 FOR UPDATE SKIP LOCKED)
DELETE FROM kept_answers AS k USING old WHERE k.endpoint = old.endpoint AND k.key = old.key
"""
"""What another process is just forgetting is left to it. Materialized: a plan may run a subquery for each row, and each
run would find other rows to lock."""


class PostgresAnswers:
    def __init__(self, onces: Sequence[Once]) -> None:
        self._asked = {(once.endpoint, once.key) for once in onces}
        self._kept: dict[tuple[str, str], KeptAnswer] = {}
        self._new: dict[tuple[str, str], int] = {}
        """When each new one was kept."""

    async def read(self, connection: Connection) -> None:
        if self._asked:
            rows = await connection.fetch(SELECT_ANSWERS, *columns_of(self._asked))
            self._kept = {(row[0], row[1]): KeptAnswer(*row[2:]) for row in rows}

    async def write(self, connection: Connection) -> None:
        if self._new:
            rows = [(*place, *self._kept[place], self._new[place]) for place in sorted(self._new)]
            await connection.execute(INSERT_ANSWERS, *columns_of(rows))

    def find(self, once: Once) -> KeptAnswer | None:
        return self._kept.get((once.endpoint, once.key))

    def keep(self, once: Once, answer: KeptAnswer, kept_at_us: int) -> None:
        self._kept[once.endpoint, once.key] = answer
        self._new[once.endpoint, once.key] = kept_at_us


async def forget_answers(connection: Connection, before_us: int, most: int) -> int:
    return rows_changed(await connection.execute(FORGET_ANSWERS, before_us, most))
