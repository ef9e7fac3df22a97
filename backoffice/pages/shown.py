"""Figures as pages show them: cells, totals and cards, made from the catalogue, so a new metric appears by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from backoffice.money import money
from projections.catalogue import METRICS
from projections.figures import AMOUNTS, RATIOS, counted_per_product, with_ratios
from projections.metric import Metric, Ratio, Unit

Row = Mapping[str, Any]

SHOWN: tuple[Metric | Ratio, ...] = (
    *AMOUNTS,
    *METRICS,
    *RATIOS,
)
"""The order of columns and cards: what is earned first."""

PER_PRODUCT_NOTE = (
    "Counted per product: an order or a refund of several products counts once for each of them, so this is not the "
    "number of orders."
)


@dataclass(frozen=True, slots=True)
class Cell:
    metric: str
    text: str
    negative: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    title: str
    per_product: bool
    """Over several products it counts an event more than once; see the note."""


@dataclass(frozen=True, slots=True)
class Card:
    column: Column
    values: Sequence[str]
    """One, or one per currency."""
    spark: str
    """Points of its course over the days, in a box of 100 by 24; empty where there is none."""


def columns(*, over_products: bool) -> list[Column]:
    """`over_products` is whether a row adds several products up."""
    often = counted_per_product() if over_products else frozenset()
    derived = {ratio.name for ratio in RATIOS if _roots(ratio) & often}
    return [_column(metric, metric.name in often | derived) for metric in SHOWN]


def _column(metric: Metric | Ratio, per_product: bool) -> Column:
    title = f"{metric.title} (per product)" if per_product and isinstance(metric, Metric) else metric.title
    return Column(metric.name, title, per_product)


def _roots(ratio: Ratio) -> frozenset[str]:
    return frozenset(ratio.expression.meta.root_names())


def cells(row: Row) -> list[Cell]:
    """The figures of one row of an answer, in the order of `columns`."""
    return [cell(metric, row) for metric in SHOWN]


def cell(metric: Metric | Ratio, row: Row) -> Cell:
    value = row[metric.name]
    return Cell(metric.name, text_of(metric, value, row["currency"]), negative=value is not None and value < 0)


def text_of(metric: Metric | Ratio, value: float | None, currency: str) -> str:
    if value is None:
        return "–"
    if metric.unit is Unit.MONEY:
        return money(int(value), currency)
    return f"{value * 100:,.1f} %" if metric.unit is Unit.RATIO else f"{value:,}"


def totals(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One row per currency: the metrics added up, and what is derived from them derived from the sums."""
    sums: dict[str, dict[str, int]] = {}
    for row in rows:
        of_currency = sums.setdefault(row["currency"], dict.fromkeys(_ADDED, 0))
        for name in _ADDED:
            of_currency[name] += row[name]
    return [{"currency": currency, **_derived(sums[currency])} for currency in sorted(sums)]


_ADDED = tuple(metric.name for metric in METRICS)


def _derived(sums: Mapping[str, int]) -> dict[str, Any]:
    # 128 bits: sums over many rows may pass what one row can hold.
    frame = pl.DataFrame(sums, schema=dict.fromkeys(sums, pl.Int128))
    amounts = frame.with_columns([ratio.expression.alias(ratio.name) for ratio in AMOUNTS])
    return with_ratios(amounts).row(0, named=True)


def cards(by_day: Sequence[Row], *, over_products: bool) -> list[Card]:
    """A card per metric, of rows by day: amounts one value per currency, counts and ratios over all of them."""
    per_currency = totals(by_day)
    if not per_currency:
        return []
    overall = totals({**row, "currency": ""} for row in per_currency)
    return [
        _card(metric, column, per_currency if metric.unit is Unit.MONEY else overall, by_day)
        for metric, column in zip(SHOWN, columns(over_products=over_products), strict=True)
    ]


def _card(metric: Metric | Ratio, column: Column, rows: Sequence[Row], by_day: Sequence[Row]) -> Card:
    values = [cell(metric, row).text for row in rows]
    # Amounts of several currencies have no common course, and a ratio's needs every day's own sums.
    drawn = metric.unit is not Unit.RATIO and (metric.unit is not Unit.MONEY or len(rows) == 1)
    return Card(column, values, course(metric.name, by_day) if drawn else "")


MOST_POINTS = 400
"""Beyond so many days a point is several of them."""


def course(metric: str, by_day: Sequence[Row]) -> str:
    """Points of a line through each day's sum, days without figures at 0."""
    days: dict[int, int] = {}
    for row in by_day:
        number = row["day"].toordinal()
        days[number] = days.get(number, 0) + row[metric]
    if len(days) < 2:
        return ""
    (first, last) = (min(days), max(days))
    a_point = -(-(last - first + 1) // MOST_POINTS)
    values = [sum(days.get(day, 0) for day in range(at, at + a_point)) for at in range(first, last + 1, a_point)]
    (low, high) = (min(0, *values), max(0, *values))
    if low == high:
        return ""
    width = 100 / (len(values) - 1)
    return " ".join(
        f"{index * width:.1f},{23 - 22 * (value - low) / (high - low):.1f}" for index, value in enumerate(values)
    )
