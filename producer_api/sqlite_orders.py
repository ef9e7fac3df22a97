"""Orders and their payments in SQLite, as one transaction sees them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from .commerce import BasketLine
from .decisions import KnownOrder, KnownPayment, numbered

SELECT_ORDER = "SELECT status, currency, buyer_id FROM orders WHERE order_id = ?"
SELECT_LINES = "SELECT product_id, quantity, amount_minor FROM order_lines WHERE order_id = ? ORDER BY line_number"
SELECT_PAYMENT = "SELECT order_id, outcome, paid_at_us, event_id FROM payments WHERE payment_id = ?"
SELECT_SETTLED = "SELECT paid_at_us FROM payments WHERE order_id = ?"
INSERT_ORDER = "INSERT INTO orders (order_id, status, currency, buyer_id, placed_at_us) VALUES (?, ?, ?, ?, ?)"
INSERT_LINE = """
INSERT INTO order_lines (order_id, line_number, product_id, quantity, amount_minor) VALUES (?, ?, ?, ?, ?)
"""
INSERT_PAYMENT = """
INSERT INTO payments (payment_id, order_id, outcome, paid_at_us, event_id) VALUES (?, ?, ?, ?, ?)
"""
SETTLE_ORDER = "UPDATE orders SET status = ? WHERE order_id = ?"


class SqliteOrders:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, order_id: str) -> KnownOrder | None:
        row = self._connection.execute(SELECT_ORDER, (order_id,)).fetchone()
        return None if row is None else KnownOrder(*row)

    def lines(self, order_id: str) -> list[BasketLine]:
        return [BasketLine(*row) for row in self._connection.execute(SELECT_LINES, (order_id,))]

    def add(self, order_id: str, order: KnownOrder, placed_at_us: int, lines: Sequence[BasketLine]) -> None:
        self._connection.execute(INSERT_ORDER, (order_id, *order, placed_at_us))
        self._connection.executemany(INSERT_LINE, numbered(order_id, lines))

    def payment(self, payment_id: str) -> KnownPayment | None:
        row = self._connection.execute(SELECT_PAYMENT, (payment_id,)).fetchone()
        return None if row is None else KnownPayment(*row)

    def settled_at_us(self, order_id: str) -> int:
        return int(self._connection.execute(SELECT_SETTLED, (order_id,)).fetchone()[0])

    def settle(self, payment_id: str, payment: KnownPayment, status: str) -> None:
        self._connection.execute(INSERT_PAYMENT, (payment_id, *payment))
        self._connection.execute(SETTLE_ORDER, (status, payment.order_id))
