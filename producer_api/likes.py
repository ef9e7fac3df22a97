"""Likes: a user likes a product, or no longer does."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import delete, put
from litestar.handlers import HTTPRouteHandler

from .backpressure import Backpressure
from .commerce import Commerce, Like, SetLike
from .http_call import AnyRequest, Reply, path_id, respond, traced
from .openapi import Described
from .products import PATH
from .refusals import INVALID_FIELD, OUTBOX_BACKLOG, UNKNOWN_PRODUCT

LIKING = Described(answers={200: Like}, problems=(INVALID_FIELD, UNKNOWN_PRODUCT, OUTBOX_BACKLOG))


def routes(commerce: Commerce, pressure: Backpressure) -> Sequence[HTTPRouteHandler]:
    path = f"{PATH}/likes/{{user_id:str}}"

    async def set_like(request: AnyRequest, liked: bool) -> Reply:
        pressure.check()
        command = SetLike(path_id(request, "product_id"), path_id(request, "user_id"), liked)
        return respond(await commerce.perform(traced(request, command)))

    @put(path, operation_class=LIKING.operation(), operation_id="like", tags=["products"])
    async def like(request: AnyRequest) -> Reply:
        """The user likes the product. An event follows only when that is new."""
        return await set_like(request, liked=True)

    @delete(path, status_code=200, operation_class=LIKING.operation(), operation_id="unlike", tags=["products"])
    async def unlike(request: AnyRequest) -> Reply:
        """The user no longer likes the product. An event follows only when that is new."""
        return await set_like(request, liked=False)

    return [like, unlike]
