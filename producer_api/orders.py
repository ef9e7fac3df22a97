"""Orders: placed, and read with their payment."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from event_store.envelope import new_event_id

from .commerce import BasketLines, Commerce, Currency, Id, Order, OrderPlaced, PlaceOrder, encode
from .http_call import AnyRequest, Reply, path_id, perform, read_json
from .openapi import Described
from .refusals import (
    INVALID_FIELD,
    MIXED_CURRENCIES,
    ORDER_EXISTS,
    TOO_LARGE_TO_RECORD,
    UNKNOWN_ORDER,
    UNKNOWN_PRODUCT_IN_LINE,
    Refused,
)

PATH = "/v1/orders/{order_id:str}"


class OrderBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`order_id` is drawn here where you give none; `currency` is that of the products."""

    lines: BasketLines
    order_id: Id | None = None
    currency: Currency | None = None
    buyer_id: Id | None = None


PLACING = Described(
    answers={201: OrderPlaced},
    body=OrderBody,
    keyed=True,
    problems=(ORDER_EXISTS, UNKNOWN_PRODUCT_IN_LINE, MIXED_CURRENCIES, TOO_LARGE_TO_RECORD),
)
READING = Described(answers={200: Order}, problems=(INVALID_FIELD, UNKNOWN_ORDER))


def routes(commerce: Commerce) -> Sequence[HTTPRouteHandler]:
    body_of = msgspec.json.Decoder(OrderBody)

    @post("/v1/orders", operation_class=PLACING.operation(), operation_id="placeOrder", tags=["orders"])
    async def place_order(request: AnyRequest) -> Reply:
        """Places a pending order. The same order again, under its own id, is answered as before."""
        (body, raw) = await read_json(request, body_of)
        command = PlaceOrder(body.order_id or new_event_id(), body.currency, body.buyer_id, body.lines)
        return await perform(commerce, request, command, raw)

    @get(PATH, operation_class=READING.operation(), operation_id="readOrder", tags=["orders"])
    async def read_order(request: AnyRequest) -> Reply:
        """An order as it stands, with its payment and what was refunded of it."""
        order_id = path_id(request, "order_id")
        order = await commerce.order(order_id)
        if order is None:
            raise Refused(UNKNOWN_ORDER, f"No order {order_id!r} was placed here.")
        return Reply(200, encode(order))

    return [place_order, read_order]
