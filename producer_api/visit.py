"""One visit to the shop: what somebody looks at, likes, orders, pays for and, some other day, brings back.

A visit is a generator of calls. It is sent each call's answer, and knows neither HTTP nor the clock, so the same
chance and the same answers give the same visit.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate

import msgspec

from event_store.events import Line

from .aiohttp_caller import Answer, segment
from .online_retail import CURRENCY, Product

VISITORS = 5000
POPULARITY = 0.9
"""Zipf's exponent: the product of rank n is looked at as often as n to the power of minus this."""
GOES_ON_LOOKING = 0.78
MOST_LOOKS = 25
LIKES = 0.10
TAKES_LIKE_BACK = 0.05
BUYS = 0.22
LOOKS_INTO_WINDOW = 0.35
"""How often a look goes to the product of a campaign."""
BUYS_FROM_WINDOW = 0.5
PAYMENT_FAILS = 0.02
BRINGS_BACK = 0.08
KEPT_AT_HOME = 2
"""How many things wait at home to be brought back; the oldest is when there is one more."""

Visit = Generator["Step", Answer, None]


class Deed(StrEnum):
    VIEW = "view"
    LIKE = "like"
    UNLIKE = "unlike"
    ORDER = "order"
    PAYMENT = "payment"
    FAILED_PAYMENT = "failed payment"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class Step:
    """One call to the API."""

    deed: Deed
    method: str
    path: str
    body: object = None


class OrderBody(msgspec.Struct):
    """What POST /v1/orders takes; the shop draws the order's id."""

    lines: list[Line]
    currency: str
    buyer_id: str


class PaymentBody(msgspec.Struct):
    """What POST /v1/orders/{order_id}/payments takes."""

    outcome: str


class RefundBody(msgspec.Struct):
    """What POST /v1/refunds takes for an order that the shop knows."""

    order_id: str
    lines: list[Line]


class _OrderPlaced(msgspec.Struct):
    order_id: str


@dataclass(slots=True)
class Till:
    """One till of the shop, its goods, and what is going to be brought back to it."""

    chance: random.Random
    goods: Sequence[Product]
    """The most popular first."""
    returns: deque[RefundBody] = field(default_factory=deque)
    _popularity: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._popularity = list(accumulate(rank**-POPULARITY for rank in range(1, len(self.goods) + 1)))

    def visit(self, window: Product | None) -> Visit:
        """The next visit, while `window` is the product of a campaign."""
        visitor_id = f"visitor-{self.chance.randrange(VISITORS)}"
        if len(self.returns) > KEPT_AT_HOME:
            yield Step(Deed.REFUND, "POST", "/v1/refunds", self.returns.popleft())
        seen = yield from self._look_around(visitor_id, window)
        wish = BUYS_FROM_WINDOW if window in seen else BUYS
        if self.chance.random() < wish:
            yield from self._buy(visitor_id, seen)

    def _look_around(self, visitor_id: str, window: Product | None) -> Generator[Step, Answer, list[Product]]:
        seen: list[Product] = []
        while len(seen) < MOST_LOOKS:
            product = self._next_look(window)
            seen.append(product)
            path = f"/v1/products/{segment(product.product_id)}"
            yield Step(Deed.VIEW, "POST", f"{path}/views", {"visitor_id": visitor_id})
            if self.chance.random() < LIKES:
                yield self._like(f"{path}/likes/{visitor_id}")
            if self.chance.random() > GOES_ON_LOOKING:
                break
        return list(dict.fromkeys(seen))

    def _next_look(self, window: Product | None) -> Product:
        if window is not None and self.chance.random() < LOOKS_INTO_WINDOW:
            return window
        return self.chance.choices(self.goods, cum_weights=self._popularity)[0]

    def _like(self, path: str) -> Step:
        if self.chance.random() < TAKES_LIKE_BACK:
            return Step(Deed.UNLIKE, "DELETE", path)
        return Step(Deed.LIKE, "PUT", path)

    def _buy(self, visitor_id: str, seen: Sequence[Product]) -> Visit:
        basket = self.chance.sample(seen, self.chance.randint(1, min(4, len(seen))))
        lines = [self._line(product) for product in basket]
        placed = yield Step(Deed.ORDER, "POST", "/v1/orders", OrderBody(lines, CURRENCY, visitor_id))
        if not placed.is_success:
            return
        order_id = msgspec.json.decode(placed.body, type=_OrderPlaced).order_id
        path = f"/v1/orders/{segment(order_id)}/payments"
        if self.chance.random() < PAYMENT_FAILS:
            yield Step(Deed.FAILED_PAYMENT, "POST", path, PaymentBody("failed"))
            return
        paid = yield Step(Deed.PAYMENT, "POST", path, PaymentBody("completed"))
        if paid.is_success and self.chance.random() < BRINGS_BACK:
            self.returns.append(RefundBody(order_id, [self.chance.choice(lines)]))

    def _line(self, product: Product) -> Line:
        quantity = self.chance.choice((1, 1, 1, 2, 2, 3, 6, 12))
        return Line(product.product_id, quantity, quantity * product.price_minor)
