"""All products with figures in a range: sorted by any of them, searched, and added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from projections.figures import Question, figures, metric_named
from projections.listings import LISTINGS
from projections.periods import QuestionError

from .frame import Page, Sources
from .paging import paged
from .selection import Selection
from .shown import PER_PRODUCT_NOTE, SHOWN, Row, cells, columns, totals

PRODUCTS_A_PAGE = 50
TEXTS = ("product_id", "name")


class UnknownDirection(QuestionError):
    """Rows go up or down."""


async def _fill(sources: Sources, selection: Selection) -> Mapping[str, Any]:
    question = Question(("product",), selection.tz, selection.asked, ratios=True)
    answer = await figures(sources.figures, question)
    names = await _names(sources)
    rows = [{**row, "name": names.get(row["product_id"], "")} for row in answer.to_dicts()]
    found = _found(rows, selection.more.get("q", ""))
    (by, direction) = _order(selection)
    (shown, pager) = paged(_ordered(found, by, direction), selection, PRODUCTS_A_PAGE)
    return {
        "columns": columns(over_products=False),
        "total_columns": columns(over_products=True),
        "rows": [(row["product_id"], row["name"], row["currency"], cells(row)) for row in shown],
        "totals": [(row["currency"], cells(row)) for row in totals(found)],
        "pager": pager,
        "note": PER_PRODUCT_NOTE,
        "q": selection.more.get("q", ""),
        "by": by,
        "direction": direction,
        "sort_link": lambda name: _sort_link(selection, name, by, direction),
        "never": not rows and await sources.figures.extent(await sources.figures.serving()) is None,
    }


async def _names(sources: Sources) -> dict[str, str]:
    listed = await sources.figures.rows(await sources.figures.serving(), LISTINGS.name)
    return dict(zip(listed["product_id"].to_list(), listed["name"].to_list(), strict=True))


def _found(rows: Sequence[Row], text: str) -> list[Row]:
    wanted = text.strip().casefold()
    return [row for row in rows if wanted in row["product_id"].casefold() or wanted in row["name"].casefold()]


def _order(selection: Selection) -> tuple[str, str]:
    by = selection.more.get("sort", SHOWN[0].name)
    if by not in TEXTS:
        metric_named(by)
    direction = selection.more.get("dir", "up" if by in TEXTS else "down")
    if direction not in ("up", "down"):
        raise UnknownDirection(f"no direction {direction[:32]!r}; there are up and down")
    return by, direction


def _ordered(rows: Sequence[Row], by: str, direction: str) -> list[Row]:
    """Rows of one value stay in the order of their keys; what has no value comes last either way."""
    valued = [row for row in rows if row[by] is not None]
    ordered = sorted(valued, key=lambda row: row[by], reverse=direction == "down")
    return [*ordered, *(row for row in rows if row[by] is None)]


def _sort_link(selection: Selection, name: str, by: str, direction: str) -> str:
    first = "up" if name in TEXTS else "down"
    other = "down" if direction == "up" else "up"
    return selection.link(sort=name, dir=other if name == by else first, page=None)


PRODUCTS = Page("/products", "Products", "products.html", _fill, choices=("q", "sort", "dir", "page"))
