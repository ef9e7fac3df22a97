"""Refunds in SQLite: each function is a part of one transaction."""

from __future__ import annotations

import sqlite3
from urllib.parse import quote

from event_store.events import PaymentRefunded

from .commerce import Answer, BasketLine, GiveRefund, Refund, encode
from .decisions import (
    KnownRefund,
    Share,
    check_refundable,
    check_same_refund,
    check_size,
    event_lines,
    refund_currency,
    shares,
)
from .recording import Recording, instant_of, microseconds
from .refusals import INVALID_FIELD, FieldError, Refused
from .sqlite_orders import find_order, order_lines, unknown_order

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


def give_refund(connection: sqlite3.Connection, command: GiveRefund, recording: Recording) -> Answer:
    row = connection.execute(SELECT_REFUND, (command.refund_id,)).fetchone()
    if row is not None:
        known = KnownRefund(*row[:3])
        at_us = None if command.at is None else microseconds(command.at)
        check_same_refund(command, at_us, known, _lines(connection, command.refund_id))
        return _given(command, known.currency, known.refunded_at_us, row[3], replayed=True)
    check_size(command.lines)
    currency = _allowed_currency(connection, command)
    at = command.at or recording.now
    event = PaymentRefunded(command.refund_id, currency, event_lines(command.lines), command.order_id)
    event_id = recording.add(event, at)
    _insert(connection, command, currency, microseconds(at), event_id)
    return _given(command, currency, microseconds(at), event_id)


def _allowed_currency(connection: sqlite3.Connection, command: GiveRefund) -> str:
    """The refund's currency, once its order, where it names one, has so much left to give back."""
    if command.order_id is None:
        if command.currency is None:
            error = FieldError("/currency", "is missing")
            raise Refused(INVALID_FIELD, "A refund without an order names its currency.", [error])
        return command.currency
    order = find_order(connection, command.order_id)
    if order is None:
        raise unknown_order(command.order_id)
    currency = refund_currency(command, order)
    paid = shares(order_lines(connection, command.order_id))
    refunded = {row[0]: Share(*row[1:]) for row in connection.execute(SELECT_REFUNDED, (command.order_id,))}
    check_refundable(command, paid, refunded)
    return currency


def _insert(
    connection: sqlite3.Connection, command: GiveRefund, currency: str, refunded_at_us: int, event_id: str
) -> None:
    connection.execute(INSERT_REFUND, (command.refund_id, command.order_id, currency, refunded_at_us, event_id))
    connection.executemany(
        INSERT_LINE,
        [
            (command.refund_id, number, line.product_id, line.quantity, line.amount_minor)
            for number, line in enumerate(command.lines)
        ],
    )


def _given(command: GiveRefund, currency: str, refunded_at_us: int, event_id: str, *, replayed: bool = False) -> Answer:
    amount_minor = sum(line.amount_minor for line in command.lines)
    at = instant_of(refunded_at_us)
    refund = Refund(command.refund_id, command.order_id, currency, amount_minor, at, event_id)
    return Answer(201, encode(refund), f"/v1/refunds/{quote(command.refund_id, safe='')}", replayed)


def read_refund(connection: sqlite3.Connection, refund_id: str) -> Refund | None:
    row = connection.execute(SELECT_REFUND, (refund_id,)).fetchone()
    if row is None:
        return None
    amount_minor = sum(line.amount_minor for line in _lines(connection, refund_id))
    return Refund(refund_id, row[0], row[1], amount_minor, instant_of(row[2]), row[3])


def _lines(connection: sqlite3.Connection, refund_id: str) -> list[BasketLine]:
    return [BasketLine(*row) for row in connection.execute(SELECT_LINES, (refund_id,))]
