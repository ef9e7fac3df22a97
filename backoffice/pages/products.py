"""All products with figures in a range: sorted by any of them, searched, added up, and what moved most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from projections.figures import Question, figures
from projections.listings import LISTINGS
from projections.metric import Metric, Ratio
from projections.periods import QuestionError, Range

from .change import change
from .course import NOTHING
from .export import Exported, exported
from .frame import Page, Sources
from .movers import movers
from .paging import paged
from .selection import Selection
from .shown import PER_PRODUCT_NOTE, SHOWN, Row, cell, cells, columns, shown_as, totals
from .trends import trends

PRODUCTS_A_PAGE = 50
TEXTS = ("product_id", "name")
MOST_SEARCH = 200


class UnknownDirection(QuestionError):
    """Rows go up or down."""


class SearchTooLong(QuestionError):
    """No product's name or id is so long."""


@dataclass(frozen=True, slots=True)
class Item:
    """One product in one currency; `before` is None where nothing is compared."""

    product_id: str
    name: str
    currency: str
    row: Row
    before: Row | None

    def value(self, by: str) -> Any:
        return {"product_id": self.product_id, "name": self.name}.get(by) if by in TEXTS else self.row[by]


@dataclass(frozen=True, slots=True)
class Listed:
    """What was found, in the order that was asked for."""

    items: Sequence[Item]
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
    items = await _items(sources, selection)
    drawn = shown_as(SHOWN[0].name if by in TEXTS else by)
    return Listed(_ordered(_found(items, text), by, direction), by, direction, drawn, bool(items))


async def _items(sources: Sources, selection: Selection) -> list[Item]:
    """By product and currency; what was sold only in the compared range stands there with nothing."""
    now = await _by_product(sources, selection, selection.asked)
    earlier = selection.compared
    before = await _by_product(sources, selection, earlier) if earlier else {}
    names = await _names(sources)
    items = []
    for key in sorted(now.keys() | before.keys()):
        (product_id, currency) = key
        none = {**NOTHING, "product_id": product_id, "currency": currency}
        compared = before.get(key, none) if earlier else None
        items.append(Item(product_id, names.get(product_id, ""), currency, now.get(key, none), compared))
    return items


async def _by_product(sources: Sources, selection: Selection, asked: Range) -> dict[tuple[str, str], Row]:
    rows = (await figures(sources.figures, Question(("product",), selection.tz, asked, ratios=True))).to_dicts()
    return {(row["product_id"], row["currency"]): row for row in rows}


async def _names(sources: Sources) -> dict[str, str]:
    listed = await sources.figures.rows(await sources.figures.serving(), LISTINGS.name)
    return dict(zip(listed["product_id"].to_list(), listed["name"].to_list(), strict=True))


def _found(items: Sequence[Item], text: str) -> list[Item]:
    wanted = text.strip().casefold()
    return [one for one in items if wanted in one.product_id.casefold() or wanted in one.name.casefold()]


def _order(selection: Selection) -> tuple[str, str]:
    by = selection.more.get("sort", SHOWN[0].name)
    if by not in TEXTS:
        shown_as(by)
    direction = selection.more.get("dir", "up" if by in TEXTS else "down")
    if direction not in ("up", "down"):
        raise UnknownDirection(f"no direction {direction[:32]!r}; there are up and down")
    return by, direction


def _ordered(items: Sequence[Item], by: str, direction: str) -> list[Item]:
    """Rows of one value stay in the order of their keys; what has no value comes last either way."""
    valued = [one for one in items if one.value(by) is not None]
    ordered = sorted(valued, key=lambda one: one.value(by), reverse=direction == "down")
    return [*ordered, *(one for one in items if one.value(by) is None)]


async def _fill(sources: Sources, selection: Selection) -> Mapping[str, Any]:
    listed = await _listed(sources, selection)
    (shown, pager) = paged(listed.items, selection, PRODUCTS_A_PAGE)
    lines = await trends(sources.figures, selection, listed.drawn, [one.product_id for one in shown])
    compares = selection.compared is not None
    return {
        "columns": columns(over_products=False),
        "total_columns": columns(over_products=True),
        "rows": [_line(one, listed.drawn, lines.get((one.product_id, one.currency), "")) for one in shown],
        "totals": _totals(listed),
        "movers": movers(listed.items, listed.drawn) if compares else None,
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
    before = {row["currency"]: row for row in totals(one.before for one in listed.items if one.before is not None)}
    found = []
    for row in totals(one.row for one in listed.items):
        item = Item("", "", row["currency"], row, before.get(row["currency"]))
        found.append(_line(item, listed.drawn, ""))
    return found


def _sort_link(selection: Selection, name: str, by: str, direction: str) -> str:
    first = "up" if name in TEXTS else "down"
    other = "down" if direction == "up" else "up"
    return selection.link(sort=name, dir=other if name == by else first, page=None)


async def _export(sources: Sources, selection: Selection) -> pl.DataFrame:
    """Every row that was found, in its order; not the page of them alone."""
    listed = await _listed(sources, selection)
    rows: list[Exported] = [
        ({"product_id": one.product_id, "name": one.name}, one.row, {}, one.before) for one in listed.items
    ]
    return exported(rows, TEXTS, listed.drawn.name if selection.compared is not None else "")


PRODUCTS = Page("/products", "Products", "products.html", _fill, choices=("q", "sort", "dir", "page"), export=_export)
