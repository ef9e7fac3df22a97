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

    def contributed(self, facts: Facts) -> pl.DataFrame | None:
        """One row per fact: the key, and what the fact adds to each metric; None where no fact concerns it."""
        parts = [
            facts[event].lazy().select(columns)
            for event, columns in self._selected.items()
            if event in facts and facts[event].height
        ]
        return pl.concat(parts).collect(engine="in-memory", optimizations=_AS_WRITTEN) if parts else None

    def increments(self, facts: Facts) -> pl.DataFrame | None:
        """One row per key: what the facts add to it all together, in key order; None where there is nothing."""
        rows = self.contributed(facts)
        return None if rows is None else self.merged(rows)

    def merged(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of the same key as one, in key order: contributions to an increment, or several increments to one."""
        summed = rows.lazy().group_by(self.key).agg(self._sums).sort(self.key)
        return summed.collect(engine="in-memory", optimizations=_AS_WRITTEN)

    def _added(self, metric: Metric, adds: Mapping[str, pl.Expr]) -> pl.Expr:
        return adds.get(metric.name, _NOTHING).alias(metric.name)

    def _merged(self, metric: Metric) -> pl.Expr:
        if metric.merge is Merge.LATEST:
            return pl.col(metric.name).sort_by([one.name for one in self.metrics]).last()
        return pl.col(metric.name).sum()
