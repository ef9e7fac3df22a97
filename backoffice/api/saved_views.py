"""`/api/saved-views`: the views that were saved."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import get
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta, Struct

from backoffice.instants import instant
from backoffice.problems import RESPONSES
from backoffice.saved_views import SavedViews
from backoffice.sign_in.access import needs
from backoffice.sign_in.roles import Role
from event_store.tokens import Scope


class SavedViewShown(Struct, frozen=True):
    name: str
    url: Annotated[str, Meta(description="of the page, on this dashboard")]
    made_by: str
    made_at: datetime


class SavedViewsAnswer(Struct, frozen=True):
    views: Annotated[list[SavedViewShown], Meta(description="by name")]


def route(views: SavedViews) -> HTTPRouteHandler:
    @get(
        "/api/saved-views",
        opt=needs(Role.VIEWER, Scope.FIGURES),
        responses=RESPONSES,
        summary="The views that were saved",
        operation_id="savedViews",
        tags=["figures"],
    )
    async def answer() -> SavedViewsAnswer:
        found = [SavedViewShown(one.name, one.url, one.made_by, instant(one.made_at_us)) for one in await views.all()]
        return SavedViewsAnswer(found)

    return answer
