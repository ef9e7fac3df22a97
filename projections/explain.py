"""Explain: the events behind a figure, what each contributed, and their sum beside the figure.

It runs the projections' own contributions without their last grouping, over the whole history, filtered to the
cells asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from event_store.archive import Segment
from event_store.decoded_tail import DecodedTail
from event_store.facts import Facts, joined
from event_store.history import History, RecordIdentity
from event_store.record import TopicPartition

from .explained import Asked, Contribution, Explanation, FigureOf, of_figure
from .projection import Projection
from .projector import UNCOUNTABLE
from .read_model import PartitionProgress, ReadModel, SumsAsked

MAX_DEAD_LETTERS = 1_000_000
MOST_SORTED = 20_000
"""So many events of one quarter of an hour are shown in order of their times; of more, in order of the log."""

Mark = tuple[TopicPartition | None, str, int | str]
"""What tells an event from every other: its lane and sequence, or, of another service, its source and id."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """What the read model says at one moment."""

    figures: Mapping[str, int]
    """Currency → figure."""
    progress: Sequence[PartitionProgress]
    uncounted: frozenset[Mark]
    """Of events that stand in the log and were not counted, though they may decode."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which facts are looked for."""

    events: frozenset[str]
    rows: pl.Expr


@dataclass(frozen=True, slots=True)
class Explainer:
    read_model: ReadModel
    history: History
    projections: Sequence[Projection]
    most_sorted: int = MOST_SORTED
    tail: DecodedTail = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tail", DecodedTail(self.history))

    async def explain(self, asked: Asked) -> Sequence[Explanation]:
        """One explanation per currency in which there is such a figure, by currency.

        Raises UnknownMetric for a figure that no events add up to, OverflowError for one that is too large.
        """
        figure = of_figure(asked.metric, self.projections)
        moment = await self._moment(asked, figure)
        places = [await self._added(asked, figure, one) for one in moment.progress]
        added = figure.valued(places)
        counted = await self._counted_once(added, moment)
        currencies = sorted({*moment.figures, *counted["currency"].unique()})
        return [
            Explanation(
                figure.metric,
                currency,
                moment.figures.get(currency, 0),
                counted.filter(pl.col("currency") == currency).drop("currency"),
            )
            for currency in currencies
        ]

    async def contributions(
        self, explanation: Explanation, first: int = 0, most: int | None = None
    ) -> Sequence[Contribution]:
        """`most` of its events from number `first` on, in order of time, then of place in the log."""
        rows = explanation.added.with_row_index("number")
        page = rows.slice(first, most)
        if page.is_empty():
            return []
        # Rows stand in order of their buckets. Within one that the page touches the times decide, so it is named whole.
        touched = rows.filter(pl.col("bucket").is_between(page["bucket"][0], page["bucket"][-1]))
        by_time = pl.len().over("bucket") <= self.most_sorted
        looked_at = touched.filter(by_time | pl.col("number").is_in(page["number"].implode()))
        timed = set(touched.filter(by_time)["bucket"])
        named = await self._named(looked_at)
        named.sort(key=lambda one: (one.bucket, one.time if one.bucket in timed else "", one.tp, one.offset))
        before = looked_at.filter(pl.col("number") < first).height
        return named[before : before + page.height]

    async def _named(self, rows: pl.DataFrame) -> list[Contribution]:
        named: list[Contribution] = []
        for tp, of_partition in _by_partition(rows):
            identities = await self.history.identities(tp, of_partition["offset"].to_list())
            for offset, event, bucket, value in of_partition.select("offset", "event", "bucket", "value").rows():
                one = identities[offset]
                named.append(Contribution(tp, offset, one.event_id, event, one.time, bucket, value))
        return named

    async def _moment(self, asked: Asked, figure: FigureOf) -> _Moment:
        generation = await self.read_model.serving()
        while True:
            names = [one.name for one in figure.projections]
            sums = await self.read_model.sums(generation, names, SumsAsked(asked.periods, asked.products))
            uncounted = await self._uncounted(generation, sums.progress)
            serving = await self.read_model.serving()
            if serving == generation:
                break
            generation = serving  # A rebuild was switched meanwhile, and the old rows may be gone.
        return _Moment(figure.summed(sums.rows), sums.progress, frozenset(uncounted))

    async def _uncounted(self, generation: int, progress: Sequence[PartitionProgress]) -> set[Mark]:
        """Marks that dead letters took: a record under one of them was not counted, though it may decode now."""
        marks: set[Mark] = set()
        if not any(one.dead for one in progress):
            return marks
        ends = {one.tp: one.next_offset for one in progress}
        for letter in await self.read_model.dead_letters(generation, MAX_DEAD_LETTERS):
            if letter.offset >= ends.get(letter.tp, 0):
                continue  # Parked since.
            place = self.history.codec.place_in_lane(letter.raw)
            if place is not None:
                marks.add((letter.tp, *place))
            elif letter.reason == UNCOUNTABLE:
                one = (await self.history.identities(letter.tp, [letter.offset]))[letter.offset]
                marks.add((None, one.source, one.event_id))
        return marks

    async def _added(self, asked: Asked, figure: FigureOf, progress: PartitionProgress) -> tuple[TopicPartition, Facts]:
        """The facts of the partition's counted records that are asked for, repetitions included."""
        (tp, end) = (progress.tp, progress.next_offset)
        wanted = _Wanted(frozenset(figure.contributions), asked.rows(figure.bucket))
        parts: list[Facts] = []
        start = 0
        for segment in await asyncio.to_thread(self.history.archive.segments, tp):
            facts = await self._archived(segment, wanted) if segment.next_offset <= end else None
            if facts is not None:
                parts += [await self._from_log(wanted, tp, start, segment.first_offset), facts]
                start = segment.next_offset
        parts.append(await self._from_log(wanted, tp, start, end))
        return tp, joined(parts)

    async def _archived(self, segment: Segment, wanted: _Wanted) -> Facts | None:
        return await asyncio.to_thread(self.history.archive.find, segment, sorted(wanted.events), wanted.rows)

    async def _from_log(self, wanted: _Wanted, tp: TopicPartition, start: int, end: int) -> Facts:
        facts = await self.tail.facts(tp, start, end)
        return {event: frame.filter(wanted.rows) for event, frame in facts.items() if event in wanted.events}

    async def _counted_once(self, added: pl.DataFrame, moment: _Moment) -> pl.DataFrame:
        """Of an event that stands twice in the log one is kept, of one that was not counted none.

        Where nothing was ever dropped there is nothing to look for. An event of another service may stand in two
        partitions, and the one in which it was dropped tells nothing of the other.
        """
        if not moment.uncounted and not any(one.duplicates for one in moment.progress):
            return added
        repeated = {one.tp for one in moment.progress if one.duplicates or _has_marks(one.tp, moment.uncounted)}
        marks = {tp: await self._marks(tp, rows) for tp, rows in _by_partition(added) if tp in repeated}
        if any(mark[0] is None for of_partition in marks.values() for mark in of_partition.values()):
            marks |= {tp: await self._marks(tp, rows) for tp, rows in _by_partition(added) if tp not in marks}
        seen = set(moment.uncounted)
        dropped: list[tuple[str, int, int]] = []
        for tp, of_partition in sorted(marks.items()):
            for offset, mark in sorted(of_partition.items()):
                if mark in seen:
                    dropped.append((tp.topic, tp.partition, offset))
                seen.add(mark)
        place = {"topic": pl.String, "partition": pl.Int64, "offset": pl.Int64}
        gone = pl.DataFrame(dropped, schema=place, orient="row")
        return added.join(gone, on=list(place), how="anti", maintain_order="left")

    async def _marks(self, tp: TopicPartition, rows: pl.DataFrame) -> dict[int, Mark]:
        identities = await self.history.identities(tp, rows["offset"].to_list())
        return {offset: _mark(tp, one) for offset, one in identities.items()}


def _by_partition(rows: pl.DataFrame) -> Iterable[tuple[TopicPartition, pl.DataFrame]]:
    for (topic, partition), of_partition in rows.group_by(["topic", "partition"], maintain_order=True):
        yield TopicPartition(str(topic), int(str(partition))), of_partition


def _has_marks(tp: TopicPartition, marks: Iterable[Mark]) -> bool:
    return any(lane is None or lane == tp for lane, *_ in marks)


def _mark(tp: TopicPartition, one: RecordIdentity) -> Mark:
    if one.sequence is not None:
        return (tp, one.source, int(one.sequence))
    return (None, one.source, one.event_id)
