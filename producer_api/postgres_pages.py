"""What the shop shows of its own state, from PostgreSQL. Each function is a part of one reading transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .commerce import BasketLine, Order, OrderPayment, Product, Refund
from .recording import instant_of

if TYPE_CHECKING:
    from event_store.postgres_database import Connection

SELECT_PRODUCT = "SELECT product_id, name, price_minor, currency, version, likes FROM products WHERE product_id = $1"
SELECT_PRODUCTS = """
SELECT product_id, name, price_minor, currency, version, likes FROM products
WHERE product_id > $1 ORDER BY product_id LIMIT $2
"""
SELECT_ORDER = """
SELECT o.status, o.currency, o.buyer_id, o.placed_at_us, p.payment_id, p.outcome, p.paid_at_us,
    (SELECT coalesce(sum(l.amount_minor), 0)::bigint FROM refunds AS r JOIN refund_lines AS l USING (refund_id)
     WHERE r.order_id = o.order_id) AS refunded_minor
FROM orders AS o LEFT JOIN payments AS p USING (order_id) WHERE o.order_id = $1
"""
SELECT_LINES = "SELECT product_id, quantity, amount_minor FROM order_lines WHERE order_id = $1 ORDER BY line_number"
SELECT_REFUND = """
SELECT order_id, currency, refunded_at_us, event_id,
    (SELECT sum(amount_minor)::bigint FROM refund_lines AS l WHERE l.refund_id = r.refund_id) AS amount_minor
FROM refunds AS r WHERE refund_id = $1
"""


async def product(connection: Connection, product_id: str) -> Product | None:
    row = await connection.fetchrow(SELECT_PRODUCT, product_id)
    return None if row is None else Product(*row)


async def products(connection: Connection, after: str, most: int) -> Sequence[Product]:
    return [Product(*row) for row in await connection.fetch(SELECT_PRODUCTS, after, most)]


async def order(connection: Connection, order_id: str) -> Order | None:
    """The whole order, its payment and what was refunded of it."""
    row = await connection.fetchrow(SELECT_ORDER, order_id)
    if row is None:
        return None
    lines = [BasketLine(*line) for line in await connection.fetch(SELECT_LINES, order_id)]
    return Order(
        order_id=order_id,
        status=row["status"],
        currency=row["currency"],
        amount_minor=sum(line.amount_minor for line in lines),
        refunded_minor=row["refunded_minor"],
        buyer_id=row["buyer_id"],
        placed_at=instant_of(row["placed_at_us"]),
        payment=None
        if row["payment_id"] is None
        else OrderPayment(row["payment_id"], row["outcome"], instant_of(row["paid_at_us"])),
        lines=lines,
    )


async def refund(connection: Connection, refund_id: str) -> Refund | None:
    row = await connection.fetchrow(SELECT_REFUND, refund_id)
    if row is None:
        return None
    at = instant_of(row["refunded_at_us"])
    return Refund(refund_id, row["order_id"], row["currency"], row["amount_minor"], at, row["event_id"])
