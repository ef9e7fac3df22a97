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
from event_store.history import LOG_CHUNK_RECORDS, History, RecordIdentity
from event_store.record import RecordBatch, TopicPartition

from .metric import Metric
from .projection import Projection
from .projector import UNCOUNTABLE
from .read_model import Period, ReadModel

MAX_ATTEMPTS = 20
MAX_DEAD_LETTERS = 1_000_000

Added = tuple[int, str, str, int]
"""(offset, event, currency, what it adds)"""
Mark = tuple[TopicPartition | None, str, int | str]
"""What tells an event from every other: its lane and sequence, or, of another service, its source and id."""


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
        (projection, metric_asked) = self._find(metric)
        asked = _Asked(projection, metric_asked, product_id, period)
        (figures, ends, uncounted) = await self._figures(asked)
        by_currency: dict[str, list[Contribution]] = {currency: [] for currency in figures}
        for tp, end in sorted(ends.items()):
            for currency, contribution in await self._named(tp, await self._added(asked, tp, end), uncounted):
                by_currency.setdefault(currency, []).append(contribution)
        return [
            Explanation(product_id, metric_asked, currency, figures.get(currency, {}).get(metric, 0), found)
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

    async def _figures(self, asked: _Asked) -> tuple[dict[str, dict[str, int]], dict[TopicPartition, int], set[Mark]]:
        """The figures by currency, the positions at which they stood, and what was kept uncounted: of one moment."""
        generation = await self.read_model.serving()
        for _ in range(MAX_ATTEMPTS):
            before = await self._positions(generation)
            sums = await self.read_model.sums(
                generation, asked.projection.name, [asked.period], by_product=True, products=[asked.product_id]
            )
            uncounted = await self._uncounted(generation)
            serving = await self.read_model.serving()
            if serving == generation and before == await self._positions(generation):
                break
            generation = serving
        return {row["currency"]: row for row in sums.iter_rows(named=True)}, before, uncounted

    async def _positions(self, generation: int) -> dict[TopicPartition, int]:
        return {one.tp: one.next_offset for one in await self.read_model.progress(generation)}

    async def _uncounted(self, generation: int) -> set[Mark]:
        """Marks that dead letters took: a record under one of them was not counted, though it may decode now."""
        marks: set[Mark] = set()
        for letter in await self.read_model.dead_letters(generation, MAX_DEAD_LETTERS):
            place = self.history.codec.place_in_lane(letter.raw)
            if place is not None:
                marks.add((letter.tp, *place))
            elif letter.reason == UNCOUNTABLE:
                one = (await self.history.identities(letter.tp, [letter.offset]))[letter.offset]
                marks.add((None, one.source, one.event_id))
        return marks

    async def _added(self, asked: _Asked, tp: TopicPartition, end: int) -> list[Added]:
        """What the partition's records below offset `end` add, repetitions included."""
        added: list[Added] = []
        start = 0
        for segment in await asyncio.to_thread(self.history.archive.segments, tp):
            facts = await asyncio.to_thread(self._archived, asked, segment) if segment.next_offset <= end else None
            if facts is not None:
                added += await self._from_log(asked, tp, start, segment.first_offset)
                added += asked.added(facts)
                start = segment.next_offset
        return added + await self._from_log(asked, tp, start, end)

    async def _from_log(self, asked: _Asked, tp: TopicPartition, start: int, end: int) -> list[Added]:
        added: list[Added] = []
        while start < end:
            records = await self.history.read_log(tp, start, min(end, start + LOG_CHUNK_RECORDS))
            added += asked.added(await asyncio.to_thread(self._logged, asked, records))
            start = records.next_offset
        return added

    async def _named(
        self, tp: TopicPartition, added: Sequence[Added], seen: set[Mark]
    ) -> list[tuple[str, Contribution]]:
        """Each addition with its event's identity. Of an event that stands twice in the log one was counted.

        `seen` are the marks that were handled before; those of this partition are added to it.
        """
        identities = await self.history.identities(tp, [offset for offset, *_ in added])
        found: list[tuple[str, Contribution]] = []
        for offset, event, currency, value in sorted(added):
            one = identities[offset]
            mark = _mark(tp, one)
            if mark not in seen:
                found.append((currency, Contribution(tp, offset, one.event_id, event, one.time, value)))
            seen.add(mark)
        return found

    def _archived(self, asked: _Asked, segment: Segment) -> Facts | None:
        (start, end) = (asked.period.start, asked.period.end)
        return self.history.archive.find(segment, asked.projection.contributions, asked.product_id, start, end)

    def _logged(self, asked: _Asked, records: RecordBatch) -> Facts:
        facts = decode_batch(self.history.codec, records).facts
        wanted = (pl.col("product_id") == asked.product_id) & pl.col("bucket").is_between(
            asked.period.start, asked.period.end - 1
        )
        return {event: facts[event].filter(wanted) for event in asked.projection.contributions if event in facts}


@dataclass(frozen=True, slots=True)
class _Asked:
    projection: Projection
    metric: Metric
    product_id: str
    period: Period

    def added(self, facts: Facts) -> list[Added]:
        """Every event that changes the metric, with what it adds."""
        found: list[Added] = []
        for event, adds in self.projection.contributions.items():
            if self.metric.name in adds and event in facts and facts[event].height:
                rows = facts[event].select("offset", "currency", adds[self.metric.name].alias("value"))
                sums = rows.group_by("offset", "currency").agg(pl.col("value").sum())
                found += [(row[0], event, row[1], row[2]) for row in sums.rows() if row[2]]
        return found


def _mark(tp: TopicPartition, one: RecordIdentity) -> Mark:
    if one.sequence is not None:
        return (tp, one.source, int(one.sequence))
    return (None, one.source, one.event_id)
