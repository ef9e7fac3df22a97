"""Rebuild: the same fold from offset zero on into another generation, proof that it comes out equal, and the switch.

Nothing of the serving generation is touched before the switch, and the switch is one transaction. A rebuild that is
killed leaves a generation in BUILDING, which the next one empties.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Protocol

from event_store.backoff import Backoff
from event_store.crash_points import NO_CRASH, CrashPoints
from event_store.decoded_batch import DecodedBatch, decode_batch
from event_store.errors import (
    EventStoreError,
    ForeignIdTaken,
    GenerationChanged,
    PositionMoved,
    StorageUnavailable,
    TransientError,
)
from event_store.history import History
from event_store.lease import Leases
from event_store.record import MAX_SEGMENT_RECORDS, RecordBatch, TopicPartition
from event_store.topics import PARTITIONS, partitions_of, versions

from .comparison import Comparison, compare
from .gathering import Gathering
from .pace import Pace
from .projection import Projection
from .projector import Projector, buried
from .read_model import Generation, ReadModel, State
from .rebuild_lease import LEASE_TTL_S, RebuildLease

MAX_SWITCH_ATTEMPTS = 200
MAX_FAILURES = 10
"""How often in a row a partition's storage or log may fail before the rebuild gives up; some half a minute."""
GATHER_S = 0.02
"""How long a stretch of one partition waits for others, to be counted with them."""
MAX_UNCOUNTABLE = 100
"""Records that may fail for a reason nobody has classified; more of them are a fault of ours."""
FULL_PACE = Pace()


class RebuildRefused(EventStoreError):
    """The rebuilt figures differ from the serving ones; nothing was switched."""

    def __init__(self, comparison: Comparison) -> None:
        shown = "\n".join(f"  {one}" for one in comparison.differences)
        super().__init__(
            f"{comparison.differing} differences from the serving figures:\n{shown}\n"
            'Nothing was switched. Switch all the same with --accept-differences "reason".'
        )
        self.comparison = comparison


class NothingToRollBackTo(EventStoreError):
    """No earlier generation is kept."""


class RebuildObserver(Protocol):
    def begun(self, generation: int) -> None: ...

    def progressed(self, counted: int, total: int) -> None: ...

    def compared(self, comparison: Comparison) -> None: ...

    def switched(self, generation: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Rebuilt:
    generation: int
    replaced: int
    records: int
    comparison: Comparison | None
    """None for a rollback, which compares nothing."""


@dataclass(slots=True)
class Rebuild:
    read_model: ReadModel
    history: History
    leases: Leases
    projections: Sequence[Projection]
    open_projector: Callable[[int], Projector]
    """Makes a projector of a generation that isn't serving."""
    observer: RebuildObserver
    owner: str
    keep_retired: int = 1
    """How many generations that served before are kept for rollback."""
    crash_points: CrashPoints = NO_CRASH
    at_a_time: int = 12
    """Partitions read at a time, the small ones first. What they have ready together is counted together: an order's
    products lie in several partitions' sales, whose rows are then written once."""
    backoff: Backoff = field(default_factory=Backoff)
    lease_ttl_s: float = LEASE_TTL_S
    """How long a rebuild that died holds up the next one."""
    pace: Pace = field(default_factory=Pace)
    """Of what is counted before the comparison. What came meanwhile isn't held back: it would never be reached."""
    _begun: dict[TopicPartition, int] = field(default_factory=dict)
    """Where each partition stood at first."""
    _reached: dict[TopicPartition, int] = field(default_factory=dict)
    """Where it stands now. The difference is what was counted, commits that were reported failed included."""
    _buried: int = field(default=0)

    async def run(self, note: str, accept_differences: str | None = None) -> Rebuilt:
        """Builds, compares and switches.

        Raises RebuildRefused, RebuildRunning, HistoryLost, LogChanged, or the TransientError that did not pass.
        """
        async with RebuildLease(self.leases, self.owner, self.lease_ttl_s):
            serving = await self.read_model.serving()
            for tp in await self._partitions():
                await self.history.check(tp)
            generation = await self.read_model.begin_generation(note)
            self.observer.begun(generation)
            try:
                projector = self.open_projector(generation)
                comparison = await self._build(projector, serving)
                if not comparison.equal and accept_differences is None:
                    raise RebuildRefused(comparison)
                why = note if comparison.equal else f"{note}; differences accepted: {accept_differences}"
                await self._switch(projector, why)
            except EventStoreError as error:
                await self._give_up(generation, f"{note}: {str(error).splitlines()[0]}")
                raise
            except asyncio.CancelledError:
                await self._give_up(generation, f"{note}: cancelled")
                raise
            with suppress(EventStoreError):  # It has switched; what is too old is forgotten after the next one then.
                await self._forget_old()
            return Rebuilt(generation, serving, self._counted, comparison)

    async def roll_back(self, note: str) -> Rebuilt:
        """Brings the generation that served last up to date and lets it serve again."""
        async with RebuildLease(self.leases, self.owner, self.lease_ttl_s):
            serving = await self.read_model.serving()
            earlier = served_before(await self.read_model.generations())
            if not earlier:
                raise NothingToRollBackTo("no generation that served before is kept")
            await self._switch(self.open_projector(earlier[0].number), note)
            return Rebuilt(earlier[0].number, serving, self._counted, None)

    async def _give_up(self, generation: int, note: str) -> None:
        """Where this fails, the next rebuild empties what is left. One that serves already stays."""
        try:
            await self.read_model.abandon(generation, note)
        except GenerationChanged:
            self.observer.switched(generation)
        except EventStoreError:
            return

    @property
    def _counted(self) -> int:
        return sum(self._reached.values()) - sum(self._begun.values())

    async def _build(self, projector: Projector, serving: int) -> Comparison:
        """Counts up to where the serving generation stood at one moment, and compares with it as it was then."""
        targets = {one.tp: one.next_offset for one in await self.read_model.progress(serving)}
        await self._count_to(projector, targets, self.pace)
        (snapshot, rebuilt) = await asyncio.gather(
            self.read_model.snapshot(serving), self.read_model.snapshot(projector.generation)
        )
        reached = snapshot.offsets
        if rebuilt.offsets != reached:  # It counted on meanwhile.
            await self._count_to(projector, reached)
            rebuilt = await self.read_model.snapshot(projector.generation)
        comparison = await asyncio.to_thread(compare, snapshot, rebuilt, self.projections)
        self.observer.compared(comparison)
        return comparison

    async def _switch(self, projector: Projector, note: str) -> None:
        """Counts to the log's end and flips; again where the serving generation got ahead in between."""
        for _ in range(MAX_SWITCH_ATTEMPTS):
            tps = await self._partitions()
            bounds = await self.history.log.bounds(tps)
            await self._count_to(projector, {tp: one.end for tp, one in bounds.items()})
            self.crash_points.passing("rebuild.before_switch")
            try:
                await self._flip(projector.generation, note)
            except GenerationChanged as error:
                last = error
                continue
            self.crash_points.passing("rebuild.after_switch")
            self.observer.switched(projector.generation)
            return
        raise last

    async def _flip(self, generation: int, note: str) -> None:
        """One transaction; where its outcome is unknown, what readers see says whether it went through."""
        try:
            await self.read_model.switch(generation, note)
        except StorageUnavailable:
            if await self.read_model.serving() != generation:
                raise

    async def _count_to(
        self, projector: Projector, targets: Mapping[TopicPartition, int], pace: Pace = FULL_PACE
    ) -> None:
        total = self._counted
        for tp, end in targets.items():
            total += max(0, end - (await projector.position(tp)).next_offset)
        gathering = Gathering(projector, at_a_time=2, max_records=MAX_SEGMENT_RECORDS, wait_s=GATHER_S)
        turn = asyncio.Semaphore(self.at_a_time)
        try:
            async with asyncio.TaskGroup() as group:
                for tp, end in sorted(targets.items(), key=lambda target: target[1]):
                    group.create_task(self._count_partition(gathering, tp, end, turn, total, pace))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed

    async def _count_partition(
        self, gathering: Gathering, tp: TopicPartition, end: int, turn: asyncio.Semaphore, total: int, pace: Pace
    ) -> None:
        """Counts to `end`. What fails for a moment is repeated from where the table says that we stand."""
        projector = gathering.projector
        failures = 0
        async with turn:
            while True:
                try:
                    start = (await projector.position(tp)).next_offset
                    self._stands_at(tp, start, total)
                    async with aclosing(self.history.read(tp, start, end)) as batches:
                        async for batch in batches:
                            await pace.take(len(batch))
                            await self._apply(gathering, batch)
                            failures = 0
                            self.crash_points.passing("rebuild.after_chunk")
                            self._stands_at(tp, batch.next_offset, total)
                    return
                except (ForeignIdTaken, PositionMoved):
                    projector.forget(tp)  # Counted in another partition meanwhile, or a lost COMMIT went through.
                except TransientError:
                    failures += 1
                    if failures > MAX_FAILURES:
                        raise
                    await asyncio.sleep(self.backoff.wait_s(failures))

    def _stands_at(self, tp: TopicPartition, next_offset: int, total: int) -> None:
        self._begun.setdefault(tp, next_offset)
        if self._reached.setdefault(tp, next_offset) != next_offset:
            self._reached[tp] = next_offset
            self.observer.progressed(self._counted, total)

    async def _apply(self, gathering: Gathering, batch: DecodedBatch) -> None:
        try:
            await gathering.apply(batch)
        except EventStoreError:
            raise
        except Exception as error:
            records = await self.history.read_log(batch.tp, batch.first_offset, batch.next_offset)
            await self._narrow(gathering.projector, records, error)

    async def _narrow(self, projector: Projector, records: RecordBatch, error: Exception) -> None:
        """Halves what fails for a reason nobody has classified, as live counting does, to find the record behind it."""
        half = len(records) // 2
        if not half:
            await self._bury(projector, records, error)
            return
        for part in (records.slice(0, half), records.slice(half, len(records))):
            try:
                await projector.apply(part)
            except EventStoreError:
                raise
            except Exception as again:
                await self._narrow(projector, part, again)

    async def _bury(self, projector: Projector, record: RecordBatch, error: Exception) -> None:
        self._buried += 1
        if self._buried > MAX_UNCOUNTABLE:
            raise error
        await projector.apply_decoded(buried(decode_batch(projector.codec, record), record, error))

    async def _partitions(self) -> list[TopicPartition]:
        return partitions_of(versions(PARTITIONS, await self.history.log.topics()))

    async def _forget_old(self) -> None:
        for generation in served_before(await self.read_model.generations())[self.keep_retired :]:
            await self.read_model.abandon(generation.number, "no longer kept for rollback")


def served_before(generations: Sequence[Generation]) -> list[Generation]:
    """Retired generations, the one that served last first."""
    retired = [one for one in generations if one.state is State.RETIRED]
    return sorted(retired, key=lambda one: one.served_at_us or 0, reverse=True)
