"""The overview: what the shop earned, sold and was looked at in a range, and its course."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from .cards import cards
from .chart import chart
from .course import course
from .export import course_rows
from .frame import Page, Sources
from .selection import Selection
from .shown import PER_PRODUCT_NOTE


async def _fill(sources: Sources, selection: Selection) -> Mapping[str, Any]:
    found = await course(sources.figures, selection)
    return {
        "cards": cards(found, over_products=True),
        "chart": chart(found, selection, over_products=True),
        "note": PER_PRODUCT_NOTE,
        "never": not found.steps and await sources.figures.extent(await sources.figures.serving()) is None,
    }


async def _export(sources: Sources, selection: Selection) -> pl.DataFrame:
    return course_rows(await course(sources.figures, selection), selection)


OVERVIEW = Page("/", "Overview", "overview.html", _fill, choices=("metric",), export=_export)
