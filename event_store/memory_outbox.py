"""An outbox in memory, for tests and for embedding: rows, lanes and leases as a database would keep them.

It belongs to one event loop. Each call gives way to other tasks before and after it acts, and acts without a pause,
which is what a transaction would give. `export` and `restore` play a database put back from an older copy.
"""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .codec import Draft
from .memory_lanes import LaneRows, Row
from .memory_leases import LeaseTable
from .memory_news import News
from .outbox import MAX_PASS_ROWS, Acknowledgement, ClaimedRow, ClaimedRows, DeadRow, Lane, LaneStatus, newest_for
from .record import TopicPartition
from .topics import newest_versions, partitions_of, remembered_partition_for


@dataclass(slots=True)
class OutboxContents:
    """Everything the database would hold."""

    lanes: dict[TopicPartition, LaneRows]
    incarnation: int = 1
    dead: dict[int, DeadRow] = field(default_factory=dict)
    leases: LeaseTable = field(default_factory=LeaseTable)
    once: set[str] = field(default_factory=set)
    """Ids of the events that were written at most once."""


class MemoryOutbox:
    """`topics` gives the partitions of each topic, each a lane; `clock` microseconds since 1970 UTC."""

    def __init__(
        self, topics: Mapping[str, int], clock: Callable[[], int], *, source: str = "/countinghouse/commerce"
    ) -> None:
        self._clock = clock
        self._base = source
        self._contents = OutboxContents(lanes={tp: LaneRows() for tp in partitions_of(topics)})
        self._news = News()

    def write(self, drafts: Sequence[Draft]) -> None:
        """Adds all of `drafts`, or none and raises UnknownTopic where there is no lane for one."""
        placed = [(self._lane_for(draft), draft) for draft in drafts]
        now_us = self._clock()
        for tp, draft in placed:
            self._contents.lanes[tp].waiting.append(Row(draft.event_id, draft.key, draft.payload, now_us))
        self._news.tell()

    async def write_once(self, draft: Draft) -> bool:
        await asyncio.sleep(0)
        if draft.event_id in self._contents.once:
            return False
        self.write([draft])
        self._contents.once.add(draft.event_id)
        await asyncio.sleep(0)
        return True

    def export(self) -> OutboxContents:
        """A copy of the whole database."""
        return copy.deepcopy(self._contents)

    def restore(self, contents: OutboxContents) -> None:
        """Puts a copy back in place of what is there."""
        self._contents = copy.deepcopy(contents)
        self._news.tell()

    async def source(self) -> str:
        await asyncio.sleep(0)
        return self._source()

    async def hold_lanes(self, owner: str, ttl_s: float) -> Sequence[Lane]:
        await asyncio.sleep(0)
        now_us = self._clock()
        names = {str(tp): tp for tp in self._contents.lanes}
        leases = self._contents.leases.take(list(names), owner, now_us + round(ttl_s * 1e6), now_us)
        lanes = [self._lane(names[lease.name], lease.epoch) for lease in leases]
        await asyncio.sleep(0)
        return lanes

    async def take_over(self, owner: str) -> None:
        await asyncio.sleep(0)
        self._contents.leases.end(owner)

    async def release(self, owner: str) -> None:
        await asyncio.sleep(0)
        self._contents.leases.end(owner)

    async def claim(self, lanes: Sequence[Lane], most: int = MAX_PASS_ROWS) -> Sequence[ClaimedRows]:
        await asyncio.sleep(0)
        claimed = [
            ClaimedRows(lane, rows)
            for lane in lanes
            if (held := self._held(lane)) is not None and (rows := held.claim(most))
        ]
        await asyncio.sleep(0)
        return claimed

    async def acknowledge(self, acknowledgements: Sequence[Acknowledgement]) -> None:
        await asyncio.sleep(0)
        for one in acknowledgements:
            rows = self._held(one.lane)
            if rows is not None:
                rows.acknowledge(one.sequence, one.offset)
        await asyncio.sleep(0)

    async def advance(self, done: Acknowledgement, most: int = MAX_PASS_ROWS) -> Sequence[ClaimedRow]:
        await asyncio.sleep(0)
        rows = self._held(done.lane)
        if rows is None:
            return []
        rows.acknowledge(done.sequence, done.offset)
        claimed = rows.claim(most)
        await asyncio.sleep(0)
        return claimed

    async def note_failure(self, lane: Lane, error: str, retry_in_s: float) -> None:
        await asyncio.sleep(0)
        rows = self._held(lane)
        if rows is not None:
            rows.fail(error, self._clock() + round(retry_in_s * 1e6))
        await asyncio.sleep(0)

    async def bury(self, lane: Lane, sequence: int, reason: str, withheld: Draft) -> None:
        await asyncio.sleep(0)
        rows = self._held(lane)
        row = rows.withhold(sequence, withheld) if rows is not None else None
        if row is not None:
            dead = self._contents.dead
            number = len(dead) + 1
            dead[number] = DeadRow(
                number, lane.tp, sequence, row.event_id, row.key, row.payload, reason, self._clock(), None
            )
        await asyncio.sleep(0)

    async def add_topic(self, topic: str, partitions: int) -> None:
        await asyncio.sleep(0)
        for number in range(partitions):
            self._contents.lanes.setdefault(TopicPartition(topic, number), LaneRows())
        await asyncio.sleep(0)

    async def rows_between(self, lane: Lane, first: int, last: int) -> Sequence[tuple[int, str]]:
        await asyncio.sleep(0)
        return [(row.sequence, row.event_id) for row in self._contents.lanes[lane.tp].between(first, last)]

    async def dead(self) -> Sequence[DeadRow]:
        await asyncio.sleep(0)
        return list(self._contents.dead.values())

    async def redrive(self, ids: Sequence[int]) -> int:
        await asyncio.sleep(0)
        now_us = self._clock()
        dead = self._contents.dead
        chosen = [dead[number] for number in dict.fromkeys(ids) if number in dead]
        chosen = [row for row in chosen if row.redriven_at_us is None]
        for row in chosen:
            dead[row.id] = replace(row, redriven_at_us=now_us)
            self._contents.lanes[row.tp].waiting.append(Row(row.event_id, row.key, row.payload, now_us))
        self._news.tell()
        await asyncio.sleep(0)
        return len(chosen)

    async def clean(self, keep_s: float, most: int = 1000) -> int:
        await asyncio.sleep(0)
        before_us = self._clock() - round(keep_s * 1e6)
        gone = 0
        for rows in self._contents.lanes.values():
            gone += rows.clean(before_us, most - gone)
        await asyncio.sleep(0)
        return gone

    async def lanes(self) -> Sequence[LaneStatus]:
        await asyncio.sleep(0)
        return [self._status(tp, rows) for tp, rows in sorted(self._contents.lanes.items())]

    async def unsent_ids(self) -> Sequence[tuple[TopicPartition, str]]:
        await asyncio.sleep(0)
        return [(tp, row.event_id) for tp, rows in self._contents.lanes.items() for row in rows.unsent]

    async def reincarnate(self, already_sent: Sequence[str]) -> str:
        await asyncio.sleep(0)
        contents = self._contents
        sent = set(already_sent)
        contents.lanes = {tp: rows.begin_again(sent) for tp, rows in contents.lanes.items()}
        contents.incarnation += 1
        # What a relay claimed under the old source must not be acknowledged under the new one.
        contents.leases.end()
        self._news.tell()
        await asyncio.sleep(0)
        return self._source()

    async def wait_for_news(self, timeout_s: float) -> bool:
        return await self._news.wait(timeout_s)

    async def close(self) -> None:
        self._news.tell()

    def _source(self) -> str:
        return f"{self._base}/{self._contents.incarnation}"

    def _lane_for(self, draft: Draft) -> TopicPartition:
        partitions = Counter(tp.topic for tp in self._contents.lanes)
        topic = newest_for(draft, newest_versions(partitions))
        return TopicPartition(topic, remembered_partition_for(draft.key, partitions[topic]))

    def _held(self, lane: Lane) -> LaneRows | None:
        """The lane's rows, if its lease still has the epoch under which `lane` was taken."""
        return self._contents.lanes[lane.tp] if self._contents.leases.is_current(str(lane.tp), lane.epoch) else None

    def _lane(self, tp: TopicPartition, epoch: int) -> Lane:
        rows = self._contents.lanes[tp]
        return Lane(
            tp=tp,
            source=self._source(),
            epoch=epoch,
            next_sequence=rows.next_sequence,
            acknowledged=rows.acknowledged,
            acknowledged_offset=rows.acknowledged_offset,
            retry_in_s=max(0, rows.retry_at_us - self._clock()) / 1e6,
            failures=rows.failures,
        )

    def _status(self, tp: TopicPartition, rows: LaneRows) -> LaneStatus:
        failed = rows.failures > 0
        return LaneStatus(
            tp=tp,
            source=self._source(),
            ready=len(rows.waiting),
            claimed=0 if failed else rows.unacknowledged,
            failed=rows.unacknowledged if failed else 0,
            sent=rows.acknowledged,
            dead=sum(row.tp == tp and row.redriven_at_us is None for row in self._contents.dead.values()),
            oldest_waiting_us=min((row.recorded_at_us for row in rows.unsent), default=None),
            failures=rows.failures,
            error=rows.error,
            owner=self._contents.leases.owners(self._clock()).get(str(tp)),
        )
