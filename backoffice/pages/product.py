"""One product: how it is listed, and its figures and their course in a range."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import polars as pl
from litestar.exceptions import NotFoundException

from projections.figures import Question, figures
from projections.listings import LISTINGS

from .cards import cards
from .chart import chart
from .course import Course, course
from .export import course_rows
from .frame import Page, Sources
from .refunds import refunds
from .selection import Selection


async def _fill(sources: Sources, selection: Selection) -> Mapping[str, Any]:
    product_id = selection.more.get("id", "")
    listing = await _listing(sources, product_id)
    found = await _course(sources, selection)
    if listing is None and not found.has_figures and not await _has_figures(sources, product_id):
        raise NotFoundException(f"No product {product_id!r} is listed, sold or looked at.")
    return {
        "title": listing["name"] if listing else product_id,
        "product_id": product_id,
        "listing": listing,
        "cards": cards(found, over_products=False),
        "chart": chart(found, selection, over_products=False),
        "refunds": refunds(found),
        "note": "",
        "explain": _explain(selection, product_id),
    }


async def _course(sources: Sources, selection: Selection) -> Course:
    return await course(sources.figures, selection, (selection.more.get("id", ""),))


async def _listing(sources: Sources, product_id: str) -> dict[str, Any] | None:
    listed = await sources.figures.rows(await sources.figures.serving(), LISTINGS.name)
    rows = listed.filter(pl.col("product_id") == product_id).to_dicts()
    return rows[0] if rows else None


async def _has_figures(sources: Sources, product_id: str) -> bool:
    return not (await figures(sources.figures, Question(products=(product_id,)))).is_empty()


def _explain(selection: Selection, product_id: str) -> str:
    """The command that opens a day down to its events, where it is one day that is shown."""
    if selection.length_days != 1:
        return ""
    return (
        f"countinghouse explain --product {shlex.quote(product_id)} --day {selection.ends[0]} "
        f"--tz {shlex.quote(selection.tz)} --metric gross_minor"
    )


async def _export(sources: Sources, selection: Selection) -> pl.DataFrame:
    return course_rows(await _course(sources, selection), selection)


PRODUCT = Page(
    "/product", "Product", "product.html", _fill, choices=("id", "metric"), under="/products", export=_export
)
