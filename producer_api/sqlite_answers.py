"""Answers kept under their idempotency keys, in the transaction of what they answer.

Kept are successes and the refusals that the transaction itself decides (unknown, in conflict, more than was paid):
the same call then gets the same answer for as long as it is kept. A call that never got so far (its body can't be
read, the database is away) leaves nothing, and may come again with the same key.
"""

from __future__ import annotations

import sqlite3

import msgspec

from .commerce import Answer, Once, encode
from .recording import Recording, microseconds
from .refusals import KEY_REUSED, KINDS, Refusal, Refused

SELECT_ANSWER = "SELECT fingerprint, status, body, location FROM kept_answers WHERE endpoint = ? AND key = ?"
INSERT_ANSWER = """
INSERT INTO kept_answers (endpoint, key, fingerprint, status, body, location, kept_at_us)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
FORGET_ANSWERS = """
DELETE FROM kept_answers WHERE (endpoint, key) IN (
    SELECT endpoint, key FROM kept_answers WHERE kept_at_us < ? ORDER BY kept_at_us LIMIT ?)
"""


def kept_answer(connection: sqlite3.Connection, once: Once) -> Answer | None:
    """The answer this call got before. Raises Refused: the kept refusal, or that the key had another body."""
    row = connection.execute(SELECT_ANSWER, (once.endpoint, once.key)).fetchone()
    if row is None:
        return None
    (fingerprint, status, body, location) = row
    if fingerprint != once.fingerprint:
        raise Refused(KEY_REUSED, "A key stands for one call: the same body again, or another key.")
    if status < 400:
        return Answer(status, body, location, replayed=True)
    refusal = msgspec.json.decode(body, type=Refusal)
    raise Refused(KINDS[refusal.slug], refusal.detail, refusal.errors, replayed=True)


def keep_answer(connection: sqlite3.Connection, once: Once, outcome: Answer | Refused, recording: Recording) -> None:
    kept: tuple[int, bytes, str | None]
    if isinstance(outcome, Refused):
        kept = (outcome.kind.status, encode(outcome.refusal), None)
    else:
        kept = (outcome.status, outcome.body, outcome.location)
    values = (once.endpoint, once.key, once.fingerprint, *kept, microseconds(recording.now))
    connection.execute(INSERT_ANSWER, values)


def forget_answers(connection: sqlite3.Connection, before_us: int, most: int) -> int:
    return connection.execute(FORGET_ANSWERS, (before_us, most)).rowcount
