"""The table of a course, and what the chart above it draws of it. The chart reads its numbers from the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projections.metric import Metric, Ratio, Unit

from .change import Change, change
from .course import Course, Step
from .selection import Selection
from .shown import SHOWN, Cell, Column, cell, columns, shown_as


@dataclass(frozen=True, slots=True)
class Line:
    """One row: the drawn figure, what it is compared with, and the other figures."""

    label: str
    title: str
    currency: str
    drawn: Cell
    before: Cell | None
    before_label: str
    before_title: str
    change: Change | None
    others: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Chart:
    drawn: Column
    unit: str
    """money, count or ratio."""
    currency: str
    """Whose rows are drawn; "" is the sum of all."""
    others: Sequence[Column]
    lines: Sequence[Line]
    """Newest first."""
    totals: Sequence[Line]
    interval: str
    is_compared: bool


def chart(course: Course, selection: Selection, *, over_products: bool) -> Chart:
    """Raises QuestionError for a metric that there isn't."""
    name = selection.more.get("metric", SHOWN[0].name)
    metric = shown_as(name)
    every = columns(over_products=over_products)
    (drawn,) = [column for column in every if column.name == name]
    titled = Titles.of(course, selection)
    return Chart(
        drawn,
        {Unit.MONEY: "money", Unit.RATIO: "ratio"}.get(metric.unit, "count"),
        "" if metric.unit is Unit.COUNT else _main_currency(course),
        [column for column in every if column.name != name],
        [_line(step, metric, titled) for step in reversed(course.steps)],
        [_line(step, metric, titled) for step in _totals(course)],
        course.interval,
        course.is_compared,
    )


def _line(step: Step, metric: Metric | Ratio, titled: Titles) -> Line:
    (row, before) = (step.row, step.before)
    return Line(
        step.label,
        titled(step.label),
        step.currency,
        cell(metric, row),
        None if before is None else cell(metric, before),
        step.before_label,
        titled(step.before_label),
        None if before is None else change(row[metric.name], before[metric.name]),
        [cell(one, row) for one in SHOWN if one.name != metric.name],
    )


@dataclass(frozen=True, slots=True)
class Titles:
    """Periods as they are read: an hour of one day by its time alone, with its offset where the clock changes."""

    by_time: bool
    one_day: bool
    with_offset: bool

    @classmethod
    def of(cls, course: Course, selection: Selection) -> Titles:
        by_time = course.interval in ("15min", "hour")
        offsets = {label[16:] for step in course.steps for label in (step.label, step.before_label) if label}
        return cls(by_time, selection.length_days == 1, len(offsets) > 1)

    def __call__(self, label: str) -> str:
        if not (self.by_time and label):
            return label
        day = "" if self.one_day else f"{label[:10]} "
        return f"{day}{label[11:16]}" + (f" {label[16:]}" if self.with_offset else "")


def _totals(course: Course) -> list[Step]:
    before = course.before_totals
    return [Step("", row["currency"], row, before.get(row["currency"])) for row in course.totals]


def _main_currency(course: Course) -> str:
    """The one with the most of everything that is counted."""
    weight = {row["currency"]: (row["orders"], row["views"]) for row in course.totals}
    return max(sorted(weight), key=lambda currency: weight[currency], default="")
