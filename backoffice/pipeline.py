"""Reads the pipeline's status (pipeline_status.py) from all its stages."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec

from event_store.errors import HistoryLost
from event_store.lease import Holding, Leases
from event_store.log import Bounds, Log
from event_store.outbox import LaneStatus as OutboxLane
from event_store.outbox import Outbox
from event_store.pauses import Part, Pauses
from event_store.record import TopicPartition
from event_store.topics import TOPICS, partitions_of, versions
from projections.completeness import Counted, Waiting, completeness
from projections.read_model import PartitionProgress, ReadModel

from .consumer_names import MEMBERS, PARTITIONS
from .generations import generation_statuses, rebuild_under_way
from .guarded_cache import GuardedCache
from .instants import instant, instant_or_none
from .lateness import reasons
from .pipeline_status import (
    NEWEST_DEAD_LETTERS,
    CompletenessStamp,
    CountedPartition,
    DeadLetterCount,
    HandledHole,
    LaneStatus,
    PartitionStatus,
    PauseStatus,
    PipelineStatus,
    RebuildUnderWay,
    StatusWithoutLog,
)
from .pipeline_trend import PipelineTrend
from .standing_pauses import standing
from .throughput import Look, Rates, Throughput


@dataclass(frozen=True, slots=True)
class _Stages:
    asked_at: datetime
    generation: int
    lanes: list[LaneStatus]
    partitions: list[PartitionStatus]
    paused: list[PauseStatus]
    rebuild: RebuildUnderWay | None = None

    @property
    def records(self) -> int:
        """That the log has had."""
        return sum(one.log_end for one in self.partitions)

    def look(self) -> Look:
        return Look(
            self.asked_at,
            self.generation,
            {TopicPartition(one.topic, one.partition): one.sent for one in self.lanes},
            {TopicPartition(one.topic, one.partition): one.log_end for one in self.partitions},
            {TopicPartition(one.topic, one.partition): one.position for one in self.partitions},
        )

    def stamp(self) -> CompletenessStamp:
        one = completeness(self.asked_at, self._counted(), self._waiting(), is_paused=bool(self.paused))
        return CompletenessStamp(
            one.level.value,
            one.complete_up_to,
            one.offset,
            one.on_their_way,
            one.parked,
            one.missing,
            one.generation,
            self.paused,
            self.rebuild,
        )

    def _counted(self) -> Counted:
        holes = [hole for one in self.partitions for hole in one.holes]
        return Counted(
            generation=self.generation,
            offset=sum(one.position for one in self.partitions),
            parked=sum(one.undecided for one in self.partitions) + sum(lane.dead for lane in self.lanes),
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
    """Reads the state of all stages. The ports stay their owner's to close."""

    outbox: Outbox
    log: Log
    read_model: ReadModel
    leases: Leases
    """Of the back-office database."""
    cache: GuardedCache | None = None
    """What pages do without where it is broken."""
    pauses: Mapping[Part, Pauses] = field(default_factory=dict)
    topics: Sequence[str] = tuple(topic.name for topic in TOPICS)
    """The topics that figures are counted from, in all their versions."""
    now_us: Callable[[], int] = _now_us
    throughput: Throughput = field(default_factory=Throughput)
    trend: PipelineTrend = field(default_factory=PipelineTrend)

    async def status(self) -> PipelineStatus:
        stages = await self._stages()
        rates = self.throughput.compared(stages.look())
        holdings = {one.name: one for one in await self.leases.holdings("")}
        status = PipelineStatus(
            asked_at=stages.asked_at,
            completeness=stages.stamp(),
            lanes=[_at_a_rate(lane, rates) for lane in stages.lanes],
            partitions=[_held(one, holdings, rates) for one in stages.partitions],
            dead_letters=await self._dead_letters(stages.generation),
            generations=await generation_statuses(self.read_model, stages.records),
            consumers=_at_work(holdings),
            rates_over_s=round(rates.over_s, 3) if rates else None,
            cache=None if self.cache is None else await self.cache.status(),
        )
        return msgspec.structs.replace(status, reasons=reasons(status))

    async def status_without_log(self, log_error: str) -> StatusWithoutLog:
        """What can be said where `status` failed because the log is away."""
        asked_at = instant(self.now_us())
        lanes = [_lane(lane, asked_at) for lane in await self.outbox.lanes()]
        generation = await self.read_model.serving()
        progress = await self.read_model.progress(generation)
        holdings = {one.name: one for one in await self.leases.holdings("")}
        return StatusWithoutLog(
            asked_at=asked_at,
            log_error=log_error,
            lanes=lanes,
            partitions=[_counted(one, holdings) for one in sorted(progress, key=lambda one: one.tp)],
            dead_letters=await self._dead_letters(generation),
            generations=await generation_statuses(self.read_model, None),
            consumers=_at_work(holdings),
            cache=None if self.cache is None else await self.cache.status(),
            paused=await standing(self.pauses),
        )

    async def completeness(self) -> CompletenessStamp:
        """Of the generation that serves now. Ask before the figures, so that they hold at least what it says."""
        stages = await self._stages()
        self.throughput.compared(stages.look())
        return stages.stamp()

    async def _stages(self) -> _Stages:
        """Reads in the order that completeness rests on: outbox, ends of the log, positions."""
        asked_at = instant(self.now_us())
        lanes = [_lane(lane, asked_at) for lane in await self.outbox.lanes()]
        bounds = await self.log.bounds(await self._partitions())
        generation = await self.read_model.serving()
        progress = {one.tp: one for one in await self.read_model.progress(generation)}
        partitions = [await self._partition(tp, bounds[tp], progress.get(tp), asked_at) for tp in sorted(bounds)]
        stages = _Stages(asked_at, generation, lanes, partitions, await standing(self.pauses))
        return replace(stages, rebuild=await rebuild_under_way(self.leases, self.read_model, stages.records))

    async def _partitions(self) -> list[TopicPartition]:
        return partitions_of(versions(self.topics, await self.log.topics()))

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
            last_counted_at=instant_or_none(progress.counted_at_us if progress else None),
            duplicates=progress.duplicates if progress else 0,
            dead=progress.dead if progress else 0,
            holes=_holes(progress.holes if progress else {}),
            log_changed=changed,
            stopped=progress.stopped if progress else None,
            undecided=progress.undecided if progress else 0,
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
        return (instant(batch.appended_at_us[0]) if len(batch) and position < bounds.end else None), False

    async def _dead_letters(self, generation: int) -> list[DeadLetterCount]:
        newest = await self.read_model.dead_letters(generation, NEWEST_DEAD_LETTERS)
        details = {letter.reason: letter.detail for letter in reversed(newest)}
        counts = Counter(letter.reason for letter in newest)
        return [DeadLetterCount(reason, events, details[reason]) for reason, events in counts.most_common()]


def _at_a_rate(lane: LaneStatus, rates: Rates | None) -> LaneStatus:
    tp = TopicPartition(lane.topic, lane.partition)
    return lane if rates is None else msgspec.structs.replace(lane, sent_per_s=rates.sent(tp))


def _held(one: PartitionStatus, holdings: Mapping[str, Holding], rates: Rates | None) -> PartitionStatus:
    tp = TopicPartition(one.topic, one.partition)
    (consumer, rebalances) = _holder(tp, holdings)
    return msgspec.structs.replace(
        one,
        arrived_per_s=rates.arrived(tp) if rates else None,
        counted_per_s=rates.counted(tp) if rates else None,
        consumer=consumer,
        rebalances=rebalances,
    )


def _counted(one: PartitionProgress, holdings: Mapping[str, Holding]) -> CountedPartition:
    (consumer, rebalances) = _holder(one.tp, holdings)
    return CountedPartition(
        topic=one.tp.topic,
        partition=one.tp.partition,
        position=one.next_offset,
        last_counted_at=instant_or_none(one.counted_at_us),
        duplicates=one.duplicates,
        dead=one.dead,
        holes=_holes(one.holes),
        stopped=one.stopped,
        consumer=consumer,
        rebalances=rebalances,
        undecided=one.undecided,
    )


def _holder(tp: TopicPartition, holdings: Mapping[str, Holding]) -> tuple[str | None, int]:
    """The consumer that has the partition, and how often it changed hands."""
    lease = holdings.get(f"{PARTITIONS}{tp}")
    return (lease.owner, max(0, lease.epoch - 1)) if lease else (None, 0)


def _at_work(holdings: Mapping[str, Holding]) -> int:
    return sum(name.startswith(MEMBERS) and one.owner is not None for name, one in holdings.items())


def _lane(lane: OutboxLane, asked_at: datetime) -> LaneStatus:
    oldest = instant_or_none(lane.oldest_waiting_us)
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


def _age_s(now: datetime, since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, round((now - since).total_seconds(), 3))
