"""The cards at the top of a page: a figure, how it changed, and its course."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    if not course.totals:
        return []
    by_name = {column.name: column for column in columns(over_products=over_products)}
    by_currency = _Sums(course.totals, course.before_totals)
    overall = _overall(by_currency)
    steps = list(summed((step.label, step.row) for step in course.steps if step.label).values())
    return [
        _card(by_name[metric.name], metric, by_currency if metric.unit is Unit.MONEY else overall, steps)
        for metric in map(metric_named, CARDS)
    ]


@dataclass(frozen=True, slots=True)
class _Sums:
    """Of each currency the sums of the range and of what it is compared with; or those of all, with no currency."""

    now: Sequence[Row]
    before: Mapping[str, Row]


def _overall(sums: _Sums) -> _Sums:
    """Of counts and of ratios."""
    (now, before) = (totals({**row, "currency": ""} for row in rows) for rows in (sums.now, sums.before.values()))
    return _Sums(now, {row["currency"]: row for row in before})


def _card(column: Column, metric: Metric | Ratio, sums: _Sums, steps: Sequence[Row]) -> Card:
    lines = [_line(metric, row, sums.before.get(row["currency"])) for row in sums.now]
    # Amounts of several currencies have no common course.
    drawn = metric.unit is not Unit.MONEY or len(sums.now) == 1
    course = sparkline([row[metric.name] or 0 for row in steps]) if drawn else ""
    return Card(column, lines, course, "refund" in metric.name)


def _line(metric: Metric | Ratio, row: Row, before: Row | None) -> Line:
    (currency, now) = (row["currency"], cell(metric, row))
    if before is None:
        return Line(currency, now, None, None)
    return Line(currency, now, cell(metric, before), change(row[metric.name], before[metric.name]))
