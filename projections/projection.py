"""A projection: a table, its metrics, and what each fact contributes to them.

`contributions` says, for each event type, the value that one row of its facts adds to each metric. Without the last
grouping that is the explanation of a figure; grouped by the key it is the increment that live counting and a rebuild
write. There is no other fold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from operator import add
from typing import Any

import polars as pl
from sqlmodel import SQLModel

from event_store.facts import Facts

from .metric import Merge, Metric

_NOTHING = pl.lit(0, pl.Int64)
_AS_WRITTEN = pl.QueryOptFlags.none()
"""Two thirds of what a small batch takes would be the search for a better plan, and there is none."""


FEW_ROWS = 100
"""Polars hands a group-by and a sort to a thread of its own, for which they wait while processors are busy: so few rows
are added up sooner without it."""

BUCKET = "bucket"
SALE_BUCKET = "sale_bucket"


@dataclass(frozen=True, slots=True)
class _Selected:
    """The rows that one type of event adds in one kind of bucket."""

    event: str
    columns: Sequence[pl.Expr]
    only_of_sales: bool

    def facts_of(self, facts: Facts) -> pl.DataFrame | None:
        """None where there are none, which is less work than to add them up."""
        rows = facts.get(self.event)
        if rows is not None and self.only_of_sales:
            rows = rows.filter(pl.col(SALE_BUCKET).is_not_null())
        return rows if rows is not None and rows.height else None


@dataclass(frozen=True, slots=True)
class Projection:
    name: str
    title: str
    table: type[SQLModel]
    key: tuple[str, ...]
    metrics: tuple[Metric, ...]
    contributions: Mapping[str, Mapping[str, pl.Expr]]
    """Event name → metric → expression over a row of that event's facts."""
    by_sale: AbstractSet[str] = frozenset()
    """Metrics that stand in the bucket of the sale that an event undoes, instead of the event's own. A projection that

    has some takes no rows of an event whose sale isn't known.
    """
    _selected: Sequence[_Selected] = field(init=False, repr=False)
    _sums: Sequence[pl.Expr] = field(init=False, repr=False)
    _only_adds: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        selected = [one for event in self.contributions for one in self._selections(event)]
        object.__setattr__(self, "_selected", selected)
        object.__setattr__(self, "_sums", [self._merged(metric) for metric in self.metrics])
        object.__setattr__(self, "_only_adds", all(metric.merge is Merge.ADD for metric in self.metrics))

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.key, *(metric.name for metric in self.metrics))

    def increments(self, facts: Facts) -> pl.DataFrame | None:
        """One row per key: what the facts add to it all together, in key order; None where there is nothing.

        Raises OverflowError, as `merged`.
        """
        found = [(rows, one) for one in self._selected if (rows := one.facts_of(facts)) is not None]
        if not found:
            return None
        added = pl.concat([rows.lazy().select(one.columns) for rows, one in found])
        if self._only_adds and sum(rows.height for rows, _ in found) <= FEW_ROWS:
            return self._summed_one_by_one(added.collect(engine="in-memory", optimizations=_AS_WRITTEN))
        return self._summed(added)

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

    def _summed_one_by_one(self, rows: pl.DataFrame) -> pl.DataFrame:
        """As `_summed`, of few rows of metrics that add."""
        at = len(self.key)
        sums: dict[tuple[Any, ...], tuple[int, ...]] = {}
        for row in rows.iter_rows():
            (key, values) = (row[:at], row[at:])
            known = sums.get(key)
            sums[key] = values if known is None else tuple(map(add, known, values))
        if any(not -(2**63) <= value < 2**63 for values in sums.values() for value in values):
            raise OverflowError(f"a figure of {self.name} would go beyond 64 bits")
        return pl.DataFrame([(*key, *sums[key]) for key in sorted(sums)], schema=rows.schema, orient="row")

    def bucket_of(self, metric: str) -> str:
        """The column of facts that says in which bucket an event adds to the metric."""
        return SALE_BUCKET if metric in self.by_sale else BUCKET

    def _selections(self, event: str) -> Iterator[_Selected]:
        """One for the buckets of the events, one for those of the sales that they undo; an event may add in both."""
        adds = self.contributions[event]
        for bucket in (BUCKET, SALE_BUCKET):
            here = {name: added for name, added in adds.items() if self.bucket_of(name) == bucket}
            if here:
                key = [pl.col(bucket if name == BUCKET else name).alias(name) for name in self.key]
                metrics = [here.get(one.name, _NOTHING).alias(one.name) for one in self.metrics]
                yield _Selected(event, [*key, *metrics], bool(self.by_sale))

    def _merged(self, metric: Metric) -> pl.Expr:
        if metric.merge is Merge.LATEST:
            return pl.col(metric.name).sort_by([one.name for one in self.metrics]).last()
        # Polars adds 64-bit integers without looking and wraps round at their end, which would be a wrong figure.
        return pl.col(metric.name).cast(pl.Int128).sum().cast(pl.Int64)
