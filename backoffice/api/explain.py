"""`/api/explain`: the events behind a figure, paged by cursor, with their sum and the figure."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Meta, Struct

from backoffice.behind import EventsBehind, FigureAsked, bucket_named, events_behind, step_named
from backoffice.pipeline import Pipeline
from backoffice.pipeline_status import CompletenessStamp
from backoffice.problems import RESPONSES
from backoffice.sign_in.access import needs
from backoffice.sign_in.roles import Role
from backoffice.whole_number import whole_number
from event_store.tokens import Scope
from projections.explain import Explainer
from projections.figures import COLUMNS, PERIODS
from projections.periods import QuestionError, range_named

from .parameters import First, Last, Zone

MOST_EVENTS = 1000


class BadCursor(QuestionError):
    """A cursor is what the answer before said."""

    def __init__(self, cursor: str) -> None:
        super().__init__(f"{cursor[:32]!r} is no cursor; use `next` of the answer before")


class ContributionAnswer(Struct, frozen=True):
    topic: str
    partition: int
    offset: int
    id: str
    event: str
    time: str
    contribution: int


class ExplainedAnswer(Struct, frozen=True):
    metric: str
    currency: str
    figure: Annotated[int, Meta(description="what the figures say")]
    sum: Annotated[int, Meta(description="of the contributions of all its events, not only of those shown here")]
    equal: bool
    events: int
    contributions: Annotated[list[ContributionAnswer], Meta(description="by time, then by place in the log")]


class ExplainAnswer(Struct, frozen=True):
    completeness: CompletenessStamp
    explained: Annotated[list[ExplainedAnswer], Meta(description="one per currency")]
    next: Annotated[str | None, Meta(description="give it as `after` for the events that follow; null at the end")]


Metric = Annotated[
    str,
    QueryParameter(description="a metric of /api/figures that is no ratio", enum=[one.name for one in COLUMNS]),
]
Product = Annotated[str | None, QueryParameter(description="product id; default: all products")]
At = Annotated[str | None, QueryParameter(description="one step of those days, as /api/figures names it")]
Step = Annotated[str, QueryParameter(name="interval", description="which step `at` names", enum=list(PERIODS))]
Until = Annotated[
    str | None, QueryParameter(description="ends them earlier, at a quarter of an hour such as 2011-03-27T14:15+01:00")
]
Currency = Annotated[str | None, QueryParameter(description="e.g. GBP; default: each")]
After = Annotated[str | None, QueryParameter(description="`next` of the answer before")]
Most = Annotated[int, QueryParameter(ge=1, le=MOST_EVENTS, description="events of each currency in one answer")]


def route(explainer: Explainer, pipeline: Pipeline, default_tz: str) -> HTTPRouteHandler:
    @get(
        "/api/explain",
        opt=needs(Role.VIEWER, Scope.FIGURES),
        responses=RESPONSES,
        summary="The events behind a figure",
        operation_id="explain",
        tags=["figures"],
    )
    async def answer(  # noqa: PLR0913, PLR0917 - each is a parameter of the URL
        metric: Metric,
        product: Product = None,
        tz: Zone = default_tz,
        first: First = None,
        last: Last = None,
        at: At = None,
        step: Step = "hour",
        until: Until = None,
        currency: Currency = None,
        after: After = None,
        most: Most = 100,
    ) -> ExplainAnswer:
        days = replace(range_named(first, last), before=bucket_named(until) if until else None)
        asked = FigureAsked(metric, tz, days, step_named(step, at), product, currency)
        start = 0 if after is None else whole_number(after, 12, BadCursor(after))
        stamp = await pipeline.completeness()
        found = await events_behind(explainer, asked, start, most)
        goes_on = any(one.explanation.events > start + most for one in found)
        return ExplainAnswer(stamp, [_explained(one) for one in found], str(start + most) if goes_on else None)

    return answer


def _explained(one: EventsBehind) -> ExplainedAnswer:
    explained = one.explanation
    return ExplainedAnswer(
        explained.metric.name,
        explained.currency,
        explained.figure,
        explained.total,
        explained.adds_up,
        explained.events,
        [
            ContributionAnswer(
                part.tp.topic, part.tp.partition, part.offset, part.event_id, part.event, part.time, part.contribution
            )
            for part in one.contributions
        ],
    )
