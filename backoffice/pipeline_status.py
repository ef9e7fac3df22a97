"""The pipeline as it stands, in one shape: outbox → log → consumer → figures, with what is on its way and since when.

It serves `countinghouse status --json`, `/api/status`, the pipeline page and the metrics; docs/status.md describes it
field by field. Names and units are stable, fields may be added.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from event_store.pauses import Part

from .guarded_cache import CacheStatus
from .instants import utc_of

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
    sent_per_s: Annotated[float | None, Meta(description="rows acknowledged per second, of late")] = None

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
    arrived_per_s: Annotated[float | None, Meta(description="records the log took per second, of late")] = None
    counted_per_s: Annotated[float | None, Meta(description="records counted per second, of late")] = None
    consumer: Annotated[str | None, Meta(description="the consumer that holds the partition's lease")] = None
    rebalances: Annotated[int, Meta(description="how often it was given to a consumer after the first time")] = 0
    undecided: Annotated[int, Meta(description="dead letters about which nobody has decided")] = 0


class GenerationStatus(Struct, frozen=True):
    number: int
    state: str
    created_at: datetime
    served_at: datetime | None
    note: str
    counted_ratio: Annotated[float | None, Meta(description="of the log, while it is being built")] = None


class DeadLetterCount(Struct, frozen=True):
    reason: str
    events: int
    newest_detail: str


class PauseStatus(Struct, frozen=True):
    """A part that an operator holds still."""

    part: Annotated[str, Meta(description="relay, consumer or rebuild")]
    since: datetime
    who: str
    why: str

    @property
    def work(self) -> str:
        """What doesn't go on."""
        return Part(self.part).work

    @property
    def sentence(self) -> str:
        return f"{self.work} is paused since {utc_of(self.since)} by {self.who}: {self.why}"


class RebuildUnderWay(Struct, frozen=True):
    """The figures stay those of the serving generation until it switches."""

    generation: Annotated[int | None, Meta(description="the one being built; null: none yet, or a rollback")] = None
    since: datetime | None = None
    counted_ratio: Annotated[float | None, Meta(description="of the log")] = None

    @property
    def words(self) -> str:
        if self.counted_ratio is None:
            return "a rebuild or rollback is running"
        return f"a rebuild is running, {self.counted_ratio:.0%} counted"


class CompletenessStamp(Struct, frozen=True):
    """How far the figures speak for what happened. Stands beside every answer."""

    level: Annotated[str, Meta(description="ok, late or broken")]
    complete_up_to: datetime
    offset: Annotated[int, Meta(description="records counted, over all partitions")]
    on_their_way: int
    parked: int
    missing: int
    generation: int
    paused: list[PauseStatus] = []
    rebuild: Annotated[RebuildUnderWay | None, Meta(description="the one that runs, in whichever process")] = None


class PipelineStatus(Struct, frozen=True):
    asked_at: datetime
    completeness: CompletenessStamp
    lanes: list[LaneStatus]
    partitions: list[PartitionStatus]
    dead_letters: Annotated[list[DeadLetterCount], Meta(description=f"by reason, of the newest {NEWEST_DEAD_LETTERS}")]
    generations: list[GenerationStatus]
    consumers: Annotated[int, Meta(description="consumers at work")] = 0
    rates_over_s: Annotated[float | None, Meta(description="the time over which rates were measured")] = None
    cache: CacheStatus | None = None
    reasons: Annotated[list[str], Meta(description="why the figures are late or not whole, and what to do")] = []

    @property
    def paused(self) -> list[PauseStatus]:
        return self.completeness.paused

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


class CountedPartition(Struct, frozen=True):
    """What the figures' database knows of a partition. The fields are those of PartitionStatus."""

    topic: str
    partition: int
    position: int
    last_counted_at: datetime | None
    duplicates: int
    dead: int
    holes: list[HandledHole]
    stopped: str | None
    consumer: str | None
    rebalances: int
    undecided: Annotated[int, Meta(description="dead letters about which nobody has decided")] = 0


class StatusWithoutLog(Struct, frozen=True):
    """What both databases know while the log can't be reached. How complete the figures are they can't say."""

    asked_at: datetime
    log_error: Annotated[str, Meta(description="why the log can't be looked at, and what to do")]
    lanes: list[LaneStatus]
    partitions: Annotated[list[CountedPartition], Meta(description="those of which anything was counted")]
    dead_letters: list[DeadLetterCount]
    generations: list[GenerationStatus]
    consumers: int
    cache: CacheStatus | None
    paused: list[PauseStatus] = []
