"""`/api/rebuild`: what the page `/rebuild` shows."""

from __future__ import annotations

from litestar import get
from litestar.handlers import HTTPRouteHandler

from backoffice.pipeline import Pipeline
from backoffice.problems import RESPONSES
from backoffice.rebuild_status import RebuildStatus, rebuild_status
from backoffice.rebuilds import Rebuilds
from backoffice.sign_in.access import needs
from backoffice.sign_in.roles import Role
from event_store.tokens import Scope


def route(pipeline: Pipeline, rebuilds: Rebuilds) -> HTTPRouteHandler:
    @get(
        "/api/rebuild",
        opt=needs(Role.VIEWER, Scope.STATUS),
        responses={503: RESPONSES[503]},
        summary="A rebuild under way or the last one, and the generations",
        operation_id="rebuild",
        tags=["pipeline"],
    )
    async def answer() -> RebuildStatus:
        return await rebuild_status(pipeline, rebuilds)

    return answer
