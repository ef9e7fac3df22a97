"""What a page shows as the rows of a file: the same figures in the same order, amounts in major units, exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from backoffice.money import exponent_of, major
from projections.figures import RATIOS, metric_named
from projections.metric import Unit

from .course import Course
from .selection import Selection
from .shown import SHOWN, Row

MINOR = "_minor"
COMPARED = "compared_"


def course_rows(course: Course, selection: Selection) -> pl.DataFrame:
    """The steps, newest first, with the drawn figure of the compared period."""
    drawn = selection.more.get("metric", SHOWN[0].name)
    rows = []
    for step in reversed(course.steps):
        keys: dict[str, Any] = {course.interval: step.label}
        before = {} if step.before is None else {f"{COMPARED}{course.interval}": step.before_label}
        rows.append((keys, step.row, before, step.before))
    texts = [course.interval, *([f"{COMPARED}{course.interval}"] if course.is_compared else [])]
    return exported(rows, texts, drawn if course.is_compared else "")


Exported = tuple[Mapping[str, Any], Row, Mapping[str, Any], Row | None]
"""(texts before the figures, the figures, texts of what is compared, the compared figures)."""


def exported(rows: Sequence[Exported], texts: Sequence[str], drawn: str) -> pl.DataFrame:
    """`texts` are the names of the text columns before the currency; `drawn` the metric that is compared, or ""."""
    columns: dict[str, pl.Series] = {}
    for name in texts:
        columns[name] = pl.Series(name, [({**keys, **before}).get(name, "") for keys, _, before, _ in rows], pl.String)
    currencies = [row["currency"] for _, row, _, _ in rows]
    columns["currency"] = pl.Series("currency", currencies, pl.String)
    for metric in SHOWN:
        columns[metric.name] = _column(metric.name, [row[metric.name] for _, row, _, _ in rows], currencies)
        if metric.name == drawn:
            before = [None if one is None else one[drawn] for _, _, _, one in rows]
            columns[f"{COMPARED}{drawn}"] = _column(drawn, before, currencies)
    return pl.DataFrame([series.alias(name.removesuffix(MINOR)) for name, series in columns.items()])


def _column(name: str, values: Sequence[Any], currencies: Sequence[str]) -> pl.Series:
    if name in {ratio.name for ratio in RATIOS}:
        return pl.Series(name, values, pl.Float64)
    if metric_named(name).unit is not Unit.MONEY:
        return pl.Series(name, values, pl.Int64)
    digits = max(map(exponent_of, currencies), default=2)
    amounts = [None if value is None else major(value, of) for value, of in zip(values, currencies, strict=True)]
    return pl.Series(name, amounts, pl.Decimal(38, digits))
