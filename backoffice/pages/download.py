"""What a page shows as a file: CSV, a workbook (XLSX) or Parquet.

No text of it is taken for a formula. In a workbook and in Parquet a text is typed as one; CSV has no types, so there
a text that begins like a formula gets a leading apostrophe (OWASP, CSV injection). For the exact text of a CSV use
`countinghouse figures` or `/api/figures`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import polars as pl
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from backoffice.sign_in.access import needs
from backoffice.sign_in.roles import Role
from event_store.tokens import Scope
from projections.periods import QuestionError

from .frame import Page, Sources, WebRequest, choice

FORMULA_STARTS = r"^[=+\-@\t\r\x00＝＋－＠]"
PATHS = ("/figures.csv", "/figures.xlsx", "/figures.parquet")


class UnknownDownload(QuestionError):
    """No page of that name shows figures."""


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


def as_csv(rows: pl.DataFrame) -> bytes:
    return without_formulas(rows).write_csv().encode()


def as_parquet(rows: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    rows.write_parquet(buffer)
    return buffer.getvalue()


def as_workbook(rows: pl.DataFrame) -> bytes:
    """Texts stay texts: what begins with `=` is no formula there, nor is an address a link."""
    from xlsxwriter import Workbook  # noqa: PLC0415  # a tenth of a second that only a download needs

    buffer = io.BytesIO()
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with Workbook(buffer, {**options, "in_memory": True}) as workbook:
        rows.write_excel(workbook, "Figures", autofit=True, freeze_panes=(1, 0), table_style="Table Style Light 1")
    return buffer.getvalue()


FORMS: dict[str, tuple[str, Callable[[pl.DataFrame], bytes]]] = {
    "csv": ("text/csv; charset=utf-8", as_csv),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", as_workbook),
    "parquet": ("application/vnd.apache.parquet", as_parquet),
}


def route(sources: Sources, pages: Sequence[Page]) -> HTTPRouteHandler:
    by_name = {page.title.lower(): page for page in pages if page.export is not None}

    @get(list(PATHS), include_in_schema=False, opt=needs(Role.ANALYST, Scope.FIGURES))
    async def download(request: WebRequest) -> Response[bytes]:
        name = request.query_params.get("of", "overview")
        page = by_name.get(name)
        if page is None or page.export is None:
            raise UnknownDownload(f"nothing is called {name[:32]!r}; there are {', '.join(by_name)}")
        form = request.scope["path"].rpartition(".")[2]
        (media_type, written) = FORMS[form]
        rows = await page.export(sources, await choice(request, sources, page))
        disposition = f'attachment; filename="{name}.{form}"'
        return Response(written(rows), media_type=media_type, headers={"Content-Disposition": disposition})

    return download
