"""A projection: a table, its metrics, and what each fact contributes to them.

`contributions` says, for each event type, the value that one row of its facts adds to each metric. Without the last
grouping that is the explanation of a figure; grouped by the key it is the increment that live counting and a rebuild
write. There is no other fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl
from sqlmodel import SQLModel

from event_store.facts import Facts

from .metric import Merge, Metric

_NOTHING = pl.lit(0, pl.Int64)
_AS_WRITTEN = pl.QueryOptFlags.none()
"""Two thirds of what a small batch takes would be the search for a better plan, and there is none."""


@dataclass(frozen=True, slots=True)
class Projection:
    name: str
    title: str
    table: type[SQLModel]
    key: tuple[str, ...]
    metrics: tuple[Metric, ...]
    contributions: Mapping[str, Mapping[str, pl.Expr]]
    """Event name → metric → expression over a row of that event's facts."""
    _selected: Mapping[str, Sequence[pl.Expr]] = field(init=False, repr=False)
    _sums: Sequence[pl.Expr] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        key = [pl.col(name) for name in self.key]
        selected = {
            event: [*key, *(self._added(metric, adds) for metric in self.metrics)]
            for event, adds in self.contributions.items()
        }
        object.__setattr__(self, "_selected", selected)
        object.__setattr__(self, "_sums", [self._merged(metric) for metric in self.metrics])

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.key, *(metric.name for metric in self.metrics))

    def increments(self, facts: Facts) -> pl.DataFrame | None:
        """One row per key: what the facts add to it all together, in key order; None where there is nothing.

        Raises OverflowError, as `merged`.
        """
        parts = [
            facts[event].lazy().select(columns)
            for event, columns in self._selected.items()
            if event in facts and facts[event].height
        ]
        return self._summed(pl.concat(parts)) if parts else None

    def merged(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Several increments, or figures and increments, as one: a row per key, in key order.

        Raises OverflowError where a figure would go beyond 64 bits.
        """
        return self._summed(rows.lazy())

    def _summed(self, rows: pl.LazyFrame) -> pl.DataFrame:
        summed = rows.group_by(self.key).agg(self._sums).sort(self.key)
        try:
            return summed.collect(engine="in-memory", optimizations=_AS_WRITTEN)
        except pl.exceptions.InvalidOperationError as error:
            raise OverflowError(f"a figure of {self.name} would go beyond 64 bits") from error

    def _added(self, metric: Metric, adds: Mapping[str, pl.Expr]) -> pl.Expr:
        return adds.get(metric.name, _NOTHING).alias(metric.name)

    def _merged(self, metric: Metric) -> pl.Expr:
        if metric.merge is Merge.LATEST:
            return pl.col(metric.name).sort_by([one.name for one in self.metrics]).last()
        # Polars adds 64-bit integers without looking and wraps round at their end, which would be a wrong figure.
        return pl.col(metric.name).cast(pl.Int128).sum().cast(pl.Int64)
