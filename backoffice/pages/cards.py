"""The cards at the top of a page: a figure, how it changed, and its course."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from projections.figures import metric_named
from projections.metric import Metric, Ratio, Unit

from .change import Change, change
from .course import Course
from .shown import Cell, Column, Row, cell, columns, summed, totals
from .sparkline import sparkline

CARDS = ("net_minor", "gross_minor", "refunded_minor", "orders", "views", "likes", "conversion")


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of a card: there is one, or one per currency."""

    currency: str
    """"" is all together."""
    now: Cell
    before: Cell | None
    change: Change | None


@dataclass(frozen=True, slots=True)
class Card:
    column: Column
    lines: Sequence[Line]
    spark: str
    is_worse_up: bool
    """Whether more of it is no good news."""


def cards(course: Course, *, over_products: bool) -> list[Card]:
    """Amounts one line per currency, counts and ratios over all of them."""
    (now, before) = (course.totals, list(course.before_totals.values()))
    if not now:
        return []
    by_name = {column.name: column for column in columns(over_products=over_products)}
    steps = list(summed((step.label, step.row) for step in course.steps if step.label).values())
    return [
        _card(by_name[name], metric_named(name), now, before if course.is_compared else None, steps) for name in CARDS
    ]


def _card(
    column: Column, metric: Metric | Ratio, now: Sequence[Row], before: Sequence[Row] | None, steps: Sequence[Row]
) -> Card:
    if metric.unit is not Unit.MONEY:
        now = _overall(now)
        before = _overall(before) if before is not None else None
    earlier = {row["currency"]: row for row in before or ()}
    lines = [_line(metric, row, earlier.get(row["currency"])) for row in now]
    # Amounts of several currencies have no common course.
    drawn = metric.unit is not Unit.MONEY or len(now) == 1
    course = sparkline([row[metric.name] or 0 for row in steps]) if drawn else ""
    return Card(column, lines, course, "refund" in metric.name)


def _overall(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return totals({**row, "currency": ""} for row in rows)


def _line(metric: Metric | Ratio, row: Row, before: Row | None) -> Line:
    (currency, now) = (row["currency"], cell(metric, row))
    if before is None:
        return Line(currency, now, None, None)
    return Line(currency, now, cell(metric, before), change(row[metric.name], before[metric.name]))
