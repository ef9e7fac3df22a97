"""`/api/figures`: the figures that `countinghouse figures` prints, as JSON with their completeness."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Meta, Struct, field

from backoffice.pipeline import Pipeline
from backoffice.pipeline_status import CompletenessStamp
from backoffice.problems import RESPONSES
from backoffice.sign_in.access import needs
from backoffice.sign_in.roles import Role
from event_store.tokens import Scope
from projections.figures import Question, figures, grouping
from projections.periods import QuestionError, range_named
from projections.read_model import FiguresReader

from .parameters import First, Last, Zone

MAX_ROWS = 100_000
PARAMETERS = frozenset({"by", "tz", "from", "to", "product", "ratios"})


class TooManyRows(QuestionError):
    """The answer is too long to send at once."""


class UnknownParameter(QuestionError):
    """A misspelt parameter that was read over would give figures of something else."""


class FigureColumn(Struct, frozen=True):
    name: str
    title: str
    unit: Annotated[str, Meta(description="count, minor units of the row's currency, or ratio")]


class FiguresAnswer(Struct, frozen=True, rename={"first": "from", "last": "to"}):
    completeness: CompletenessStamp
    by: list[str]
    tz: str
    first: str | None
    last: str | None
    products: list[str] | None
    columns: list[FigureColumn]
    rows: Annotated[list[dict[str, Any]], Meta(description="keys first, sorted by them; money in minor units")] = field(
        default_factory=list
    )


By = Annotated[
    str,
    QueryParameter(description="product and one of 15min, hour, day, week (ISO), month: product,day; empty: one sum"),
]
Products = Annotated[list[str] | None, QueryParameter(name="product", description="product ids, repeated")]
Ratios = Annotated[bool, QueryParameter(description="with the ratios, null where there is nothing to divide by")]


def route(reader: FiguresReader, pipeline: Pipeline, default_tz: str) -> HTTPRouteHandler:
    @get(
        "/api/figures",
        opt=needs(Role.VIEWER, Scope.FIGURES),
        responses=RESPONSES,
        summary="Figures",
        operation_id="figures",
        tags=["figures"],
    )
    async def answer(
        request: Request[Any, Any, Any],
        by: By = "product",
        tz: Zone = default_tz,
        first: First = None,
        last: Last = None,
        products: Products = None,
        ratios: Ratios = False,
    ) -> FiguresAnswer:
        _check_parameters(request)
        asked = range_named(first, last)
        question = Question(grouping(by), tz, asked, tuple(products) if products else None, ratios)
        stamp = await pipeline.completeness()
        return await _answer(reader, question, stamp)

    return answer


async def _answer(reader: FiguresReader, question: Question, stamp: CompletenessStamp) -> FiguresAnswer:
    rows = await figures(reader, question)
    if rows.height > MAX_ROWS:
        raise TooManyRows(f"the answer has {rows.height} rows, the most is {MAX_ROWS}; ask for fewer days or products")
    (first, last) = (question.asked.first, question.asked.last)
    return FiguresAnswer(
        completeness=stamp,
        by=list(question.by),
        tz=question.tz,
        first=first.isoformat() if first else None,
        last=last.isoformat() if last else None,
        products=None if question.products is None else list(question.products),
        columns=[FigureColumn(one.name, one.title, one.unit.value) for one in question.columns],
        rows=rows.to_dicts(),
    )


def _check_parameters(request: Request[Any, Any, Any]) -> None:
    unknown = sorted(set(request.query_params.keys()) - PARAMETERS)
    if unknown:
        raise UnknownParameter(f"no parameter {unknown[0][:64]!r}; there are {', '.join(sorted(PARAMETERS))}")
