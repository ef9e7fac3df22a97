"""All products with figures in a range: sorted by any of them, searched, added up, and what moved most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from projections.metric import Metric, Ratio
from projections.periods import QuestionError

from .change import change
from .export import Exported, exported
from .frame import Page, Sources
from .movers import movers
from .paging import paged
from .product_rows import Item, ProductRows, product_rows
from .selection import Selection
from .shown import PER_PRODUCT_NOTE, SHOWN, cell, cells, columns, shown_as
from .trends import trends

PRODUCTS_A_PAGE = 50
TEXTS = ("product_id", "name")
MOST_SEARCH = 200


class UnknownDirection(QuestionError):
    """Rows go up or down."""


class SearchTooLong(QuestionError):
    """No product's name or id is so long."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What was found, in the order that was asked for."""

    rows: ProductRows
    by: str
    direction: str
    drawn: Metric | Ratio
    """What is compared: the figure that the rows are sorted by, or what is earned."""
    are_any: bool
    """Whether there are some that were not searched for."""


async def _listed(sources: Sources, selection: Selection) -> Listed:
    (by, direction) = _order(selection)
    text = selection.more.get("q", "")
    if len(text) > MOST_SEARCH:
        raise SearchTooLong(f"the search has {len(text):,} characters; use at most {MOST_SEARCH}")
    rows = await product_rows(sources.figures, selection)
    drawn = shown_as(SHOWN[0].name if by in TEXTS else by)
    found = rows.found(text).ordered(by, down=direction == "down")
    return Listed(found, by, direction, drawn, len(rows) > 0)


def _order(selection: Selection) -> tuple[str, str]:
    by = selection.more.get("sort", SHOWN[0].name)
    if by not in TEXTS:
        shown_as(by)
    direction = selection.more.get("dir", "up" if by in TEXTS else "down")
    if direction not in ("up", "down"):
        raise UnknownDirection(f"no direction {direction[:32]!r}; there are up and down")
    return by, direction


async def _fill(sources: Sources, selection: Selection) -> Mapping[str, Any]:
    listed = await _listed(sources, selection)
    (numbers, pager) = paged(range(len(listed.rows)), selection, PRODUCTS_A_PAGE)
    shown = listed.rows.items(numbers)
    lines = await trends(sources.figures, selection, listed.drawn, [one.product_id for one in shown])
    compares = selection.compared is not None
    return {
        "columns": columns(over_products=False),
        "total_columns": columns(over_products=True),
        "rows": [_line(one, listed.drawn, lines.get((one.product_id, one.currency), "")) for one in shown],
        "totals": _totals(listed),
        "movers": movers(listed.rows, listed.drawn) if compares else None,
        "drawn": listed.drawn,
        "compared": compares,
        "pager": pager,
        "note": PER_PRODUCT_NOTE,
        "q": selection.more.get("q", ""),
        "by": listed.by,
        "direction": listed.direction,
        "sort_link": lambda name: _sort_link(selection, name, listed.by, listed.direction),
        "never": not listed.are_any and await sources.figures.extent(await sources.figures.serving()) is None,
    }


def _line(one: Item, drawn: Metric | Ratio, trend: str) -> dict[str, Any]:
    return {
        "item": one,
        "cells": cells(one.row),
        "trend": trend,
        "before": None if one.before is None else cell(drawn, one.before),
        "change": None if one.before is None else change(one.row[drawn.name], one.before[drawn.name]),
    }


def _totals(listed: Listed) -> list[dict[str, Any]]:
    return [_line(Item("", "", now["currency"], now, before), listed.drawn, "") for now, before in listed.rows.totals()]


def _sort_link(selection: Selection, name: str, by: str, direction: str) -> str:
    first = "up" if name in TEXTS else "down"
    other = "down" if direction == "up" else "up"
    return selection.link(sort=name, dir=other if name == by else first, page=None)


async def _export(sources: Sources, selection: Selection) -> pl.DataFrame:
    """Every row that was found, in its order; not the page of them alone."""
    listed = await _listed(sources, selection)
    rows: list[Exported] = [
        ({"product_id": one.product_id, "name": one.name}, one.row, {}, one.before) for one in listed.rows.items()
    ]
    return exported(rows, TEXTS, listed.drawn.name if selection.compared is not None else "")


PRODUCTS = Page("/products", "Products", "products.html", _fill, choices=("q", "sort", "dir", "page"), export=_export)
