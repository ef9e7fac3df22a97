"""What moved most against the compared range: what gained and what lost the most of a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from projections.metric import Metric, Ratio

from .change import Change, change
from .shown import Row, text_of

MOST_MOVERS = 5


class Compared(Protocol):
    @property
    def product_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def currency(self) -> str: ...
    @property
    def row(self) -> Row: ...
    @property
    def before(self) -> Row | None: ...


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
    rose: Sequence[Mover]
    fell: Sequence[Mover]


def movers(items: Sequence[Compared], metric: Metric | Ratio) -> Movers:
    """The first have moved the most; products without a value on either side have not moved."""
    differences = [(_difference(one, metric), one) for one in items]
    moved = [(by, one) for by, one in differences if by]
    rose = sorted((pair for pair in moved if pair[0] > 0), key=lambda pair: -pair[0])[:MOST_MOVERS]
    fell = sorted((pair for pair in moved if pair[0] < 0), key=lambda pair: pair[0])[:MOST_MOVERS]
    return Movers([_mover(*pair, metric) for pair in rose], [_mover(*pair, metric) for pair in fell])


def _difference(one: Compared, metric: Metric | Ratio) -> float:
    (now, before) = (one.row[metric.name], one.before[metric.name] if one.before is not None else None)
    return 0 if now is None or before is None else now - before


def _mover(by: float, one: Compared, metric: Metric | Ratio) -> Mover:
    earlier = one.before or one.row
    difference = text_of(metric, by, one.currency)
    return Mover(
        one.product_id,
        one.name,
        text_of(metric, one.row[metric.name], one.currency),
        difference if by < 0 else f"+{difference}",
        change(one.row[metric.name], earlier[metric.name]),
    )
