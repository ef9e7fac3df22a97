"""The course of figures over the chosen range, step by step, each beside the step that it is compared with."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from projections.catalogue import METRICS
from projections.figures import AMOUNTS, PERIODS, RATIOS, Question, figures
from projections.periods import Range
from projections.read_model import FiguresReader

from .intervals import Place, place
from .selection import Selection
from .shown import Row, totals

NOTHING: dict[str, Any] = {
    **dict.fromkeys([metric.name for metric in METRICS], 0),
    **dict.fromkeys([amount.name for amount in AMOUNTS], 0),
    **dict.fromkeys([ratio.name for ratio in RATIOS]),
}


@dataclass(frozen=True, slots=True)
class Step:
    label: str
    """Of the period, as figures name it."""
    currency: str
    row: Row
    before: Row | None
    """None where nothing is compared."""
    before_label: str = ""


@dataclass(frozen=True, slots=True)
class Course:
    interval: str
    steps: Sequence[Step]
    """Oldest first."""
    has_figures: bool
    is_compared: bool
    totals: Sequence[Row]
    """Of each currency the sums."""
    before_totals: Mapping[str, Row]
    """Currency → the sums of what is compared."""


Placed = dict[tuple[Place, str], tuple[str, Row]]
"""(place, currency) → (label, row)."""


async def course(reader: FiguresReader, selection: Selection, products: tuple[str, ...] | None = None) -> Course:
    earlier = selection.compared
    now = await _placed(reader, selection, selection.asked, selection.ends[0], products)
    before: Placed = {}
    if earlier is not None and earlier.first is not None:
        before = await _placed(reader, selection, earlier, earlier.first, products)
    steps = _steps(selection, now, before, is_compared=earlier is not None)
    (sums, before_sums) = (totals([step.row for step in steps]), totals([one.before for one in steps if one.before]))
    return Course(
        selection.interval,
        steps,
        bool(now),
        earlier is not None,
        sums,
        {row["currency"]: row for row in before_sums},
    )


async def _placed(
    reader: FiguresReader, selection: Selection, asked: Range, first: date, products: tuple[str, ...] | None
) -> Placed:
    interval = selection.interval
    question = Question((interval,), selection.tz, asked, products, ratios=True)
    rows = (await figures(reader, question)).to_dicts()
    labelled = [(str(row[interval]), row) for row in rows]
    zone = selection.now.zone
    return {(place(interval, label, first, zone), row["currency"]): (label, row) for label, row in labelled}


def _steps(selection: Selection, now: Placed, before: Placed, *, is_compared: bool) -> list[Step]:
    """Every period of the range in every currency there is, and what is compared and has no counterpart."""
    labels = _labels(selection)
    places = _in_order(labels, {at for at, _ in before.keys() | now.keys()})
    currencies = sorted({currency for _, currency in before.keys() | now.keys()})
    steps = []
    for at, currency in itertools.product(places, currencies):
        none = {**NOTHING, "currency": currency}
        (label, row) = now.get((at, currency), (labels.get(at, ""), none))
        (before_label, earlier) = before.get((at, currency), ("", none))
        steps.append(Step(label, currency, row, earlier if is_compared else None, before_label))
    return steps


def _labels(selection: Selection) -> dict[Place, str]:
    (interval, zone, first) = (selection.interval, selection.now.zone, selection.ends[0])
    periods = PERIODS[interval](zone, selection.shown_extent, selection.asked)
    return {place(interval, one.label, first, zone): one.label for one in periods}


def _in_order(labels: Mapping[Place, str], others: set[Place]) -> list[Place]:
    """By time; a place that the range doesn't have, as the hour that a clock change skips, by its time of day."""
    order: dict[Place, float] = {at: number for number, at in enumerate(labels)}
    for at in others - order.keys():
        order[at] = sum(1 for one in labels if one[:2] < at[:2]) - 0.5
    return sorted(order, key=lambda at: (order[at], at))
