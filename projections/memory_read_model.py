"""A read model in memory, for tests and for embedding.

Figures are one frame per generation and projection, merged by the projection's own merges. It belongs to one event
loop: each call gives way to other tasks before and after it acts, and acts without a pause, so that a batch is all or
nothing and an answer is of one moment.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from event_store.dead_letters import DeadLetter
from event_store.errors import GenerationChanged
from event_store.handled import holes
from event_store.inbox import Position
from event_store.memory_inbox import MemoryInbox
from event_store.memory_news import News
from event_store.record import TopicPartition

from .catalogue import FIGURES, PROJECTIONS
from .figure_table import joined, schema_of, sum_keys
from .figures import Question, answer_of, periods_of
from .memory_letters import MemoryLetters
from .projection import Projection
from .read_model import (
    Changes,
    Effect,
    FiguresVersion,
    Generation,
    Increments,
    PartitionProgress,
    Period,
    Snapshot,
    State,
    Sums,
    SumsAsked,
    check_can_serve,
    check_takes,
)
from .touched_days import Stretches, Touch, buckets_of, days_between, moved_between, touch_of


@dataclass(slots=True)
class _Cell:
    """One generation and all that is its own."""

    generation: Generation
    inbox: MemoryInbox = field(default_factory=MemoryInbox)
    rows: dict[str, pl.DataFrame] = field(default_factory=dict)
    touched: dict[tuple[TopicPartition, int], int] = field(default_factory=dict)
    """(partition, day) → where the partition stood when it last changed the day."""

    def note(self, touch: Touch) -> None:
        self.touched.update({(TopicPartition(topic, number), day): end for topic, number, day, end in touch.days})

    def days_since(self, since: FiguresVersion, now: FiguresVersion) -> list[int] | None:
        stretches: Stretches = {tp: (0, one.next_offset) for tp, one in self.inbox.positions.items()}
        moved = moved_between(since, now, stretches)
        if moved is None:
            return None
        return sorted(
            {day for tp, stood in moved for (of, day), end in self.touched.items() if of == tp and end > stood}
        )


class MemoryReadModel:
    """`clock` gives microseconds since 1970 UTC."""

    def __init__(self, clock: Callable[[], int], *, projections: Sequence[Projection] = PROJECTIONS) -> None:
        self._clock = clock
        self._projections = {projection.name: projection for projection in projections}
        self._news = News()
        self._signing_key = os.urandom(32)
        self._serving = 1
        first = Generation(1, State.SERVING, clock(), clock(), "the first generation")
        self._cells: dict[int, _Cell] = {1: _Cell(first)}
        self.letters = MemoryLetters(lambda: self._inbox(self._serving))

    async def serving(self) -> int:
        await asyncio.sleep(0)
        return self._serving

    async def version(self) -> FiguresVersion:
        await asyncio.sleep(0)
        return self._version()

    def _version(self) -> FiguresVersion:
        cell = self._cells[self._serving]
        counted = [(tp, one.next_offset, one.last_fingerprint) for tp, one in cell.inbox.positions.items()]
        positions = tuple(sorted(one for one in counted if one[1]))
        return FiguresVersion(self._serving, cell.generation.served_at_us or 0, positions)

    async def changes(self, since: FiguresVersion | None, most_rows: int) -> Changes | None:
        await asyncio.sleep(0)
        (now, extent) = (self._version(), self._extent(self._serving))
        if since is None:
            days: Sequence[int] | None = days_between(*(extent or (None, None)))
        else:
            days = self._cells[self._serving].days_since(since, now)
        if days is None:
            return None
        rows = {one.name: self._rows_of(days, one) for one in FIGURES}
        return None if sum(map(len, rows.values())) > most_rows else Changes(now, days, rows)

    def _rows_of(self, days: Sequence[int], projection: Projection) -> pl.DataFrame:
        rows = self._rows(self._serving, projection.name)
        parts = [rows.filter(pl.col("bucket").is_between(*one, closed="left")) for one in buckets_of(days)]
        return joined(projection, parts)

    async def signing_key(self) -> bytes:
        await asyncio.sleep(0)
        return self._signing_key

    async def generations(self) -> Sequence[Generation]:
        await asyncio.sleep(0)
        return [cell.generation for cell in self._cells.values()]

    async def position(self, generation: int, tp: TopicPartition) -> Position:
        await asyncio.sleep(0)
        return self._inbox(generation).position(tp)

    async def known_ids(self, generation: int, ids: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        await asyncio.sleep(0)
        return self._inbox(generation).foreign_ids.intersection(ids)

    async def commit(self, effect: Effect, *, serving: bool) -> None:
        await asyncio.sleep(0)
        generation = effect.generation
        check_takes(generation, self._state(generation), serving=serving)
        cell = self._cells[generation]
        cell.inbox.check(effect.entries)
        merged = self._merged(generation, effect.increments)
        for entry in effect.entries:
            cell.inbox.apply(entry, self._clock())
        cell.note(touch_of(effect))
        cell.rows.update(merged)
        self._news.tell()
        await asyncio.sleep(0)

    async def note_stop(self, generation: int, tp: TopicPartition, why: str | None) -> None:
        await asyncio.sleep(0)
        self._inbox(generation).note_stop(tp, why)
        await asyncio.sleep(0)

    async def progress(self, generation: int) -> Sequence[PartitionProgress]:
        await asyncio.sleep(0)
        return self._progress(generation)

    def _progress(self, generation: int) -> list[PartitionProgress]:
        inbox = self._inbox(generation)
        return [_progress(tp, inbox, self.letters) for tp in sorted(inbox.positions)]

    async def dead_letters(self, generation: int, most: int = 1000) -> Sequence[DeadLetter]:
        await asyncio.sleep(0)
        return self._inbox(generation).newest_dead(most)

    async def sums(self, generation: int, projections: Sequence[str], asked: SumsAsked) -> Sums:
        await asyncio.sleep(0)
        rows = {name: self._sums(generation, name, asked) for name in projections}
        return Sums(rows, self._progress(generation))

    async def figures(self, generation: int, question: Question) -> pl.DataFrame:
        await asyncio.sleep(0)
        periods = periods_of(question, self._extent(generation))
        asked = SumsAsked(periods, question.products, question.by_product)
        parts = [self._sums(generation, one.name, asked) for one in FIGURES]
        return answer_of(question, periods, parts)

    def _sums(self, generation: int, projection: str, asked: SumsAsked) -> pl.DataFrame:
        rows = self._rows(generation, projection)
        if asked.products is not None:
            rows = rows.filter(pl.col("product_id").is_in(list(asked.products)))
        keys = sum_keys(by_product=asked.by_product)
        metrics = [metric.name for metric in self._projections[projection].metrics]
        parts = [_within(rows, period) for period in asked.periods] or [rows.clear().with_columns(period=pl.lit(""))]
        sums = pl.concat(parts).group_by(keys).agg(pl.col(metrics).cast(pl.Int128).sum()).sort(keys)
        return _narrowed(sums, metrics, f"a sum of {projection}")

    async def extent(self, generation: int) -> tuple[int, int] | None:
        await asyncio.sleep(0)
        return self._extent(generation)

    def _extent(self, generation: int) -> tuple[int, int] | None:
        figures = [name for name, projection in self._projections.items() if "bucket" in projection.key]
        buckets = pl.concat([self._rows(generation, name).get_column("bucket") for name in figures])
        return (int(buckets.min()), int(buckets.max())) if len(buckets) else None  # type: ignore[arg-type]

    async def rows(self, generation: int, projection: str) -> pl.DataFrame:
        await asyncio.sleep(0)
        return self._rows(generation, projection)

    async def snapshot(self, generation: int) -> Snapshot:
        await asyncio.sleep(0)
        inbox = self._inbox(generation)
        rows = {name: self._rows(generation, name) for name in self._projections}
        return Snapshot(dict(inbox.positions), rows, frozenset(inbox.dead))

    async def begin_generation(self, note: str) -> int:
        await asyncio.sleep(0)
        for number, cell in list(self._cells.items()):
            if cell.generation.state is State.BUILDING:
                self._abandon(number, "left behind by a rebuild that ended early")
        number = len(self._cells) + 1
        self._cells[number] = _Cell(Generation(number, State.BUILDING, self._clock(), None, note))
        await asyncio.sleep(0)
        return number

    async def switch(self, to: int, note: str) -> None:
        await asyncio.sleep(0)
        old = self._cells[self._serving]
        reached = self._inbox(to)
        behind = [tp for tp, one in old.inbox.positions.items() if reached.position(tp).next_offset < one.next_offset]
        check_can_serve(to, self._state(to), min(behind, default=None))
        new = self._cells[to]
        new.generation = replace(new.generation, state=State.SERVING, served_at_us=self._clock(), note=note)
        old.generation = replace(old.generation, state=State.RETIRED)
        self._serving = to
        self._news.tell()
        await asyncio.sleep(0)

    async def abandon(self, generation: int, note: str) -> None:
        await asyncio.sleep(0)
        if generation == self._serving:
            raise GenerationChanged(f"generation {generation} serves; switch to another before this one is abandoned")
        if generation in self._cells:
            self._abandon(generation, note)
        await asyncio.sleep(0)

    async def wait_for_news(self, timeout_s: float) -> bool:
        return await self._news.wait(timeout_s)

    async def close(self) -> None:
        self._news.tell()

    def _state(self, generation: int) -> State | None:
        cell = self._cells.get(generation)
        return cell.generation.state if cell is not None else None

    def _inbox(self, generation: int) -> MemoryInbox:
        cell = self._cells.get(generation)
        return cell.inbox if cell is not None else MemoryInbox()

    def _rows(self, generation: int, projection: str) -> pl.DataFrame:
        cell = self._cells.get(generation)
        rows = cell.rows.get(projection) if cell is not None else None
        return pl.DataFrame(schema=schema_of(self._projections[projection])) if rows is None else rows

    def _merged(self, generation: int, increments: Increments) -> dict[str, pl.DataFrame]:
        return {
            name: self._projections[name].merged(pl.concat([self._rows(generation, name), rows]))
            for name, rows in increments.items()
        }

    def _abandon(self, generation: int, note: str) -> None:
        state = replace(self._cells[generation].generation, state=State.ABANDONED, note=note)
        self._cells[generation] = _Cell(state)


def _narrowed(rows: pl.DataFrame, names: Sequence[str], what: str) -> pl.DataFrame:
    try:
        return rows.with_columns(pl.col(names).cast(pl.Int64))
    except pl.exceptions.InvalidOperationError as error:
        raise OverflowError(f"{what} would go beyond 64 bits") from error


def _within(rows: pl.DataFrame, period: Period) -> pl.DataFrame:
    inside = pl.col("bucket").is_between(period.start, period.end, closed="left")
    return rows.filter(inside).with_columns(period=pl.lit(period.label))


def _progress(tp: TopicPartition, inbox: MemoryInbox, letters: MemoryLetters) -> PartitionProgress:
    position = inbox.positions[tp]
    counted = inbox.counted.get(tp)
    return PartitionProgress(
        tp=tp,
        next_offset=position.next_offset,
        last_appended_at_us=counted.last_appended_at_us if counted else None,
        counted_at_us=counted.counted_at_us if counted else None,
        duplicates=counted.duplicates if counted else 0,
        dead=sum(letter.tp == tp for letter in inbox.dead.values()),
        holes=holes(position.handled),
        stopped=inbox.stopped.get(tp),
        undecided=letters.undecided(tp, inbox),
    )
