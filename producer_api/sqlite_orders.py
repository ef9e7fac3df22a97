"""Orders and their payments in SQLite: each function is a part of one transaction."""

from __future__ import annotations

import sqlite3
from typing import Any
from urllib.parse import quote

from event_store.events import PaymentCompleted, PaymentFailed

from .commerce import Answer, BasketLine, OrderPlaced, Pay, Payment, PlaceOrder, encode
from .decisions import KnownOrder, check_payable, check_same_order, check_size, event_lines, order_currency
from .recording import Recording, instant_of, microseconds
from .refusals import PAYMENT_EXISTS, UNKNOWN_ORDER, Refused
from .sqlite_products import listed_currencies

SELECT_ORDER = "SELECT status, currency, buyer_id FROM orders WHERE order_id = ?"
SELECT_LINES = "SELECT product_id, quantity, amount_minor FROM order_lines WHERE order_id = ? ORDER BY line_number"
SELECT_PAYMENT = "SELECT order_id, outcome, paid_at_us, event_id FROM payments WHERE payment_id = ?"
INSERT_ORDER = "INSERT INTO orders (order_id, status, currency, buyer_id, placed_at_us) VALUES (?, 'pending', ?, ?, ?)"
INSERT_LINE = """
INSERT INTO order_lines (order_id, line_number, product_id, quantity, amount_minor) VALUES (?, ?, ?, ?, ?)
"""
INSERT_PAYMENT = """
INSERT INTO payments (payment_id, order_id, outcome, paid_at_us, event_id) VALUES (?, ?, ?, ?, ?)
"""
SETTLE_ORDER = "UPDATE orders SET status = ? WHERE order_id = ?"


def place_order(connection: sqlite3.Connection, command: PlaceOrder, recording: Recording) -> Answer:
    known = find_order(connection, command.order_id)
    if known is not None:
        lines = order_lines(connection, command.order_id)
        check_same_order(command, known, lines)
        return _placed(command, known.status, known.currency, replayed=True)
    check_size(command.lines)
    currencies = listed_currencies(connection, (line.product_id for line in command.lines))
    currency = order_currency(command, currencies)
    placed_at_us = microseconds(recording.now)
    connection.execute(INSERT_ORDER, (command.order_id, currency, command.buyer_id, placed_at_us))
    connection.executemany(
        INSERT_LINE,
        [
            (command.order_id, number, line.product_id, line.quantity, line.amount_minor)
            for number, line in enumerate(command.lines)
        ],
    )
    return _placed(command, "pending", currency)


def _placed(command: PlaceOrder, status: Any, currency: str, *, replayed: bool = False) -> Answer:
    amount_minor = sum(line.amount_minor for line in command.lines)
    body = encode(OrderPlaced(command.order_id, status, currency, amount_minor))
    return Answer(201, body, f"/v1/orders/{quote(command.order_id, safe='')}", replayed)


def pay(connection: sqlite3.Connection, command: Pay, recording: Recording) -> Answer:
    order = find_order(connection, command.order_id)
    if order is None:
        raise unknown_order(command.order_id)
    known = connection.execute(SELECT_PAYMENT, (command.payment_id,)).fetchone()
    if known is not None and known[:2] != (command.order_id, command.outcome):
        raise Refused(PAYMENT_EXISTS, f"Payment {command.payment_id!r} was {known[1]}, for order {known[0]!r}.")
    lines = order_lines(connection, command.order_id)
    if known is not None:
        return _paid(command, order.currency, lines, known[2], known[3], replayed=True)
    check_payable(command, order)
    event_id = recording.add(_payment_event(command, order, lines), command.at)
    paid_at_us = microseconds(command.at)
    connection.execute(INSERT_PAYMENT, (command.payment_id, command.order_id, command.outcome, paid_at_us, event_id))
    connection.execute(SETTLE_ORDER, (_settled(command), command.order_id))
    return _paid(command, order.currency, lines, paid_at_us, event_id)


def _settled(command: Pay) -> Any:
    return "paid" if command.outcome == "completed" else "cancelled"


def _payment_event(command: Pay, order: KnownOrder, lines: list[BasketLine]) -> PaymentCompleted | PaymentFailed:
    if command.outcome == "failed":
        return PaymentFailed(command.order_id, command.payment_id, order.buyer_id)
    return PaymentCompleted(command.order_id, command.payment_id, order.currency, event_lines(lines), order.buyer_id)


def _paid(
    command: Pay, currency: str, lines: list[BasketLine], paid_at_us: int, event_id: str, *, replayed: bool = False
) -> Answer:
    payment = Payment(
        payment_id=command.payment_id,
        order_id=command.order_id,
        outcome=command.outcome,
        order_status=_settled(command),
        currency=currency,
        amount_minor=sum(line.amount_minor for line in lines),
        at=instant_of(paid_at_us),
        event_id=event_id,
    )
    return Answer(201, encode(payment), replayed=replayed)


def find_order(connection: sqlite3.Connection, order_id: str) -> KnownOrder | None:
    row = connection.execute(SELECT_ORDER, (order_id,)).fetchone()
    return None if row is None else KnownOrder(*row)


def order_lines(connection: sqlite3.Connection, order_id: str) -> list[BasketLine]:
    return [BasketLine(*row) for row in connection.execute(SELECT_LINES, (order_id,))]


def unknown_order(order_id: str) -> Refused:
    return Refused(UNKNOWN_ORDER, f"No order {order_id!r} was placed here.")
