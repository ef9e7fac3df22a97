"""Orders and their payments, as they are entered in the books."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from event_store.events import PaymentCompleted, PaymentFailed

from .books import Books
from .commerce import Answer, BasketLine, OrderPlaced, Pay, Payment, PlaceOrder, encode
from .decisions import (
    KnownOrder,
    KnownPayment,
    check_payable,
    check_same_order,
    check_same_payment,
    check_size,
    event_lines,
    order_currency,
    total_minor,
)
from .recording import instant_of, microseconds
from .refusals import UNKNOWN_ORDER, Refused


def place_order(books: Books, command: PlaceOrder) -> Answer:
    known = books.orders.find(command.order_id)
    if known is not None:
        check_same_order(command, known, books.orders.lines(command.order_id))
        return _placed(command, known, replayed=True)
    check_size(command.lines)
    currencies = books.products.currencies({line.product_id for line in command.lines})
    order = KnownOrder("pending", order_currency(command, currencies), command.buyer_id)
    books.orders.add(command.order_id, order, microseconds(books.recording.now), command.lines)
    return _placed(command, order)


def _placed(command: PlaceOrder, order: KnownOrder, *, replayed: bool = False) -> Answer:
    status: Any = order.status
    body = encode(OrderPlaced(command.order_id, status, order.currency, total_minor(command.lines)))
    return Answer(201, body, f"/v1/orders/{quote(command.order_id, safe='')}", replayed)


def pay(books: Books, command: Pay) -> Answer:
    order = books.orders.find(command.order_id)
    if order is None:
        raise unknown_order(command.order_id)
    known = books.orders.payment(command.payment_id)
    if known is not None:
        check_same_payment(command, known)
        return _paid(command, order, books.orders.lines(command.order_id), known, replayed=True)
    check_payable(command, order)
    lines = books.orders.lines(command.order_id)
    event_id = books.recording.add(_payment_event(command, order, lines), command.at, command.traceparent)
    payment = KnownPayment(command.order_id, command.outcome, microseconds(command.at), event_id)
    books.orders.settle(command.payment_id, payment, _settled(command))
    return _paid(command, order, lines, payment)


def _settled(command: Pay) -> Any:
    return "paid" if command.outcome == "completed" else "cancelled"


def _payment_event(command: Pay, order: KnownOrder, lines: list[BasketLine]) -> PaymentCompleted | PaymentFailed:
    if command.outcome == "failed":
        return PaymentFailed(command.order_id, command.payment_id, order.buyer_id)
    return PaymentCompleted(command.order_id, command.payment_id, order.currency, event_lines(lines), order.buyer_id)


def _paid(
    command: Pay, order: KnownOrder, lines: list[BasketLine], known: KnownPayment, *, replayed: bool = False
) -> Answer:
    payment = Payment(
        payment_id=command.payment_id,
        order_id=command.order_id,
        outcome=command.outcome,
        order_status=_settled(command),
        currency=order.currency,
        amount_minor=total_minor(lines),
        at=instant_of(known.paid_at_us),
        event_id=known.event_id,
    )
    return Answer(201, encode(payment), replayed=replayed)


def unknown_order(order_id: str) -> Refused:
    return Refused(UNKNOWN_ORDER, f"No order {order_id!r} was placed here.")
