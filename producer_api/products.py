"""Products: listed, changed and read."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated

import msgspec
from litestar import get, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Struct

from event_store.events import AmountMinor

from .commerce import Commerce, Currency, ListProduct, Name, Product, encode
from .http_call import AnyRequest, Reply, path_id, read_json, respond, traced
from .openapi import Described
from .refusals import INVALID_FIELD, UNKNOWN_PRODUCT, FieldError, Refused

PATH = "/v1/products/{product_id:str}"
MAX_PAGE = 200


class ProductBody(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    price_minor: AmountMinor
    currency: Currency


class ProductPage(Struct, frozen=True):
    products: list[Product]
    next: str | None
    """The cursor of the next page; None on the last one."""


LISTING = Described(answers={200: Product, 201: Product}, body=ProductBody)
READING = Described(answers={200: Product}, problems=(INVALID_FIELD, UNKNOWN_PRODUCT))
PAGING = Described(answers={200: ProductPage}, problems=(INVALID_FIELD,))

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="products on one page")]
Cursor = Annotated[str | None, QueryParameter(max_length=400, description="`next` of the page before")]


def routes(commerce: Commerce) -> Sequence[HTTPRouteHandler]:
    body_of = msgspec.json.Decoder(ProductBody)

    @put(PATH, operation_class=LISTING.operation(), operation_id="listProduct", tags=["products"])
    async def list_product(request: AnyRequest) -> Reply:
        """Lists a product, or changes it. What is unchanged makes no event."""
        product_id = path_id(request, "product_id")
        (body, _) = await read_json(request, body_of)
        command = ListProduct(product_id, body.name, body.price_minor, body.currency)
        return respond(await commerce.perform(traced(request, command)))

    @get(PATH, operation_class=READING.operation(), operation_id="readProduct", tags=["products"])
    async def read_product(request: AnyRequest) -> Reply:
        """A product as it stands."""
        product_id = path_id(request, "product_id")
        product = await commerce.product(product_id)
        if product is None:
            raise Refused(UNKNOWN_PRODUCT, f"No product {product_id!r} is listed.")
        return Reply(200, encode(product))

    @get("/v1/products", operation_class=PAGING.operation(), operation_id="readProducts", tags=["products"])
    async def read_products(limit: Limit = 50, cursor: Cursor = None) -> Reply:
        """The products in the order of their ids, page by page."""
        found = await commerce.products(_after(cursor), limit + 1)
        page = ProductPage(list(found[:limit]), _cursor(found[limit - 1].product_id) if len(found) > limit else None)
        if page.next is None:
            return Reply(200, encode(page))
        link = f'</v1/products?limit={limit}&cursor={page.next}>; rel="next"'
        return Reply(200, encode(page), [(b"link", link.encode())])

    return [list_product, read_product, read_products]


def _cursor(product_id: str) -> str:
    return base64.urlsafe_b64encode(product_id.encode()).decode().rstrip("=")


def _after(cursor: str | None) -> str:
    if not cursor:
        return ""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        detail = "is not one that this API gave"
        raise Refused(INVALID_FIELD, f"The cursor {detail}.", [FieldError("cursor", detail)]) from error
