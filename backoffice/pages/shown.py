"""Figures as pages show them: columns, cells and totals, made from the catalogue, so a new metric appears by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from msgspec import Struct

from backoffice.money import major, money
from projections.catalogue import METRICS
from projections.figures import AMOUNTS, RATIOS, UnknownMetric, counted_per_product, with_ratios
from projections.metric import Metric, Ratio, Unit
from projections.sales import NET

Row = Mapping[str, Any]

_COMPLEMENTED = frozenset({"traced_refunds", "traced_refunded_minor"})
"""Refunds of known sales stand in no table: those of unknown sales do, and all."""
SHOWN: tuple[Metric | Ratio, ...] = (
    NET,
    *(metric for metric in METRICS if metric.name not in _COMPLEMENTED),
    *(amount for amount in AMOUNTS if amount is not NET),
    *RATIOS,
)
"""The order of columns and cards: what is earned first."""

PER_PRODUCT_NOTE = (
    "Counted per product: an order or a refund of several products counts once for each of them, so this is not the "
    "number of orders."
)


class Cell(Struct, frozen=True):
    """One figure. A table of a year has ten thousand, each of which is shown in one of these ways."""

    of: Metric | Ratio
    value: float | None
    currency: str

    @property
    def metric(self) -> str:
        return self.of.name

    @property
    def negative(self) -> bool:
        return self.value is not None and self.value < 0

    @property
    def text(self) -> str:
        return text_of(self.of, self.value, self.currency)

    @property
    def amount(self) -> str:
        """For a chart: a plain number, money in its major unit."""
        if self.value is None:
            return ""
        return str(major(int(self.value), self.currency)) if self.of.unit is Unit.MONEY else str(self.value)


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    title: str
    per_product: bool
    """Over several products it counts an event more than once; see the note."""


def columns(*, over_products: bool) -> list[Column]:
    """`over_products` is whether a row adds several products up."""
    often = counted_per_product() if over_products else frozenset()
    derived = {ratio.name for ratio in RATIOS if _roots(ratio) & often}
    return [_column(metric, metric.name in often | derived) for metric in SHOWN]


def _column(metric: Metric | Ratio, per_product: bool) -> Column:
    title = f"{metric.title} (per product)" if per_product and metric.unit is Unit.COUNT else metric.title
    return Column(metric.name, title, per_product)


def _roots(ratio: Ratio) -> frozenset[str]:
    return frozenset(ratio.expression.meta.root_names())


def shown_as(name: str) -> Metric | Ratio:
    """Raises UnknownMetric for what is no column."""
    known = {metric.name: metric for metric in SHOWN}
    if name not in known:
        raise UnknownMetric(f"no metric {name[:64]!r}; there are {', '.join(known)}")
    return known[name]


def cells(row: Row) -> list[Cell]:
    """The figures of one row of an answer, in the order of `columns`."""
    return [cell(metric, row) for metric in SHOWN]


def cell(metric: Metric | Ratio, row: Row) -> Cell:
    return Cell(metric, row[metric.name], row["currency"])


def text_of(metric: Metric | Ratio, value: float | None, currency: str) -> str:
    if value is None:
        return "–"
    if metric.unit is Unit.MONEY:
        return money(int(value), currency)
    return f"{value * 100:,.1f} %" if metric.unit is Unit.RATIO else f"{value:,}"


def totals(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One row per currency: the metrics added up, and what is derived from them derived from the sums."""
    sums = summed((row["currency"], row) for row in rows)
    return [{"currency": currency, **sums[currency]} for currency in sorted(sums)]


def summed(rows: Iterable[tuple[str, Row]]) -> dict[str, dict[str, Any]]:
    """Label → the sums of its rows, with what is derived from them; labels in the order they came in."""
    sums: dict[str, dict[str, int]] = {}
    for label, row in rows:
        of_label = sums.setdefault(label, dict.fromkeys(_ADDED, 0))
        for name in _ADDED:
            of_label[name] += row[name]
    # 128 bits: sums over many rows may pass what one row can hold.
    frame = pl.DataFrame(list(sums.values()), schema=dict.fromkeys(_ADDED, pl.Int128), orient="row")
    return dict(zip(sums, _derived(frame), strict=True))


def totals_of(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """As `totals`, of rows that are columns still."""
    return _derived(rows.group_by("currency").agg(pl.col(_ADDED).cast(pl.Int128).sum()).sort("currency"))


_ADDED = tuple(metric.name for metric in METRICS)


def _derived(sums: pl.DataFrame) -> list[dict[str, Any]]:
    amounts = sums.with_columns([ratio.expression.alias(ratio.name) for ratio in AMOUNTS])
    return with_ratios(amounts).to_dicts()
