"""A projection: a table, its metrics, and what each fact contributes to them.

`contributions` says, for each event type, the value that one row of its facts adds to each metric. Without the last
grouping that is the explanation of a figure; grouped by the key it is the increment that live counting and a rebuild
write. There is no other fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from sqlmodel import SQLModel

from event_store.facts import Facts

from .metric import Merge, Metric


@dataclass(frozen=True, slots=True)
class Projection:
    name: str
    title: str
    table: type[SQLModel]
    key: tuple[str, ...]
    metrics: tuple[Metric, ...]
    contributions: Mapping[str, Mapping[str, pl.Expr]]
    """Event name → metric → expression over a row of that event's facts."""

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.key, *(metric.name for metric in self.metrics))

    def contributed(self, facts: Facts) -> pl.DataFrame | None:
        """One row per fact: `offset`, the key, and what the fact adds; None where no fact concerns it."""
        return self._collect(facts, ["offset", *self.key])

    def increments(self, facts: Facts) -> pl.DataFrame | None:
        """One row per key: what the facts add to it all together, in key order; None where there is nothing."""
        rows = self._collect(facts, list(self.key))
        if rows is None:
            return None
        return rows.group_by(self.key).agg([self._merged(metric) for metric in self.metrics]).sort(self.key)

    def merged(self, increments: pl.DataFrame) -> pl.DataFrame:
        """Increments of several batches as one, by the same merges."""
        return increments.group_by(self.key).agg([self._merged(metric) for metric in self.metrics]).sort(self.key)

    def _collect(self, facts: Facts, places: list[str]) -> pl.DataFrame | None:
        parts = [
            facts[event].select([*places, *(expression.alias(metric) for metric, expression in adds.items())])
            for event, adds in self.contributions.items()
            if event in facts and facts[event].height
        ]
        if not parts:
            return None
        whole = parts[0] if len(parts) == 1 else pl.concat(parts, how="diagonal")
        missing = [
            pl.lit(0, pl.Int64).alias(metric.name) for metric in self.metrics if metric.name not in whole.columns
        ]
        return whole.with_columns(missing) if missing else whole

    def _merged(self, metric: Metric) -> pl.Expr:
        if metric.merge is Merge.LATEST:
            return pl.col(metric.name).sort_by([one.name for one in self.metrics]).last()
        return pl.col(metric.name).sum()
