"""`/api/status/trend`: the last hour of the pipeline, as far as this dashboard has seen it."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta, Struct

from backoffice.instants import instant
from backoffice.pipeline import Pipeline
from backoffice.pipeline_status import CompletenessStamp
from backoffice.pipeline_trend import TrendMinute
from backoffice.problems import RESPONSES
from backoffice.sign_in.access import needs
from backoffice.sign_in.roles import Role
from event_store.tokens import Scope


class TrendAnswer(Struct, frozen=True):
    completeness: CompletenessStamp
    minutes: Annotated[list[TrendMinute], Meta(description="oldest first; none from before the dashboard's start")]


def route(pipeline: Pipeline) -> HTTPRouteHandler:
    @get(
        "/api/status/trend",
        opt=needs(Role.VIEWER, Scope.STATUS),
        responses={503: RESPONSES[503]},
        summary="The pipeline's last hour",
        operation_id="statusTrend",
        tags=["pipeline"],
    )
    async def answer() -> TrendAnswer:
        stamp = await pipeline.completeness()
        return TrendAnswer(stamp, pipeline.trend.minutes(instant(pipeline.now_us())))

    return answer
