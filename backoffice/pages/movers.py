"""What moved most against the compared range: what gained and what lost the most of a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projections.metric import Metric, Ratio

from .change import Change, change
from .product_rows import Item, ProductRows
from .shown import text_of

MOST_MOVERS = 5


@dataclass(frozen=True, slots=True)
class Mover:
    product_id: str
    name: str
    now: str
    difference: str
    """With its sign."""
    change: Change | None


@dataclass(frozen=True, slots=True)
class Movers:
    """Of either, what moved most comes first."""

    rose: Sequence[Mover]
    fell: Sequence[Mover]


def movers(rows: ProductRows, metric: Metric | Ratio) -> Movers:
    (rose, fell) = rows.moved(metric.name, MOST_MOVERS)
    return Movers([_mover(one, metric) for one in rose], [_mover(one, metric) for one in fell])


def _mover(one: Item, metric: Metric | Ratio) -> Mover:
    earlier = one.before or one.row
    (value, was) = (one.row[metric.name], earlier[metric.name])
    difference = text_of(metric, value - was, one.currency)
    return Mover(
        one.product_id,
        one.name,
        text_of(metric, value, one.currency),
        difference if value < was else f"+{difference}",
        change(value, was),
    )
