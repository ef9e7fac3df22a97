"""Refunds, as they are entered in the books."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from event_store.envelope import format_time
from event_store.event_time import FUTURE_TOLERANCE
from event_store.events import PaymentRefunded

from .books import Books
from .commerce import Answer, GiveRefund, Refund, encode
from .decisions import (
    KnownRefund,
    check_refundable,
    check_same_refund,
    check_size,
    event_lines,
    refund_currency,
    shares,
    total_minor,
)
from .order_entries import unknown_order
from .recording import instant_of, microseconds
from .refusals import INVALID_FIELD, FieldError, Refused


def give_refund(books: Books, command: GiveRefund) -> Answer:
    known = books.refunds.find(command.refund_id)
    if known is not None:
        at_us = None if command.at is None else microseconds(command.at)
        check_same_refund(command, at_us, known, books.refunds.lines(command.refund_id))
        return _given(command, known, replayed=True)
    check_size(command.lines)
    currency = _allowed_currency(books, command)
    at = command.at or books.recording.now
    sold_at = _sold_at(books, command.order_id, at)
    event = PaymentRefunded(command.refund_id, currency, event_lines(command.lines), command.order_id, sold_at)
    event_id = books.recording.add(event, at, command.traceparent)
    refund = KnownRefund(command.order_id, currency, microseconds(at), event_id)
    books.refunds.add(command.refund_id, refund, command.lines)
    return _given(command, refund)


def _allowed_currency(books: Books, command: GiveRefund) -> str:
    """The refund's currency, once its order, where it names one, has so much left to give back."""
    if command.order_id is None:
        if command.currency is None:
            error = FieldError("/currency", "is missing")
            raise Refused(INVALID_FIELD, "A refund without an order names its currency.", [error])
        return command.currency
    order = books.orders.find(command.order_id)
    if order is None:
        raise unknown_order(command.order_id)
    currency = refund_currency(command, order)
    check_refundable(command, shares(books.orders.lines(command.order_id)), books.refunds.refunded(command.order_id))
    return currency


def _sold_at(books: Books, order_id: str | None, at: datetime) -> str | None:
    """When the order was paid; None where it is unknown, or the refund is said to have come before."""
    if order_id is None:
        return None
    sold_at = instant_of(books.orders.settled_at_us(order_id))
    return format_time(sold_at) if sold_at <= at + FUTURE_TOLERANCE else None


def _given(command: GiveRefund, known: KnownRefund, *, replayed: bool = False) -> Answer:
    (amount_minor, at) = (total_minor(command.lines), instant_of(known.refunded_at_us))
    refund = Refund(command.refund_id, command.order_id, known.currency, amount_minor, at, known.event_id)
    return Answer(201, encode(refund), f"/v1/refunds/{quote(command.refund_id, safe='')}", replayed)
