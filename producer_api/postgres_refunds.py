"""Refunds in PostgreSQL, as one transaction sees them: read for a whole group of calls, written at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from event_store.postgres_database import columns_of

from .commerce import BasketLine, Command, GiveRefund
from .decisions import NOTHING, KnownRefund, Share, numbered, shares

if TYPE_CHECKING:
    from event_store.postgres_database import Connection

SELECT_REFUNDS = """
SELECT r.refund_id, r.order_id, r.currency, r.refunded_at_us, r.event_id, l.product_ids, l.quantities, l.amounts_minor
FROM refunds AS r CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(product_id ORDER BY line_number), '{}') AS product_ids,
        coalesce(array_agg(quantity ORDER BY line_number), '{}') AS quantities,
        coalesce(array_agg(amount_minor ORDER BY line_number), '{}') AS amounts_minor
    FROM refund_lines WHERE refund_id = r.refund_id) AS l
WHERE r.refund_id = ANY($1::text[])
"""
SELECT_REFUNDED = """
SELECT r.order_id, l.product_id, sum(l.quantity)::bigint, sum(l.amount_minor)::bigint
FROM refunds AS r JOIN refund_lines AS l USING (refund_id)
WHERE r.order_id = ANY($1::text[]) GROUP BY r.order_id, l.product_id
"""
INSERT_REFUNDS = """
INSERT INTO refunds (refund_id, order_id, currency, refunded_at_us, event_id)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[])
"""
INSERT_LINES = """
INSERT INTO refund_lines (refund_id, line_number, product_id, quantity, amount_minor)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[])
"""


class PostgresRefunds:
    """Its orders are locked by `PostgresOrders` before anything is read here."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self._asked = {one.refund_id for one in commands if isinstance(one, GiveRefund)}
        orders = {one.order_id for one in commands if isinstance(one, GiveRefund)}
        self._of_orders = {order_id for order_id in orders if order_id is not None}
        self._refunds: dict[str, KnownRefund] = {}
        self._lines: dict[str, list[BasketLine]] = {}
        self._refunded: dict[str, dict[str, Share]] = {}
        self._given: list[str] = []
        """New refunds."""

    async def read(self, connection: Connection) -> None:
        if self._asked:
            for row in await connection.fetch(SELECT_REFUNDS, list(self._asked)):
                self._refunds[row[0]] = KnownRefund(*row[1:5])
                self._lines[row[0]] = list(map(BasketLine, *row[5:]))
        if self._of_orders:
            for order_id, product_id, *share in await connection.fetch(SELECT_REFUNDED, list(self._of_orders)):
                self._refunded.setdefault(order_id, {})[product_id] = Share(*share)

    async def write(self, connection: Connection) -> None:
        given = sorted(self._given)
        if given:
            refunds = [(refund_id, *self._refunds[refund_id]) for refund_id in given]
            await connection.execute(INSERT_REFUNDS, *columns_of(refunds))
            lines = [row for refund_id in given for row in numbered(refund_id, self._lines[refund_id])]
            await connection.execute(INSERT_LINES, *columns_of(lines))

    def find(self, refund_id: str) -> KnownRefund | None:
        return self._refunds.get(refund_id)

    def lines(self, refund_id: str) -> list[BasketLine]:
        return self._lines[refund_id]

    def refunded(self, order_id: str) -> dict[str, Share]:
        return self._refunded.get(order_id, {})

    def add(self, refund_id: str, refund: KnownRefund, lines: Sequence[BasketLine]) -> None:
        self._refunds[refund_id] = refund
        self._lines[refund_id] = list(lines)
        self._given.append(refund_id)
        if refund.order_id is not None:
            sums = self._refunded.setdefault(refund.order_id, {})
            for product_id, share in shares(lines).items():
                sums[product_id] = sums.get(product_id, NOTHING).plus(share)
