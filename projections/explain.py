"""Explain: the events behind one figure, what each contributed, and their sum beside the figure.

It runs the projection's own contributions without their last grouping, over the whole history, filtered to the
cells asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from event_store.archive import Segment
from event_store.decoded_batch import decode_batch
from event_store.facts import Facts
from event_store.history import LOG_CHUNK_RECORDS, History
from event_store.record import RecordBatch, TopicPartition

from .metric import Metric
from .projection import Projection
from .read_model import Period, ReadModel

MAX_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Contribution:
    """One event and what it added to the figure."""

    tp: TopicPartition
    offset: int
    event_id: str
    event: str
    time: str
    contribution: int


@dataclass(frozen=True, slots=True)
class Explanation:
    product_id: str
    metric: Metric
    currency: str
    figure: int
    """What the read model says."""
    contributions: Sequence[Contribution]
    """In order of time, then of offset."""

    @property
    def total(self) -> int:
        return sum(one.contribution for one in self.contributions)

    @property
    def adds_up(self) -> bool:
        return self.total == self.figure


@dataclass(frozen=True, slots=True)
class Explainer:
    read_model: ReadModel
    history: History
    projections: Sequence[Projection]

    async def explain(self, product_id: str, metric: str, period: Period) -> Sequence[Explanation]:
        """One explanation per currency in which the product has the figure in the period, by currency.

        Raises ValueError for a metric that no projection adds up.
        """
        (projection, asked) = self._find(metric)
        (figures, ends) = await self._figures(projection, product_id, period)
        rows = [
            row
            for tp, end in sorted(ends.items())
            for row in await self._of_partition(projection, asked, product_id, period, tp, end)
        ]
        by_currency: dict[str, list[Contribution]] = {currency: [] for currency in figures}
        for currency, contribution in rows:
            by_currency.setdefault(currency, []).append(contribution)
        return [
            Explanation(product_id, asked, currency, figures.get(currency, {}).get(metric, 0), found)
            for currency, found in (
                (currency, sorted(by_currency[currency], key=lambda one: (one.time, one.tp, one.offset)))
                for currency in sorted(by_currency)
            )
        ]

    def _find(self, metric: str) -> tuple[Projection, Metric]:
        for projection in self.projections:
            for one in projection.metrics:
                if one.name == metric and "bucket" in projection.key:
                    return projection, one
        known = ", ".join(m.name for p in self.projections if "bucket" in p.key for m in p.metrics)
        raise ValueError(f"{metric!r} is no figure that events add up to; choose one of {known}")

    async def _figures(
        self, projection: Projection, product_id: str, period: Period
    ) -> tuple[dict[str, dict[str, int]], dict[TopicPartition, int]]:
        """The figures by currency, and the positions at which they stood: both of one moment."""
        generation = await self.read_model.serving()
        for _ in range(MAX_ATTEMPTS):
            before = await self._positions(generation)
            sums = await self.read_model.sums(
                generation, projection.name, [period], by_product=True, products=[product_id]
            )
            serving = await self.read_model.serving()
            if serving == generation and before == await self._positions(generation):
                break
            generation = serving
        return {row["currency"]: row for row in sums.iter_rows(named=True)}, before

    async def _positions(self, generation: int) -> dict[TopicPartition, int]:
        return {one.tp: one.next_offset for one in await self.read_model.progress(generation)}

    async def _of_partition(
        self, projection: Projection, metric: Metric, product_id: str, period: Period, tp: TopicPartition, end: int
    ) -> list[tuple[str, Contribution]]:
        """The partition's contributions below offset `end`, by currency: what was counted, duplicates left out."""
        start = 0
        added: list[tuple[int, str, str, int]] = []
        for segment in await asyncio.to_thread(self.history.archive.segments, tp):
            if segment.next_offset <= end:
                facts = await asyncio.to_thread(self._archived, projection, segment, product_id, period)
                added += _added(projection, metric, facts)
                start = segment.next_offset
        while start < end:
            records = await self.history.read_log(tp, start, min(end, start + LOG_CHUNK_RECORDS))
            facts = await asyncio.to_thread(self._logged, projection, records, product_id, period)
            added += _added(projection, metric, facts)
            start = records.next_offset
        return await self._named(tp, added)

    async def _named(
        self, tp: TopicPartition, added: Sequence[tuple[int, str, str, int]]
    ) -> list[tuple[str, Contribution]]:
        """Each addition with its event's identity. Of an event that stands twice in the log the first was counted."""
        identities = await self.history.identities(tp, [offset for offset, *_ in added])
        seen: set[tuple[str, int | str]] = set()
        found: list[tuple[str, Contribution]] = []
        for offset, event, currency, value in sorted(added):
            one = identities[offset]
            mark = (one.source, one.sequence if one.sequence is not None else one.event_id)
            if mark not in seen:
                found.append((currency, Contribution(tp, offset, one.event_id, event, one.time, value)))
            seen.add(mark)
        return found

    def _archived(self, projection: Projection, segment: Segment, product_id: str, period: Period) -> Facts:
        find = self.history.archive.find
        return {event: find(segment, event, product_id, period.start, period.end) for event in projection.contributions}

    def _logged(self, projection: Projection, records: RecordBatch, product_id: str, period: Period) -> Facts:
        facts = decode_batch(self.history.codec, records).facts
        asked = (pl.col("product_id") == product_id) & pl.col("bucket").is_between(period.start, period.end - 1)
        return {event: facts[event].filter(asked) for event in projection.contributions if event in facts}


def _added(projection: Projection, metric: Metric, facts: Facts) -> list[tuple[int, str, str, int]]:
    """(offset, event, currency, what it adds) of every event that changes the metric."""
    found: list[tuple[int, str, str, int]] = []
    for event, adds in projection.contributions.items():
        if metric.name in adds and event in facts and facts[event].height:
            rows = facts[event].select("offset", "currency", adds[metric.name].alias("value"))
            sums = rows.group_by("offset", "currency").agg(pl.col("value").sum())
            found += [(row[0], event, row[1], row[2]) for row in sums.rows() if row[2]]
    return found
