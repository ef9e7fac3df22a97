"""What an order and a refund may do, decided from what the database shows: pure, so that back ends decide alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from event_store.events import Line
from event_store.record import MAX_RECORD_BYTES

from .commerce import BasketLine, GiveRefund, Pay, PlaceOrder, encode
from .refusals import (
    MIXED_CURRENCIES,
    ORDER_EXISTS,
    ORDER_NOT_PAID,
    ORDER_SETTLED,
    PAYMENT_EXISTS,
    REFUND_EXCEEDS_PAYMENT,
    REFUND_EXISTS,
    TOO_LARGE_TO_RECORD,
    UNKNOWN_PRODUCT_IN_LINE,
    FieldError,
    Refused,
)

MAX_LINES_BYTES = MAX_RECORD_BYTES - 4096
"""What the lines of an event may take; its envelope and the ids beside them are far below the rest."""


class Share(NamedTuple):
    """So much of one product."""

    quantity: int
    amount_minor: int

    def plus(self, other: Share) -> Share:
        return Share(self.quantity + other.quantity, self.amount_minor + other.amount_minor)


NOTHING = Share(0, 0)


def check_size(lines: Sequence[BasketLine]) -> None:
    """An order whose payment could never be told to the log must not be taken."""
    size_bytes = len(encode(lines))
    if size_bytes > MAX_LINES_BYTES:
        raise Refused(
            TOO_LARGE_TO_RECORD,
            f"The lines take {size_bytes} bytes; an event holds {MAX_LINES_BYTES}.",
            [FieldError("/lines", f"{size_bytes} bytes")],
        )


def order_currency(order: PlaceOrder, currencies: Mapping[str, str]) -> str:
    """The order's currency. `currencies` is that of each listed product among its lines."""
    unknown = [
        FieldError(f"/lines/{index}/product_id", f"no product {line.product_id!r} is listed")
        for index, line in enumerate(order.lines)
        if line.product_id not in currencies
    ]
    if unknown:
        raise Refused(UNKNOWN_PRODUCT_IN_LINE, "List the products first: PUT /v1/products/{product_id}.", unknown)
    currency = order.currency or currencies[order.lines[0].product_id]
    other = [
        FieldError(f"/lines/{index}/product_id", f"is sold in {currencies[line.product_id]}, not in {currency}")
        for index, line in enumerate(order.lines)
        if currencies[line.product_id] != currency
    ]
    if other:
        raise Refused(MIXED_CURRENCIES, f"An order is of one currency; this one is in {currency}.", other)
    return currency


class KnownOrder(NamedTuple):
    """An order as it is stored."""

    status: str
    currency: str
    buyer_id: str | None


def check_same_order(order: PlaceOrder, known: KnownOrder, lines: Sequence[BasketLine]) -> None:
    """Placing an order again is answered as before; another one under its id is refused."""
    same_currency = order.currency is None or order.currency == known.currency
    if not (same_currency and order.buyer_id == known.buyer_id and order.lines == list(lines)):
        raise Refused(ORDER_EXISTS, f"Order {order.order_id!r} exists with another content.")


def check_payable(pay: Pay, known: KnownOrder) -> None:
    if known.status != "pending":
        raise Refused(ORDER_SETTLED, f"Order {pay.order_id!r} is {known.status}; it takes no other payment.")


class KnownPayment(NamedTuple):
    """A payment as it is stored."""

    order_id: str
    outcome: str
    paid_at_us: int
    event_id: str


def check_same_payment(pay: Pay, known: KnownPayment) -> None:
    """Paying again under a payment's id is answered as before; another payment under it is refused."""
    if (known.order_id, known.outcome) != (pay.order_id, pay.outcome):
        detail = f"Payment {pay.payment_id!r} was {known.outcome}, for order {known.order_id!r}."
        raise Refused(PAYMENT_EXISTS, detail)


class KnownRefund(NamedTuple):
    """A refund as it is stored."""

    order_id: str | None
    currency: str
    refunded_at_us: int
    event_id: str


def check_same_refund(refund: GiveRefund, at_us: int | None, known: KnownRefund, lines: Sequence[BasketLine]) -> None:
    """As `check_same_order`. What the call doesn't say (currency, time) is not compared."""
    same_place = refund.order_id == known.order_id and refund.currency in (None, known.currency)
    same_time = at_us is None or at_us == known.refunded_at_us
    if not (same_place and same_time and refund.lines == list(lines)):
        raise Refused(REFUND_EXISTS, f"Refund {refund.refund_id!r} exists with another content.")


def refund_currency(refund: GiveRefund, order: KnownOrder) -> str:
    """The currency of a refund for a known order, which must have been paid."""
    if order.status != "paid":
        raise Refused(ORDER_NOT_PAID, f"Order {refund.order_id!r} is {order.status}: there is nothing to give back.")
    if refund.currency not in (None, order.currency):
        error = FieldError("/currency", f"the order was paid in {order.currency}")
        raise Refused(MIXED_CURRENCIES, f"Order {refund.order_id!r} was paid in {order.currency}.", [error])
    return order.currency


def check_refundable(refund: GiveRefund, paid: Mapping[str, Share], refunded: Mapping[str, Share]) -> None:
    """Per product of the order, never more units and never more money go back than came in, over all its refunds."""
    errors = []
    for product_id, wanted in shares(refund.lines).items():
        came = paid.get(product_id, NOTHING)
        went = refunded.get(product_id, NOTHING)
        left = Share(came.quantity - went.quantity, came.amount_minor - went.amount_minor)
        if wanted.quantity > left.quantity or wanted.amount_minor > left.amount_minor:
            index = next(i for i, line in enumerate(refund.lines) if line.product_id == product_id)
            detail = (
                f"of product {product_id!r} at most {left.quantity} units and {left.amount_minor} in minor units "
                f"are left to refund; asked for are {wanted.quantity} and {wanted.amount_minor}"
            )
            errors.append(FieldError(f"/lines/{index}", detail))
    if errors:
        raise Refused(REFUND_EXCEEDS_PAYMENT, f"Order {refund.order_id!r} was not paid so much.", errors)


def shares(lines: Iterable[BasketLine]) -> dict[str, Share]:
    """What the lines say of each product, in sum."""
    sums: dict[str, Share] = {}
    for line in lines:
        sums[line.product_id] = sums.get(line.product_id, NOTHING).plus(Share(line.quantity, line.amount_minor))
    return sums


def total_minor(lines: Iterable[BasketLine]) -> int:
    return sum(line.amount_minor for line in lines)


def numbered(of: str, lines: Iterable[BasketLine]) -> list[tuple[str, int, str, int, int]]:
    """The lines of order or refund `of` as they are stored, each with its number."""
    return [(of, number, line.product_id, line.quantity, line.amount_minor) for number, line in enumerate(lines)]


def event_lines(lines: Iterable[BasketLine]) -> list[Line]:
    """The lines as an event tells them."""
    return [Line(line.product_id, line.quantity, line.amount_minor) for line in lines]
