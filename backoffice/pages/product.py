"""One product: how it is listed, its days, and the hours of one of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import polars as pl
from litestar.exceptions import NotFoundException

from projections.figures import Question, figures
from projections.listings import LISTINGS
from projections.periods import ALWAYS, Range, day_named

from .frame import Page, Sources
from .paging import paged
from .selection import Selection
from .shown import cards, cells, columns, totals

DAYS_A_PAGE = 31


async def _fill(sources: Sources, selection: Selection) -> Mapping[str, Any]:
    product_id = selection.more.get("id", "")
    listing = await _listing(sources, product_id)
    by_day = await _days(sources, selection, product_id, selection.asked)
    if listing is None and not by_day and not await _days(sources, selection, product_id, ALWAYS):
        raise NotFoundException(f"No product {product_id!r} is listed, sold or looked at.")
    (shown, pager) = paged(by_day[::-1], selection, DAYS_A_PAGE)
    return {
        "title": listing["name"] if listing else product_id,
        "product_id": product_id,
        "listing": listing,
        "cards": cards(by_day, over_products=False),
        "columns": columns(over_products=False),
        "rows": [(row["day"], row["currency"], cells(row)) for row in shown],
        "totals": [(row["currency"], cells(row)) for row in totals(by_day)],
        "pager": pager,
        **await _hours(sources, selection, product_id),
    }


async def _listing(sources: Sources, product_id: str) -> dict[str, Any] | None:
    listed = await sources.figures.rows(await sources.figures.serving(), LISTINGS.name)
    rows = listed.filter(pl.col("product_id") == product_id).to_dicts()
    return rows[0] if rows else None


async def _days(sources: Sources, selection: Selection, product_id: str, asked: Range) -> list[dict[str, Any]]:
    question = Question(("day",), selection.tz, asked, (product_id,), ratios=True)
    return (await figures(sources.figures, question)).to_dicts()


async def _hours(sources: Sources, selection: Selection, product_id: str) -> Mapping[str, Any]:
    """The hours of the chosen day, and how to open it down to its events."""
    if "day" not in selection.more:
        return {"day": None}
    day = day_named(selection.more["day"])
    question = Question(("hour",), selection.tz, Range(day, day), (product_id,), ratios=True)
    rows = (await figures(sources.figures, question)).to_dicts()
    return {
        "day": day,
        "hours": [(row["hour"], row["currency"], cells(row)) for row in rows],
        "explain": f"countinghouse explain --product {shlex.quote(product_id)} --day {day} "
        f"--tz {shlex.quote(selection.tz)} --metric gross_minor",
    }


PRODUCT = Page("/product", "Product", "product.html", _fill, choices=("id", "day", "page"), under="/products")
