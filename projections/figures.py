"""Figures: what the read model holds, answered by product and by periods of any time zone.

An answer has its keys first (`product_id`, then the period, then `currency`), then every metric of the catalogue,
then what is derived from them, all integers of one generation; rows are sorted by their keys, periods by time.
Projections are joined fully: a product that was only looked at has zero orders. Ratios are appended only where asked,
as floats, null where there is nothing to divide by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import polars as pl

from .catalogue import DERIVED, FIGURES, METRICS
from .metric import Metric, Ratio, Unit
from .periods import ALWAYS, QuestionError, Range, days, hours, months, quarter_hours, weeks, whole, zone_named
from .projection import Projection
from .read_model import FiguresReader, Period

PERIODS = {"15min": quarter_hours, "hour": hours, "day": days, "week": weeks, "month": months}
GROUPINGS = ("product", *PERIODS)
AMOUNTS = tuple(ratio for ratio in DERIVED if ratio.unit is not Unit.RATIO)
"""Derived figures that add up like metrics, so they belong to every answer."""
RATIOS = tuple(ratio for ratio in DERIVED if ratio.unit is Unit.RATIO)
COLUMNS: tuple[Metric | Ratio, ...] = (*METRICS, *AMOUNTS)
"""What every answer has beside its keys, in this order."""


class UnknownGrouping(QuestionError):
    """Figures aren't kept by that."""


class UnknownMetric(QuestionError):
    """No projection has that metric."""


class SumTooLarge(QuestionError):
    """Figures that fit add up to one that doesn't."""


@dataclass(frozen=True, slots=True)
class Question:
    by: tuple[str, ...] = ()
    """Some of `GROUPINGS`: product, and one period; empty for one row per currency. Their order doesn't matter."""
    tz: str = "UTC"
    asked: Range = ALWAYS
    products: tuple[str, ...] | None = None
    """None is all of them."""
    ratios: bool = False

    def __post_init__(self) -> None:
        unknown = [name for name in self.by if name not in GROUPINGS]
        if unknown:
            raise UnknownGrouping(f"figures can't be grouped by {unknown[0][:32]!r}; use {', '.join(GROUPINGS)}")
        if len(set(self.by)) != len(self.by) or len(PERIODS.keys() & set(self.by)) > 1:
            raise UnknownGrouping(f"group by product and by one of {', '.join(PERIODS)}, each once")
        zone_named(self.tz)

    @property
    def by_product(self) -> bool:
        return "product" in self.by

    @property
    def keys(self) -> tuple[str, ...]:
        period = [self.period] if self.period else []
        return (*(["product_id"] if self.by_product else []), *period, "currency")

    @property
    def period(self) -> str:
        """The kind of period that it groups by, "" for none."""
        return next((name for name in PERIODS if name in self.by), "")

    @property
    def columns(self) -> tuple[Metric | Ratio, ...]:
        """What the answer has beside its keys, in order."""
        return (*COLUMNS, *RATIOS) if self.ratios else COLUMNS


def grouping(text: str) -> tuple[str, ...]:
    """`product,day` as `Question.by` wants it."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def metric_named(name: str) -> Metric | Ratio:
    """Raises UnknownMetric."""
    known = {metric.name: metric for metric in (*COLUMNS, *RATIOS)}
    if name not in known:
        raise UnknownMetric(f"no metric {name[:64]!r}; there are {', '.join(known)}")
    return known[name]


async def figures(read_model: FiguresReader, question: Question) -> pl.DataFrame:
    """The answer, from the generation that serves now."""
    generation = await read_model.serving()
    while True:
        answer = await _figures(read_model, generation, question)
        serving = await read_model.serving()
        if serving == generation:
            return answer
        generation = serving  # A rebuild was switched meanwhile, and the old rows may be gone.


async def _figures(read_model: FiguresReader, generation: int, question: Question) -> pl.DataFrame:
    try:
        return await read_model.figures(generation, question)
    except OverflowError as error:
        raise SumTooLarge(f"{error}: ask for a shorter time or for fewer products at once") from error


def periods_of(question: Question, extent: tuple[int, int] | None) -> list[Period]:
    """What the figures of a generation are to be added up over; nothing where it has none."""
    if extent is None:
        return []
    zone = zone_named(question.tz)
    kind = PERIODS.get(question.period, whole)
    return kind(zone, extent, question.asked)


def _nothing(projection: Projection, by_product: bool) -> pl.DataFrame:
    keys = [*(["product_id"] if by_product else []), "period", "currency"]
    return pl.DataFrame(schema=dict.fromkeys(keys, pl.String) | {m.name: pl.Int64 for m in projection.metrics})


def answer_of(question: Question, periods: Sequence[Period], parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """`parts` are the sums over `periods` of each projection, as FIGURES has them; none are needed without periods."""
    keys = [*(["product_id"] if question.by_product else []), "period", "currency"]
    sums = parts if periods else [_nothing(projection, question.by_product) for projection in FIGURES]
    joined = reduce(lambda left, right: left.join(right, on=keys, how="full", coalesce=True), sums)
    # A day that a clock change interrupts comes as two periods of one label.
    merged = joined.group_by(keys).agg([pl.col(metric.name).sum().cast(pl.Int64) for metric in METRICS])
    order = {label: index for index, label in enumerate(dict.fromkeys(one.label for one in periods))}
    ranked = merged.with_columns(pl.col("period").replace_strict(order, return_dtype=pl.Int64).alias("rank"))
    by = [("rank" if key == "period" else key) for key in keys]
    return finished(question, ranked.sort(by))


def finished(question: Question, rows: pl.DataFrame) -> pl.DataFrame:
    """The answer of sums that are in order already, their period named `period`."""
    named = rows.with_columns([ratio.expression.alias(ratio.name) for ratio in AMOUNTS])
    if "day" in question.by:
        named = named.with_columns(pl.col("period").str.to_date("%Y-%m-%d").alias("day"))
    elif question.period:
        named = named.rename({"period": question.period})
    if question.ratios:
        named = with_ratios(named)
    return named.select([*question.keys, *(one.name for one in question.columns)])


def with_ratios(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with their ratios, from the sums of each row."""
    finite = [pl.when(ratio.expression.is_finite()).then(ratio.expression).alias(ratio.name) for ratio in RATIOS]
    return rows.with_columns(finite)


def counted_per_product() -> frozenset[str]:
    """Metrics that count an event once for each product in it, so that over several products they count it often.

    An order of three products is one order of each. Which metrics do that follows from their projection: it adds
    `first_of_product` (see event_store/facts.py). Amounts derived from such ones do it, too.
    """
    often = frozenset(
        metric
        for projection in FIGURES
        for adds in projection.contributions.values()
        for metric, expression in adds.items()
        if "first_of_product" in expression.meta.root_names()
    )
    return often | {one.name for one in AMOUNTS if often.intersection(one.expression.meta.root_names())}
