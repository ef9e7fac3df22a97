"""The answers kept under idempotency keys, in SQLite, in the transaction of what they answer."""

from __future__ import annotations

import sqlite3

from .books import KeptAnswer
from .commerce import Once

SELECT_ANSWER = "SELECT fingerprint, status, body, location FROM kept_answers WHERE endpoint = ? AND key = ?"
INSERT_ANSWER = """
INSERT INTO kept_answers (endpoint, key, fingerprint, status, body, location, kept_at_us)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
FORGET_ANSWERS = """
DELETE FROM kept_answers WHERE (endpoint, key) IN (
    SELECT endpoint, key FROM kept_answers WHERE kept_at_us < ? ORDER BY kept_at_us LIMIT ?)
"""


class SqliteAnswers:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, once: Once) -> KeptAnswer | None:
        row = self._connection.execute(SELECT_ANSWER, (once.endpoint, once.key)).fetchone()
        return None if row is None else KeptAnswer(*row)

    def keep(self, once: Once, answer: KeptAnswer, kept_at_us: int) -> None:
        self._connection.execute(INSERT_ANSWER, (once.endpoint, once.key, *answer, kept_at_us))


def forget_answers(connection: sqlite3.Connection, before_us: int, most: int) -> int:
    return connection.execute(FORGET_ANSWERS, (before_us, most)).rowcount
