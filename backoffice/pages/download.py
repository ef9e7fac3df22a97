"""Figures as a file for a spreadsheet: what the pages show, with text that a spreadsheet can't take for a formula.

A text that begins like a formula gets a leading apostrophe (OWASP, CSV injection); numbers stay numbers. For the
exact text use `countinghouse figures` or `/api/figures`.
"""

from __future__ import annotations

import polars as pl
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from backoffice.sign_in.access import needs
from backoffice.sign_in.roles import Role
from event_store.tokens import Scope
from projections.figures import Question, figures, grouping

from .frame import Sources, WebRequest
from .selection import selected

FORMULA_STARTS = r"^[=+\-@\t\r\x00＝＋－＠]"


def without_formulas(answer: pl.DataFrame) -> pl.DataFrame:
    """The same rows, texts that begin like a formula led by an apostrophe."""
    texts = [pl.col(name) for name, kind in answer.schema.items() if kind == pl.String]
    led = [(pl.lit("'") + text).alias(text.meta.output_name()) for text in texts]
    return answer.with_columns(
        [
            pl.when(text.str.contains(FORMULA_STARTS)).then(quoted).otherwise(text)
            for text, quoted in zip(texts, led, strict=True)
        ]
    )


def route(sources: Sources) -> HTTPRouteHandler:
    @get("/figures.csv", include_in_schema=False, media_type="text/csv", opt=needs(Role.ANALYST, Scope.FIGURES))
    async def download(request: WebRequest) -> Response[bytes]:
        query = request.query_params
        selection = selected(query, sources.default_tz, sources.pipeline.now_us())
        products = tuple(query.getall("id", [])) or None
        by = grouping(query.get("by", "product"))
        answer = await figures(sources.figures, Question(by, selection.tz, selection.asked, products, ratios=True))
        return Response(
            without_formulas(answer).write_csv().encode(),
            headers={"Content-Disposition": 'attachment; filename="figures.csv"'},
        )

    return download
