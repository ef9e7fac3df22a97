"""A range's refunds in both ways: those that were made in it, and those of what was sold in it, whenever they came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projections.figures import metric_named

from .course import Course
from .shown import Cell, Row, cell

_LINES = (
    ("By day of refund", "refunds", "refunded_minor"),
    ("Of them, of unknown sales", "untraced_refunds", "untraced_refunded_minor"),
    ("By day of sale", "sale_refunds", "sale_refunded_minor"),
    ("Share of sales refunded", "", "refund_rate"),
)
"""(title, count, amount); without a count there is a share alone."""


@dataclass(frozen=True, slots=True)
class Refunds:
    """One line: a count where there is one, and an amount or a share."""

    title: str
    currency: str
    count: Cell | None
    amount: Cell
    before: Refunds | None
    """The same of the range that is compared; None where nothing is."""


def refunds(course: Course) -> Sequence[Refunds]:
    """A group of lines per currency that has refunds at all."""
    before = course.before_totals
    return [
        _line(line, row, before.get(row["currency"]))
        for row in course.totals
        if any(one["refunds"] or one["sale_refunds"] for one in (row, before.get(row["currency"])) if one is not None)
        for line in _LINES
    ]


def _line(line: tuple[str, str, str], row: Row, before: Row | None) -> Refunds:
    (title, count, amount) = line
    counted = cell(metric_named(count), row) if count else None
    compared = None if before is None else _line(line, before, None)
    return Refunds(title, row["currency"], counted, cell(metric_named(amount), row), compared)
