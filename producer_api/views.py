"""Views: a visitor looked at a product. By far the most frequent call."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from litestar import post
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from .backpressure import Backpressure
from .commerce import Commerce, Id, Instant, RecordView, ViewAccepted
from .http_call import AnyRequest, Reply, business_time, path_id, perform, read_json, utc_now
from .openapi import Described
from .products import PATH
from .refusals import OUTBOX_BACKLOG, UNKNOWN_PRODUCT


class ViewBody(Struct, frozen=True, forbid_unknown_fields=True):
    visitor_id: Id
    at: Instant | None = None


RECORDING = Described(
    answers={202: ViewAccepted}, body=ViewBody, keyed=True, problems=(UNKNOWN_PRODUCT, OUTBOX_BACKLOG)
)


def routes(commerce: Commerce, pressure: Backpressure) -> Sequence[HTTPRouteHandler]:
    body_of = msgspec.json.Decoder(ViewBody)

    @post(f"{PATH}/views", operation_class=RECORDING.operation(), operation_id="recordView", tags=["products"])
    async def record_view(request: AnyRequest) -> Reply:
        """A visitor looked at a product. Durable when answered; counted soon after."""
        pressure.check()
        product_id = path_id(request, "product_id")
        (body, raw) = await read_json(request, body_of)
        view = RecordView(product_id, body.visitor_id, business_time(body.at, utc_now()))
        return await perform(commerce, request, view, raw)

    return [record_view]
