"""The course of one figure for each of the products on a page, as lines small enough for its rows."""

from __future__ import annotations

from collections.abc import Sequence

from projections.figures import PERIODS, Question, figures
from projections.metric import Metric, Ratio
from projections.read_model import FiguresReader

from .intervals import usual
from .selection import Selection
from .sparkline import sparkline

COARSER_DAYS = 92
"""A longer range is drawn by the week, or by the month: more points than pixels say nothing."""


async def trends(
    reader: FiguresReader, selection: Selection, metric: Metric | Ratio, products: Sequence[str]
) -> dict[tuple[str, str], str]:
    """(product, currency) → its line over every period of the range."""
    interval = usual(selection.length_days) if selection.length_days <= COARSER_DAYS else _coarse(selection)
    question = Question(("product", interval), selection.tz, selection.asked, tuple(products), ratios=True)
    places = {label: number for number, label in enumerate(_labels(selection, interval))}
    values: dict[tuple[str, str], list[float]] = {}
    shown = ("product_id", "currency", interval, metric.name)
    rows = (await figures(reader, question)).select(shown).iter_rows() if products else ()
    for product_id, currency, label, value in rows:
        course = values.setdefault((product_id, currency), [0] * len(places))
        if (place := places.get(str(label))) is not None:
            course[place] = value or 0
    return {key: sparkline(course) for key, course in values.items()}


def _coarse(selection: Selection) -> str:
    return "week" if selection.length_days <= 8 * COARSER_DAYS else "month"


def _labels(selection: Selection, interval: str) -> list[str]:
    periods = PERIODS[interval](selection.now.zone, selection.shown_extent, selection.asked)
    return list(dict.fromkeys(one.label for one in periods))
