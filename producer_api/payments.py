"""Payments: an order was paid, or its payment failed and it is cancelled."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from litestar import post
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from event_store.envelope import new_event_id

from .commerce import Commerce, Id, Instant, Outcome, Pay, Payment
from .http_call import AnyRequest, Reply, business_time, path_id, perform, read_json, utc_now
from .openapi import Described
from .orders import PATH
from .refusals import ORDER_SETTLED, PAYMENT_EXISTS, UNKNOWN_ORDER


class PaymentBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`payment_id` is drawn here where you give none."""

    outcome: Outcome
    payment_id: Id | None = None
    at: Instant | None = None


PAYING = Described(
    answers={201: Payment}, body=PaymentBody, keyed=True, problems=(UNKNOWN_ORDER, ORDER_SETTLED, PAYMENT_EXISTS)
)


def routes(commerce: Commerce) -> Sequence[HTTPRouteHandler]:
    body_of = msgspec.json.Decoder(PaymentBody)

    @post(f"{PATH}/payments", operation_class=PAYING.operation(), operation_id="pay", tags=["orders"])
    async def pay(request: AnyRequest) -> Reply:
        """Settles an order for good. The same payment again, under its own id, is answered as before."""
        order_id = path_id(request, "order_id")
        (body, raw) = await read_json(request, body_of)
        at = business_time(body.at, utc_now())
        command = Pay(order_id, body.payment_id or new_event_id(), body.outcome, at)
        return await perform(commerce, request, command, raw)

    return [pay]
