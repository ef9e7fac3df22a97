"""Refunds: money went back, for an order of ours or one that this shop no longer knows."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from event_store.envelope import new_event_id

from .commerce import BasketLines, Commerce, Currency, GiveRefund, Id, Instant, Refund, encode
from .http_call import AnyRequest, Reply, business_time, path_id, perform, read_json, utc_now
from .openapi import Described
from .refusals import (
    INVALID_FIELD,
    MIXED_CURRENCIES,
    ORDER_NOT_PAID,
    REFUND_EXCEEDS_PAYMENT,
    REFUND_EXISTS,
    TOO_LARGE_TO_RECORD,
    UNKNOWN_ORDER,
    UNKNOWN_REFUND,
    Refused,
)


class RefundBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`refund_id` is drawn here where you give none. Without an `order_id` the `currency` is needed."""

    lines: BasketLines
    refund_id: Id | None = None
    order_id: Id | None = None
    currency: Currency | None = None
    at: Instant | None = None


GIVING = Described(
    answers={201: Refund},
    body=RefundBody,
    keyed=True,
    problems=(
        UNKNOWN_ORDER,
        ORDER_NOT_PAID,
        REFUND_EXISTS,
        REFUND_EXCEEDS_PAYMENT,
        MIXED_CURRENCIES,
        TOO_LARGE_TO_RECORD,
    ),
)
READING = Described(answers={200: Refund}, problems=(INVALID_FIELD, UNKNOWN_REFUND))


def routes(commerce: Commerce) -> Sequence[HTTPRouteHandler]:
    body_of = msgspec.json.Decoder(RefundBody)

    @post("/v1/refunds", operation_class=GIVING.operation(), operation_id="refund", tags=["refunds"])
    async def refund(request: AnyRequest) -> Reply:
        """Gives money back. Of a known order never more, per product, than was paid, over all its refunds."""
        (body, raw) = await read_json(request, body_of)
        at = None if body.at is None else business_time(body.at, utc_now())
        refund_id = body.refund_id or new_event_id()
        command = GiveRefund(refund_id, body.order_id, body.currency, body.lines, at)
        return await perform(commerce, request, command, raw)

    @get(
        "/v1/refunds/{refund_id:str}",
        operation_class=READING.operation(),
        operation_id="readRefund",
        tags=["refunds"],
    )
    async def read_refund(request: AnyRequest) -> Reply:
        """A refund that was given."""
        refund_id = path_id(request, "refund_id")
        found = await commerce.refund(refund_id)
        if found is None:
            raise Refused(UNKNOWN_REFUND, f"No refund {refund_id!r} was given here.")
        return Reply(200, encode(found))

    return [refund, read_refund]
