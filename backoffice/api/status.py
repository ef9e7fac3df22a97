"""`/api/status`: the pipeline as `countinghouse status --json` prints it."""

from __future__ import annotations

from litestar import get
from litestar.handlers import HTTPRouteHandler

from backoffice.pipeline import Pipeline
from backoffice.pipeline_status import PipelineStatus
from backoffice.problems import RESPONSES
from backoffice.sign_in.access import needs
from backoffice.sign_in.roles import Role
from event_store.tokens import Scope


def route(pipeline: Pipeline) -> HTTPRouteHandler:
    @get(
        "/api/status",
        opt=needs(Role.VIEWER, Scope.STATUS),
        responses={503: RESPONSES[503]},
        summary="Where every event is",
        operation_id="status",
        tags=["pipeline"],
    )
    async def answer() -> PipelineStatus:
        return await pipeline.status()

    return answer
