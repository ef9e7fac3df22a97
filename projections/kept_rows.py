"""The rows of all figures at one version, kept in memory in little room, and what they add up to.

A row names its cell by number. Rows are in the order of their buckets, so each period is a stretch of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import polars as pl

from .catalogue import FIGURES
from .figures import Question, answer_of, finished, periods_of
from .kept_cells import NO_CELLS, Cells, SumKeys
from .projection import Projection
from .read_model import Changes, FiguresVersion, Period
from .touched_days import buckets_of

INT64_BOUND = 1 << 63


@dataclass(frozen=True, slots=True)
class KeptRows:
    version: FiguresVersion
    cells: Cells
    rows: Mapping[str, pl.DataFrame]
    """Projection → its rows: bucket, cell, metrics."""

    @property
    def height(self) -> int:
        return sum(rows.height for rows in self.rows.values())

    @property
    def extent(self) -> tuple[int, int] | None:
        """The first and the last bucket."""
        ends = [rows["bucket"][at] for rows in self.rows.values() if rows.height for at in (0, -1)]
        return (min(ends), max(ends)) if ends else None

    def after(self, changes: Changes) -> KeptRows:
        """The rows of the version that the changes lead to."""
        cells = self.cells.with_those_of(changes.rows.values())
        changed = {one.name: _numbered(changes.rows[one.name], one, cells) for one in FIGURES}
        rows = {name: _replaced(self.rows[name], changes.days, changed[name]) for name in changed}
        return KeptRows(changes.version, cells, rows)

    def answer(self, question: Question) -> pl.DataFrame:
        """As `FiguresReader.figures`."""
        periods = periods_of(question, self.extent)
        if not periods:
            return answer_of(question, [], [])
        labels = {label: number for number, label in enumerate(dict.fromkeys(one.label for one in periods))}
        keys = SumKeys(self.cells, list(labels), question.by_product)
        wanted = None if question.products is None else self.cells.of_products(question.products)
        parts = [self._sums(one, keys, wanted, _Stretches(periods, labels)) for one in FIGURES]
        joined = reduce(lambda left, right: left.join(right, on="key", how="full", coalesce=True), parts)
        return finished(question, keys.named(joined.fill_null(0)))

    def _sums(
        self, projection: Projection, keys: SumKeys, wanted: pl.Series | None, stretches: _Stretches
    ) -> pl.DataFrame:
        rows = self.rows[projection.name]
        if wanted is not None:
            spanned = stretches.spanned(rows)
            rows = spanned.filter(wanted.gather(spanned["cell"]))
        (rows, periods) = stretches.of(rows)
        return _added_up(projection, rows.with_columns(key=keys.key(rows["cell"], periods)))


def rows_of(changes: Changes) -> KeptRows:
    """All rows of a version: the changes since none."""
    cells = NO_CELLS.with_those_of(changes.rows.values())
    return KeptRows(
        changes.version, cells, {one.name: _numbered(changes.rows[one.name], one, cells) for one in FIGURES}
    )


def _numbered(rows: pl.DataFrame, projection: Projection, cells: Cells) -> pl.DataFrame:
    return cells.numbered(rows).select("bucket", "cell", *(metric.name for metric in projection.metrics))


def _replaced(rows: pl.DataFrame, days: Sequence[int], changed: pl.DataFrame) -> pl.DataFrame:
    """The rows with those of the days as they are in `changed`, which has only these."""
    parts = []
    (kept, new) = (0, 0)
    for bounds in buckets_of(days):
        (first, end) = _places(rows, bounds)
        (_, until) = _places(changed, bounds)
        parts += [rows.slice(kept, first - kept), changed.slice(new, until - new)]
        (kept, new) = (end, until)
    return pl.concat([*parts, rows.slice(kept)], rechunk=True)


def _places(rows: pl.DataFrame, buckets: Sequence[int]) -> list[int]:
    """How many rows lie before each of the buckets."""
    return rows["bucket"].search_sorted(pl.Series(buckets, dtype=pl.Int64), side="left").to_list()


@dataclass(frozen=True, slots=True)
class _Stretches:
    """The periods of an answer, each a stretch of the rows."""

    periods: Sequence[Period]
    labels: Mapping[str, int]

    def spanned(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows from the first period to the last."""
        (start, end) = _places(rows, [min(one.start for one in self.periods), max(one.end for one in self.periods)])
        return rows.slice(start, end - start)

    def of(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """The rows that lie in the periods, and for each of them the number of its period's label."""
        (starts, ends) = (_places(rows, [getattr(one, end) for one in self.periods]) for end in ("start", "end"))
        heights = [end - start for start, end in zip(starts, ends, strict=True)]
        inside = pl.concat([rows.slice(start, height) for start, height in _runs(starts, heights)])
        if len(self.labels) == 1:
            return inside, pl.zeros(inside.height, pl.Int64, eager=True).set_sorted()
        numbers = [self.labels[one.label] for one in self.periods]
        repeated = pl.DataFrame({"number": numbers, "times": heights}).select(
            pl.col("number").repeat_by("times").explode()
        )
        found = repeated["number"].drop_nulls()  # An empty period explodes into one null.
        return inside, found.set_sorted() if numbers == sorted(numbers) else found


def _runs(starts: Sequence[int], heights: Sequence[int]) -> list[tuple[int, int]]:
    """Stretches that follow each other as one."""
    runs: list[tuple[int, int]] = []
    for start, height in zip(starts, heights, strict=True):
        if runs and sum(runs[-1]) == start:
            runs[-1] = (runs[-1][0], runs[-1][1] + height)
        else:
            runs.append((start, height))
    return runs


def _added_up(projection: Projection, rows: pl.DataFrame) -> pl.DataFrame:
    """The metrics of each key, added up in 128 bits where 64 might not do: polars wraps round without a word."""
    names = [metric.name for metric in projection.metrics]
    if _fits(rows.select(names)):
        return rows.group_by("key").agg(pl.col(names).sum())
    summed = rows.group_by("key").agg(pl.col(names).cast(pl.Int128).sum())
    try:
        return summed.with_columns(pl.col(names).cast(pl.Int64))
    except pl.exceptions.InvalidOperationError as error:
        raise OverflowError(f"a sum of {projection.name} would go beyond 64 bits") from error


def _fits(metrics: pl.DataFrame) -> bool:
    """Whether no sum of some of the rows can leave 64 bits."""
    ends: list[Any] = [end for column in metrics.get_columns() for end in (column.min(), column.max())]
    return max((abs(end or 0) for end in ends), default=0) * metrics.height < INT64_BOUND
