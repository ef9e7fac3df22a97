"""The projector: one batch of records into the figures of one generation, exactly once.

What is folded is decided from memory and confirmed by the database: the transaction takes the batch only where the
stored position is the one that the memory speaks of, and positions, handled ranges and figures change together. So
the fold can run before the transaction begins, and the transaction is short.

Memory changes after COMMIT. Where the outcome is unknown the partition is forgotten, and read back at its next batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from event_store.codec import Codec
from event_store.crash_points import NO_CRASH, CrashPoints
from event_store.dead_letters import Breaker, DeadLetter
from event_store.decoded_batch import DecodedBatch, decode_batch
from event_store.errors import GenerationChanged, PositionMoved
from event_store.facts import joined
from event_store.handled import HandledRanges
from event_store.inbox import InboxEntry, Position
from event_store.record import RecordBatch, TopicPartition

from .locks import ProductLocks
from .projection import Projection
from .read_model import Effect, Increments, ReadModel

UNCOUNTABLE = "UNCOUNTABLE"
"""The reason of a dead letter that decodes and fails when it is counted."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What one batch did."""

    tp: TopicPartition
    next_offset: int
    records: int
    duplicates: int
    dead: int
    reasons: Sequence[str] = ()
    """Of each dead letter."""
    traceparents: Sequence[str] = ()
    """Of the first of its events that came with one, where the codec notes them."""


@dataclass(frozen=True, slots=True)
class _Admitted:
    """A batch less its duplicates, and its book-keeping."""

    new: DecodedBatch
    entry: InboxEntry

    @property
    def applied(self) -> Applied:
        (new, dead) = (self.new, self.new.dead)
        reasons = [letter.reason for letter in dead]
        duplicates = self.entry.duplicates
        return Applied(new.tp, new.next_offset, len(new), duplicates, len(dead), reasons, new.traceparents)


@dataclass(slots=True)
class Projector:
    """Counts batches into one generation. `serving` says whether that is the one readers see."""

    read_model: ReadModel
    generation: int
    serving: bool
    projections: Sequence[Projection]
    codec: Codec
    locks: ProductLocks = field(default_factory=ProductLocks)
    crash_points: CrashPoints = NO_CRASH
    dead_letter_limit: int | None = 100
    """Dead letters tolerated in the last 10,000 records of a partition; None tolerates any number."""
    took: Callable[[str, float], None] = lambda phase, seconds: None
    """Hears how long each `fold` and each `commit` took."""
    _positions: dict[TopicPartition, Position] = field(default_factory=dict)
    _breakers: dict[TopicPartition, Breaker] = field(default_factory=dict)

    async def position(self, tp: TopicPartition) -> Position:
        """Where the partition stands: from memory, or, the first time and after `forget`, from the table."""
        known = self._positions.get(tp)
        if known is None:
            known = self._positions[tp] = await self.read_model.position(self.generation, tp)
        return known

    def counted(self, tp: TopicPartition) -> int:
        """The next offset as far as memory knows, 0 where it knows nothing."""
        known = self._positions.get(tp)
        return 0 if known is None else known.next_offset

    def forget(self, tp: TopicPartition) -> None:
        """The table decides again: after an unknown outcome, a conflict, or a change of ownership."""
        self._positions.pop(tp, None)

    async def apply(self, batch: RecordBatch) -> Applied:
        """Counts a batch that begins at the partition's position. Not safe to call twice at a time for a partition.

        Raises PositionMoved or GenerationChanged where somebody else moved first, TooManyDeadLetters, or a
        TransientError: nothing is known to be written then, and the same call may be made again.
        """
        return await self.apply_decoded(decode_batch(self.codec, batch))

    async def apply_decoded(self, batch: DecodedBatch) -> Applied:
        return (await self.apply_together([batch]))[0]

    async def apply_together(self, batches: Sequence[DecodedBatch]) -> list[Applied]:
        """Counts one batch each of several partitions in one transaction: all of them, or none. Raises as `apply`."""
        admitted = [await self._admit(batch) for batch in batches]
        started_s = time.perf_counter()
        increments = self.fold([one.new for one in admitted])
        folded_s = time.perf_counter()
        self.took("fold", folded_s - started_s)
        async with self.locks.hold(_products(increments)):
            await self._commit(Effect([one.entry for one in admitted], increments))
        self.took("commit", time.perf_counter() - folded_s)
        for one in admitted:
            self._remember(one)
        self.crash_points.passing("consumer.after_memory")
        return [one.applied for one in admitted]

    def fold(self, batches: Sequence[DecodedBatch]) -> Increments:
        """What the batches add. Raises OverflowError where a sum does not fit: count fewer records at a time."""
        facts = joined([batch.facts for batch in batches])
        folded = {projection.name: projection.increments(facts) for projection in self.projections}
        return {name: rows for name, rows in folded.items() if rows is not None}

    async def _commit(self, effect: Effect) -> None:
        try:
            await self.read_model.commit(effect, serving=self.serving)
        except GenerationChanged:
            self._positions.clear()
            raise
        except BaseException:
            for entry in effect.entries:
                self.forget(entry.tp)  # The outcome may be unknown: the table decides.
            raise

    def _remember(self, one: _Admitted) -> None:
        self._positions[one.entry.tp] = one.entry.after
        breaker = self._breaker(one.entry.tp)
        if breaker is not None:
            breaker.passed(one.new.next_offset, len(one.new.dead))

    async def _admit(self, batch: DecodedBatch) -> _Admitted:
        before = await self.position(batch.tp)
        if before.next_offset != batch.first_offset:
            raise PositionMoved(before.next_offset)
        (new, after) = await self._less_duplicates(batch, before)
        breaker = self._breaker(batch.tp)
        if breaker is not None:
            breaker.admit(batch.tp, batch.next_offset, len(new.dead))
        return _Admitted(new, self._entry(new, before, after))

    async def _less_duplicates(self, batch: DecodedBatch, before: Position) -> tuple[DecodedBatch, Position]:
        """The batch less its duplicates, and the position after it."""
        handled = dict(before.handled)
        gone: list[int] = []
        for run in batch.lanes:
            (handled[run.source], repeated) = handled.get(run.source, HandledRanges()).admit(run.sequences)
            gone += [run.offsets[index] for index in repeated]
        gone += await self._known_foreign(batch)
        after = Position(batch.next_offset, batch.last_fingerprint, handled)
        return (batch.without(gone) if gone else batch), after

    async def _known_foreign(self, batch: DecodedBatch) -> list[int]:
        """Offsets of records without a sequence whose id was handled, or comes a second time in this batch."""
        if not batch.foreign:
            return []
        ids = [(one.source, one.event_id) for one in batch.foreign]
        seen = await self.read_model.known_ids(self.generation, ids)
        gone: list[int] = []
        for one in batch.foreign:
            if (one.source, one.event_id) in seen:
                gone.append(one.offset)
            seen.add((one.source, one.event_id))
        return gone

    def _entry(self, new: DecodedBatch, before: Position, after: Position) -> InboxEntry:
        ids = [(one.source, one.event_id) for one in new.foreign]
        repeated = new.repeated
        return InboxEntry(self.generation, new.tp, before, after, ids, new.dead, new.last_appended_at_us, repeated)

    def _breaker(self, tp: TopicPartition) -> Breaker | None:
        if self.dead_letter_limit is None:
            return None
        return self._breakers.setdefault(tp, Breaker(self.dead_letter_limit))


def buried(batch: DecodedBatch, record: RecordBatch, error: Exception) -> DecodedBatch:
    """A batch of one record that counts nothing and keeps the record, which nobody could count, as a dead letter."""
    detail = f"{type(error).__name__}: {error}"[:500]
    (raw, appended_at_us) = (record.values[0], record.appended_at_us[0])
    letter = DeadLetter(batch.tp, batch.first_offset, raw, UNCOUNTABLE, detail, appended_at_us)
    return replace(batch, facts={}, dead=[letter])


def _products(increments: Increments) -> set[str]:
    return {product_id for rows in increments.values() for product_id in rows.get_column("product_id").to_list()}
