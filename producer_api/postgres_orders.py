"""Orders and their payments in PostgreSQL, as one transaction sees them: read for a whole group, written at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from event_store.postgres_database import columns_of

from .commerce import BasketLine, Command, GiveRefund, Pay, PlaceOrder
from .decisions import KnownOrder, KnownPayment, numbered

if TYPE_CHECKING:
    from event_store.postgres_database import Connection

LOCK_ORDERS = """
SELECT o.order_id, o.status, o.currency, o.buyer_id, l.product_ids, l.quantities, l.amounts_minor
FROM orders AS o CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(product_id ORDER BY line_number), '{}') AS product_ids,
        coalesce(array_agg(quantity ORDER BY line_number), '{}') AS quantities,
        coalesce(array_agg(amount_minor ORDER BY line_number), '{}') AS amounts_minor
    FROM order_lines WHERE order_id = o.order_id) AS l
WHERE o.order_id = ANY($1::text[]) ORDER BY o.order_id FOR NO KEY UPDATE OF o
"""
"""Lines are written with their order and never again, so what was seen before the lock came is what there is."""
SELECT_PAYMENTS = """
SELECT payment_id, order_id, outcome, paid_at_us, event_id FROM payments WHERE payment_id = ANY($1::text[])
"""
SELECT_SETTLED = "SELECT order_id, paid_at_us FROM payments WHERE order_id = ANY($1::text[])"
INSERT_ORDERS = """
INSERT INTO orders (order_id, status, currency, buyer_id, placed_at_us)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
"""
INSERT_LINES = """
INSERT INTO order_lines (order_id, line_number, product_id, quantity, amount_minor)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[])
"""
INSERT_PAYMENTS = """
INSERT INTO payments (payment_id, order_id, outcome, paid_at_us, event_id)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[])
"""
SETTLE_ORDERS = """
UPDATE orders AS o SET status = s.status FROM unnest($1::text[], $2::text[]) AS s (order_id, status)
WHERE o.order_id = s.order_id
"""


class PostgresOrders:
    """Every order that a group speaks of is locked first: it takes one payment, and no refund beside another one."""

    def __init__(self, commands: Sequence[Command]) -> None:
        named = {one.order_id for one in commands if isinstance(one, PlaceOrder | Pay | GiveRefund)}
        self._named = {order_id for order_id in named if order_id is not None}
        refunded = {one.order_id for one in commands if isinstance(one, GiveRefund)}
        self._refunded = {order_id for order_id in refunded if order_id is not None}
        self._asked_payments = {one.payment_id for one in commands if isinstance(one, Pay)}
        self._orders: dict[str, KnownOrder] = {}
        self._lines: dict[str, list[BasketLine]] = {}
        self._payments: dict[str, KnownPayment] = {}
        self._settled_at_us: dict[str, int] = {}
        self._placed: dict[str, int] = {}
        """New orders, and when they were placed."""
        self._paid: list[str] = []
        """New payments."""

    async def lock(self, connection: Connection) -> None:
        if self._named:
            for row in await connection.fetch(LOCK_ORDERS, list(self._named)):
                self._orders[row[0]] = KnownOrder(*row[1:4])
                self._lines[row[0]] = list(map(BasketLine, *row[4:]))

    async def read(self, connection: Connection) -> None:
        if self._asked_payments:
            rows = await connection.fetch(SELECT_PAYMENTS, list(self._asked_payments))
            self._payments = {row[0]: KnownPayment(*row[1:]) for row in rows}
        if self._refunded:
            rows = await connection.fetch(SELECT_SETTLED, list(self._refunded))
            self._settled_at_us = {row[0]: row[1] for row in rows}

    async def write(self, connection: Connection) -> None:
        placed = sorted(self._placed)
        if placed:
            orders = [(order_id, *self._orders[order_id], self._placed[order_id]) for order_id in placed]
            await connection.execute(INSERT_ORDERS, *columns_of(orders))
            lines = [row for order_id in placed for row in numbered(order_id, self._lines[order_id])]
            await connection.execute(INSERT_LINES, *columns_of(lines))
        if self._paid:
            payments = [(payment_id, *self._payments[payment_id]) for payment_id in sorted(self._paid)]
            await connection.execute(INSERT_PAYMENTS, *columns_of(payments))
        settled = {self._payments[payment_id].order_id for payment_id in self._paid} - self._placed.keys()
        if settled:
            states = [(order_id, self._orders[order_id].status) for order_id in sorted(settled)]
            await connection.execute(SETTLE_ORDERS, *columns_of(states))

    def find(self, order_id: str) -> KnownOrder | None:
        return self._orders.get(order_id)

    def lines(self, order_id: str) -> list[BasketLine]:
        return self._lines[order_id]

    def add(self, order_id: str, order: KnownOrder, placed_at_us: int, lines: Sequence[BasketLine]) -> None:
        self._orders[order_id] = order
        self._lines[order_id] = list(lines)
        self._placed[order_id] = placed_at_us

    def payment(self, payment_id: str) -> KnownPayment | None:
        return self._payments.get(payment_id)

    def settled_at_us(self, order_id: str) -> int:
        return self._settled_at_us[order_id]

    def settle(self, payment_id: str, payment: KnownPayment, status: str) -> None:
        self._payments[payment_id] = payment
        self._paid.append(payment_id)
        self._settled_at_us[payment.order_id] = payment.paid_at_us
        self._orders[payment.order_id] = self._orders[payment.order_id]._replace(status=status)
