"""What explaining a figure starts from and ends in: the figure asked for, and the events that add up to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def rows(self, bucket: str) -> pl.Expr:
        """Whether a row of facts is asked for, by one of its buckets."""
        within = [pl.col(bucket).is_between(one.start, one.end - 1) for one in self.periods]
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
    projections: Sequence[Projection]
    """Those that have what it consists of."""

    @property
    def value(self) -> pl.Expr:
        """Of a row of the projections' metrics. It is linear, so it may be asked of sums or of each event."""
        return self.metric.expression if isinstance(self.metric, Ratio) else pl.col(self.metric.name)

    @property
    def roots(self) -> Sequence[str]:
        """The metrics that it consists of, all in buckets of one kind."""
        return self.value.meta.root_names()

    @property
    def bucket(self) -> str:
        """The column of facts that says where an event stands in it."""
        return next(
            one.bucket_of(metric.name)
            for one in self.projections
            for metric in one.metrics
            if metric.name in self.roots
        )

    @property
    def contributions(self) -> Sequence[str]:
        """The events that change it."""
        roots = set(self.roots)
        changing = [
            event for one in self.projections for event, adds in one.contributions.items() if roots & adds.keys()
        ]
        return list(dict.fromkeys(changing))

    def summed(self, sums: Mapping[str, pl.DataFrame]) -> dict[str, int]:
        """Currency → figure, from the sums of each projection over one period."""
        metrics = [sums[one.name].unpivot(self._roots_of(one), index="currency") for one in self.projections]
        adding = [pl.col("value").filter(pl.col("variable") == root).sum().alias(root) for root in self.roots]
        return dict(
            pl.concat(metrics).group_by("currency").agg(adding).select("currency", self.value.alias("v")).rows()
        )

    def _roots_of(self, projection: Projection) -> list[str]:
        return [metric.name for metric in projection.metrics if metric.name in self.roots]

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
        adds = {name: one for of in self.projections for name, one in of.contributions.get(event, {}).items()}
        metrics = [adds.get(name, pl.lit(0, pl.Int64)).alias(name) for name in self.roots]
        summed = rows.select("offset", "bucket", "currency", *metrics).group_by("offset", "bucket", "currency").sum()
        place = [pl.lit(tp.topic).alias("topic"), pl.lit(tp.partition, pl.Int64).alias("partition")]
        valued = summed.with_columns(*place, pl.lit(event).alias("event"), self.value.alias("value"))
        return valued.select(list(_ADDED)).filter(pl.col("value") != 0)


def of_figure(metric: str, projections: Sequence[Projection]) -> FigureOf:
    """Raises NotAdded."""
    by_time = [one for one in projections if "bucket" in one.key]
    known = _figures_of(by_time)
    for one in known:
        if one.name == metric:
            roots = set(FigureOf(one, ()).roots)
            return FigureOf(one, [of for of in by_time if roots & {metric.name for metric in of.metrics}])
    names = ", ".join(one.name for one in known)
    raise NotAdded(f"{metric[:64]!r} is no figure that events add up to; choose one of {names}")


def _figures_of(projections: Sequence[Projection]) -> list[Metric | Ratio]:
    """Their metrics, and the amounts that follow from them alone."""
    metrics = [metric for one in projections for metric in one.metrics]
    names = {metric.name for metric in metrics}
    amounts = [one for one in DERIVED if one.unit is not Unit.RATIO]
    return [*metrics, *(one for one in amounts if names.issuperset(one.expression.meta.root_names()))]
