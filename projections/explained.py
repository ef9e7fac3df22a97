"""What explaining a figure starts from and ends in: the figure asked for, and the events that add up to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from event_store.facts import Facts
from event_store.record import TopicPartition

from .catalogue import DERIVED
from .metric import Metric, Ratio, Unit
from .periods import QuestionError
from .projection import Projection
from .read_model import Period


class NotAdded(QuestionError):
    """No events add up to that: it is no figure, or one that is derived from others."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A figure: one metric, over some stretches of time, of some products."""

    metric: str
    periods: Sequence[Period]
    """All of the label ``""``, and none over another."""
    products: Sequence[str] | None = None
    """None is all of them."""

    @property
    def rows(self) -> pl.Expr:
        """Whether a row of facts is asked for."""
        within = [pl.col("bucket").is_between(one.start, one.end - 1) for one in self.periods]
        in_time = pl.any_horizontal(within) if within else pl.lit(value=False)
        return in_time if self.products is None else pl.col("product_id").is_in(list(self.products)) & in_time


def one_cell(metric: str, product_id: str, period: Period) -> Asked:
    return Asked(metric, [Period("", period.start, period.end)], [product_id])


@dataclass(frozen=True, slots=True)
class Contribution:
    """One event and what it added to the figure."""

    tp: TopicPartition
    offset: int
    event_id: str
    event: str
    time: str
    bucket: int
    contribution: int


@dataclass(frozen=True, slots=True)
class Explanation:
    metric: Metric | Ratio
    currency: str
    figure: int
    """What the read model says."""
    added: pl.DataFrame
    """A row per event that changed it: topic, partition, offset, event, bucket, value; by bucket, then by place."""

    @property
    def events(self) -> int:
        return self.added.height

    @property
    def total(self) -> int:
        return int(self.added["value"].cast(pl.Int128).sum())

    @property
    def adds_up(self) -> bool:
        return self.total == self.figure


_PLACE = {"topic": pl.String, "partition": pl.Int64, "offset": pl.Int64, "event": pl.String, "bucket": pl.Int64}
_ADDED = {**_PLACE, "currency": pl.String, "value": pl.Int64}


@dataclass(frozen=True, slots=True)
class FigureOf:
    """How events make one figure."""

    metric: Metric | Ratio
    projection: Projection

    @property
    def value(self) -> pl.Expr:
        """Of a row of the projection's metrics. It is linear, so it may be asked of sums or of each event."""
        return self.metric.expression if isinstance(self.metric, Ratio) else pl.col(self.metric.name)

    @property
    def contributions(self) -> Sequence[str]:
        """The events that change it."""
        roots = set(self.value.meta.root_names())
        return [event for event, adds in self.projection.contributions.items() if roots & adds.keys()]

    def valued(self, places: Sequence[tuple[TopicPartition, Facts]]) -> pl.DataFrame:
        """A row per event and currency with what it adds, for those that add anything."""
        frames = [
            self._of_event(tp, event, facts[event])
            for tp, facts in places
            for event in self.contributions
            if event in facts
        ]
        rows = pl.concat(frames) if frames else pl.DataFrame(schema=_ADDED)
        return rows.sort("bucket", "topic", "partition", "offset")

    def _of_event(self, tp: TopicPartition, event: str, rows: pl.DataFrame) -> pl.DataFrame:
        adds = self.projection.contributions[event]
        roots = self.value.meta.root_names()
        metrics = [adds.get(name, pl.lit(0, pl.Int64)).alias(name) for name in roots]
        summed = rows.select("offset", "bucket", "currency", *metrics).group_by("offset", "bucket", "currency").sum()
        place = [pl.lit(tp.topic).alias("topic"), pl.lit(tp.partition, pl.Int64).alias("partition")]
        valued = summed.with_columns(*place, pl.lit(event).alias("event"), self.value.alias("value"))
        return valued.select(list(_ADDED)).filter(pl.col("value") != 0)


def of_figure(metric: str, projections: Sequence[Projection]) -> FigureOf:
    """Raises NotAdded."""
    by_time = [one for one in projections if "bucket" in one.key]
    for projection in by_time:
        for one in _figures_of(projection):
            if one.name == metric:
                return FigureOf(one, projection)
    known = ", ".join(one.name for projection in by_time for one in _figures_of(projection))
    raise NotAdded(f"{metric[:64]!r} is no figure that events add up to; choose one of {known}")


def _figures_of(projection: Projection) -> list[Metric | Ratio]:
    """Its metrics, and the amounts that follow from them alone."""
    names = {metric.name for metric in projection.metrics}
    amounts = [one for one in DERIVED if one.unit is not Unit.RATIO]
    return [*projection.metrics, *(one for one in amounts if names.issuperset(one.expression.meta.root_names()))]
