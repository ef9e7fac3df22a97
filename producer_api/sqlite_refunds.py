"""Refunds in SQLite, as one transaction sees them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from .commerce import BasketLine, Refund
from .decisions import KnownRefund, Share, numbered, total_minor
from .recording import instant_of

SELECT_REFUND = "SELECT order_id, currency, refunded_at_us, event_id FROM refunds WHERE refund_id = ?"
SELECT_LINES = "SELECT product_id, quantity, amount_minor FROM refund_lines WHERE refund_id = ? ORDER BY line_number"
SELECT_REFUNDED = """
SELECT l.product_id, sum(l.quantity), sum(l.amount_minor)
FROM refunds AS r JOIN refund_lines AS l USING (refund_id)
WHERE r.order_id = ? GROUP BY l.product_id
"""
INSERT_REFUND = """
INSERT INTO refunds (refund_id, order_id, currency, refunded_at_us, event_id) VALUES (?, ?, ?, ?, ?)
"""
INSERT_LINE = """
INSERT INTO refund_lines (refund_id, line_number, product_id, quantity, amount_minor) VALUES (?, ?, ?, ?, ?)
"""


class SqliteRefunds:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, refund_id: str) -> KnownRefund | None:
        row = self._connection.execute(SELECT_REFUND, (refund_id,)).fetchone()
        return None if row is None else KnownRefund(*row)

    def lines(self, refund_id: str) -> list[BasketLine]:
        return [BasketLine(*row) for row in self._connection.execute(SELECT_LINES, (refund_id,))]

    def refunded(self, order_id: str) -> dict[str, Share]:
        return {row[0]: Share(*row[1:]) for row in self._connection.execute(SELECT_REFUNDED, (order_id,))}

    def add(self, refund_id: str, refund: KnownRefund, lines: Sequence[BasketLine]) -> None:
        self._connection.execute(INSERT_REFUND, (refund_id, *refund))
        self._connection.executemany(INSERT_LINE, numbered(refund_id, lines))


def read_refund(connection: sqlite3.Connection, refund_id: str) -> Refund | None:
    refunds = SqliteRefunds(connection)
    known = refunds.find(refund_id)
    if known is None:
        return None
    (amount_minor, at) = (total_minor(refunds.lines(refund_id)), instant_of(known.refunded_at_us))
    return Refund(refund_id, known.order_id, known.currency, amount_minor, at, known.event_id)
