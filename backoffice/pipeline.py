"""The pipeline as it stands: outbox → log → consumer → figures, with what is on its way and since when.

One shape serves `countinghouse status --json`, `/api/status`, the pipeline page and the metrics; docs/status.md
describes it field by field. Names and units are stable, fields may be added.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from event_store.errors import HistoryLost
from event_store.log import Bounds, Log
from event_store.outbox import LaneStatus as OutboxLane
from event_store.outbox import Outbox
from event_store.record import TopicPartition
from event_store.topics import TOPICS, partitions_of
from projections.completeness import Counted, Waiting, completeness
from projections.read_model import PartitionProgress, ReadModel

NEWEST_DEAD_LETTERS = 1000
"""How many dead letters are looked at to name their reasons; how many there are in all is counted apart."""


class LaneStatus(Struct, frozen=True):
    """One lane of the outbox."""

    topic: str
    partition: int
    source: str
    ready: Annotated[int, Meta(description="rows without a sequence yet")]
    claimed: Annotated[int, Meta(description="rows with a sequence, not acknowledged by the log")]
    failed: Annotated[int, Meta(description="rows of a lane whose last attempt failed")]
    sent: Annotated[int, Meta(description="rows the log has acknowledged, ever")]
    dead: Annotated[int, Meta(description="rows the log will never take, not re-driven")]
    oldest_waiting_at: datetime | None
    oldest_waiting_s: float
    failures: Annotated[int, Meta(description="failed attempts since the last success")]
    error: str | None
    owner: Annotated[str | None, Meta(description="the relay that holds the lane's lease")]

    @property
    def waiting(self) -> int:
        return self.ready + self.claimed + self.failed


class HandledHole(Struct, frozen=True):
    """Sequences that the log has not shown, although it has shown later ones: lost, or not there yet."""

    source: str
    first_sequence: int
    last_sequence: int


class PartitionStatus(Struct, frozen=True):
    """One partition of the log, and how far the serving generation has counted it."""

    topic: str
    partition: int
    log_begin: int
    log_end: Annotated[int, Meta(description="the offset the next record will get")]
    position: Annotated[int, Meta(description="the next offset to count")]
    lag_events: int
    lag_s: Annotated[float | None, Meta(description="age of the oldest record not counted; 0 when there is none")]
    oldest_uncounted_at: datetime | None
    last_counted_at: datetime | None
    duplicates: Annotated[int, Meta(description="records dropped because their event was counted before")]
    dead: Annotated[int, Meta(description="dead letters")]
    holes: list[HandledHole]
    log_changed: Annotated[bool, Meta(description="the log no longer has, or never had, the position")]
    stopped: Annotated[str | None, Meta(description="why the consumer does not go on here, and what to do")]


class GenerationStatus(Struct, frozen=True):
    number: int
    state: str
    created_at: datetime
    served_at: datetime | None
    note: str


class DeadLetterCount(Struct, frozen=True):
    reason: str
    events: int
    newest_detail: str


class CompletenessStamp(Struct, frozen=True):
    """How far the figures speak for what happened. Stands beside every answer."""

    level: Annotated[str, Meta(description="ok, late or broken")]
    complete_up_to: datetime
    offset: Annotated[int, Meta(description="records counted, over all partitions")]
    on_their_way: int
    parked: int
    missing: int
    generation: int


class PipelineStatus(Struct, frozen=True):
    asked_at: datetime
    completeness: CompletenessStamp
    lanes: list[LaneStatus]
    partitions: list[PartitionStatus]
    dead_letters: Annotated[list[DeadLetterCount], Meta(description=f"by reason, of the newest {NEWEST_DEAD_LETTERS}")]
    generations: list[GenerationStatus]

    @property
    def waiting_rows(self) -> int:
        return sum(lane.waiting for lane in self.lanes)

    @property
    def lag_events(self) -> int:
        return sum(one.lag_events for one in self.partitions)

    @property
    def is_drained(self) -> bool:
        """Nothing accepted before `asked_at` is still to be counted."""
        return not self.waiting_rows and not self.lag_events

    @property
    def dead_rows(self) -> int:
        return sum(lane.dead for lane in self.lanes)


@dataclass(frozen=True, slots=True)
class _Stages:
    asked_at: datetime
    generation: int
    lanes: list[LaneStatus]
    partitions: list[PartitionStatus]

    def stamp(self) -> CompletenessStamp:
        one = completeness(self.asked_at, self._counted(), self._waiting())
        return CompletenessStamp(
            one.level.value,
            one.complete_up_to,
            one.offset,
            one.on_their_way,
            one.parked,
            one.missing,
            one.generation,
        )

    def _counted(self) -> Counted:
        holes = [hole for one in self.partitions for hole in one.holes]
        return Counted(
            generation=self.generation,
            offset=sum(one.position for one in self.partitions),
            parked=sum(one.dead for one in self.partitions) + sum(lane.dead for lane in self.lanes),
            missing=sum(hole.last_sequence - hole.first_sequence + 1 for hole in holes),
            log_changed=any(one.log_changed for one in self.partitions),
            stopped=any(one.stopped is not None for one in self.partitions),
        )

    def _waiting(self) -> list[Waiting]:
        in_lanes = [Waiting(one.waiting, one.oldest_waiting_at, one.failures > 0) for one in self.lanes]
        return in_lanes + [Waiting(one.lag_events, one.oldest_uncounted_at) for one in self.partitions]


def _now_us() -> int:
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Reads the state of all stages. The three ports stay their owner's to close."""

    outbox: Outbox
    log: Log
    read_model: ReadModel
    topics: Sequence[str] = tuple(topic.name for topic in TOPICS)
    """The topics that figures are counted from."""
    now_us: Callable[[], int] = _now_us

    async def status(self) -> PipelineStatus:
        stages = await self._stages()
        return PipelineStatus(
            asked_at=stages.asked_at,
            completeness=stages.stamp(),
            lanes=stages.lanes,
            partitions=stages.partitions,
            dead_letters=await self._dead_letters(stages.generation),
            generations=await self._generations(),
        )

    async def completeness(self) -> CompletenessStamp:
        """Of the generation that serves now. Ask before the figures, so that they hold at least what it says."""
        return (await self._stages()).stamp()

    async def _stages(self) -> _Stages:
        """Reads in the order that completeness rests on: outbox, ends of the log, positions."""
        asked_at = _instant(self.now_us())
        lanes = [_lane(lane, asked_at) for lane in await self.outbox.lanes()]
        bounds = await self.log.bounds(await self._partitions())
        generation = await self.read_model.serving()
        progress = {one.tp: one for one in await self.read_model.progress(generation)}
        partitions = [await self._partition(tp, bounds[tp], progress.get(tp), asked_at) for tp in sorted(bounds)]
        return _Stages(asked_at, generation, lanes, partitions)

    async def _partitions(self) -> list[TopicPartition]:
        known = await self.log.topics()
        return partitions_of({topic: known.get(topic, 0) for topic in self.topics})

    async def _partition(
        self, tp: TopicPartition, bounds: Bounds, progress: PartitionProgress | None, asked_at: datetime
    ) -> PartitionStatus:
        position = progress.next_offset if progress else 0
        lag_events = max(0, bounds.end - position)
        (oldest, changed) = await self._oldest_uncounted(tp, position, bounds)
        return PartitionStatus(
            topic=tp.topic,
            partition=tp.partition,
            log_begin=bounds.begin,
            log_end=bounds.end,
            position=position,
            lag_events=lag_events,
            lag_s=None if changed else _age_s(asked_at, oldest),
            oldest_uncounted_at=oldest,
            last_counted_at=_instant_or_none(progress.counted_at_us if progress else None),
            duplicates=progress.duplicates if progress else 0,
            dead=progress.dead if progress else 0,
            holes=_holes(progress.holes if progress else {}),
            log_changed=changed,
            stopped=progress.stopped if progress else None,
        )

    async def _oldest_uncounted(
        self, tp: TopicPartition, position: int, bounds: Bounds
    ) -> tuple[datetime | None, bool]:
        """When the first uncounted record came into the log, and whether the log is not the one that was counted."""
        if position == bounds.end:
            return None, False
        try:
            batch = await self.log.read(tp, position, 1)
        except HistoryLost:
            return None, True
        # Records that came after the bounds were read are no lag of this moment.
        return (_instant(batch.appended_at_us[0]) if len(batch) and position < bounds.end else None), False

    async def _dead_letters(self, generation: int) -> list[DeadLetterCount]:
        newest = await self.read_model.dead_letters(generation, NEWEST_DEAD_LETTERS)
        details = {letter.reason: letter.detail for letter in reversed(newest)}
        counts = Counter(letter.reason for letter in newest)
        return [DeadLetterCount(reason, events, details[reason]) for reason, events in counts.most_common()]

    async def _generations(self) -> list[GenerationStatus]:
        return [
            GenerationStatus(
                one.number, one.state.value, _instant(one.created_at_us), _instant_or_none(one.served_at_us), one.note
            )
            for one in await self.read_model.generations()
        ]


def _lane(lane: OutboxLane, asked_at: datetime) -> LaneStatus:
    oldest = _instant_or_none(lane.oldest_waiting_us)
    return LaneStatus(
        topic=lane.tp.topic,
        partition=lane.tp.partition,
        source=lane.source,
        ready=lane.ready,
        claimed=lane.claimed,
        failed=lane.failed,
        sent=lane.sent,
        dead=lane.dead,
        oldest_waiting_at=oldest,
        oldest_waiting_s=_age_s(asked_at, oldest),
        failures=lane.failures,
        error=lane.error,
        owner=lane.owner,
    )


def _holes(holes: Mapping[str, Sequence[tuple[int, int]]]) -> list[HandledHole]:
    return [HandledHole(source, first, last) for source in sorted(holes) for first, last in holes[source]]


def _instant(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def _instant_or_none(us: int | None) -> datetime | None:
    return None if us is None else _instant(us)


def _age_s(now: datetime, since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, round((now - since).total_seconds(), 3))
