"""The overview: what the shop earned, sold and was looked at in a range of days, and each of the days."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from projections.figures import Question, figures

from .frame import Page, Sources
from .paging import paged
from .selection import Selection
from .shown import PER_PRODUCT_NOTE, cards, cells, columns, totals

DAYS_A_PAGE = 31


async def _fill(sources: Sources, selection: Selection) -> Mapping[str, Any]:
    question = Question(("day",), selection.tz, selection.asked, ratios=True)
    rows = (await figures(sources.figures, question)).to_dicts()
    (shown, pager) = paged(rows[::-1], selection, DAYS_A_PAGE)
    return {
        "cards": cards(rows, over_products=True),
        "columns": columns(over_products=True),
        "rows": [(row["day"], row["currency"], cells(row)) for row in shown],
        "totals": [(row["currency"], cells(row)) for row in totals(rows)],
        "pager": pager,
        "note": PER_PRODUCT_NOTE,
        "never": not rows and await sources.figures.extent(await sources.figures.serving()) is None,
    }


OVERVIEW = Page("/", "Overview", "overview.html", _fill, choices=("page",))
