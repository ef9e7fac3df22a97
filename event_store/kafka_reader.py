"""Reads from Kafka by offset, and notices what comes.

Two consumers without a group: one reads where it is told to; the other waits at the ends of the partitions, and what it
gets there is kept for the next reads, so that a live reader asks the brokers once for each batch.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import ConsumerStoppedError, NoOffsetForPartitionError, OffsetOutOfRangeError

from .errors import HistoryLost, LogUnavailable
from .kafka_cluster import TIMEOUT_S, KafkaClient, KafkaCluster
from .log import Bounds
from .record import MAX_BATCH_RECORDS, RecordBatch, TopicPartition

MAX_KEPT_RECORDS = 2 * MAX_BATCH_RECORDS
"""What came and nobody has asked for yet is kept up to here; beyond, it is read again when it is asked for."""
MAX_MISSED = 5
"""How often in a row the tail may have missed what came before it gets another consumer."""
FETCH_TIMEOUT_MS = 1000
MAX_FETCH_BYTES = 4_000_000
"""Of one partition: two batches of it, of the size that our events have."""
FETCH_WAIT_MS = 250
"""How long a broker holds a fetch that finds nothing."""


def consumer_of(cluster: KafkaCluster, group: str | None = None) -> KafkaClient:
    return cluster.client(
        lambda: AIOKafkaConsumer(
            **cluster.options,
            group_id=group,
            auto_offset_reset="none",
            enable_auto_commit=False,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=MAX_FETCH_BYTES,
        )
    )


class KafkaReader:
    """Reads any partition from any offset. What comes is checked against what was asked for, never believed."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._client = consumer_of(cluster)
        self._assigned_to: Any = None
        self._at: dict[TopicPartition, int] = {}
        """Where the consumer stands in each assigned partition."""
        self._ends: dict[TopicPartition, int] = {}
        """Ends as they were when somebody read up to them: below, there is something to wait for."""
        self._turns: dict[TopicPartition, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def read(self, tp: TopicPartition, offset: int, max_records: int) -> RecordBatch:
        """See `Log.read`; the partition is known to exist."""
        async with self._turns[tp]:
            consumer: Any = None
            try:
                with self._cluster.asked(f"{tp}: read from offset {offset}"):
                    async with asyncio.timeout(TIMEOUT_S):
                        consumer = await self._client.get()
                        return await self._read(consumer, tp, offset, max_records)
            except LogUnavailable:
                self._client.drop(consumer)  # It may be stuck for good after its broker came back.
                self._ends.pop(tp, None)
                raise

    async def bounds(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, Bounds]:
        there = {self._cluster.there(tp): tp for tp in tps}
        if not there:
            return {}
        with self._cluster.asked("look at the ends of partitions"):
            async with asyncio.timeout(TIMEOUT_S):
                consumer = await self._client.get()
                (begins, ends) = await asyncio.gather(
                    consumer.beginning_offsets(list(there)), consumer.end_offsets(list(there))
                )
        return {tp: Bounds(begins[one], ends[one]) for one, tp in there.items()}

    async def close(self) -> None:
        await self._client.close()

    async def _read(self, consumer: Any, tp: TopicPartition, offset: int, max_records: int) -> RecordBatch:
        self._stand_at(consumer, tp, offset)
        records = await self._fetched(consumer, tp, offset, max_records, timeout_ms=0)
        end = self._ends.get(tp, 0)
        if not records:
            if not 0 <= offset < end:
                bounds = (await self.bounds([tp]))[tp]
                _check_offset(tp, offset, bounds)
                end = self._ends[tp] = bounds.end
            while not records and offset < end:
                records = await self._fetched(consumer, tp, offset, max_records, timeout_ms=FETCH_TIMEOUT_MS)
        self._check_current(consumer)
        self._at[tp] = offset + len(records)
        if self._at[tp] >= end:
            # At its end it would hold up the fetches of others for as long as a broker waits for more.
            consumer.pause(self._cluster.there(tp))
        return batch_of(tp, offset, records)

    def _check_current(self, consumer: Any) -> None:
        """Another partition's reader may have thrown the consumer away while we waited."""
        if consumer is not self._assigned_to:
            raise ConsumerStoppedError("another consumer took its place")

    def _stand_at(self, consumer: Any, tp: TopicPartition, offset: int) -> None:
        if consumer is not self._assigned_to:
            (self._assigned_to, self._at) = (consumer, {})
        if tp not in self._at:
            self._at[tp] = offset
            consumer.assign([self._cluster.there(one) for one in self._at])
            for one, at in self._at.items():  # Assigning forgets where it stood.
                consumer.seek(self._cluster.there(one), max(at, 0))
        elif self._at[tp] != offset:
            self._seek(consumer, tp, offset)
        if self._cluster.there(tp) in consumer.paused():
            consumer.resume(self._cluster.there(tp))

    def _seek(self, consumer: Any, tp: TopicPartition, offset: int) -> None:
        self._check_current(consumer)
        self._at[tp] = offset
        consumer.seek(self._cluster.there(tp), max(offset, 0))

    async def _fetched(
        self, consumer: Any, tp: TopicPartition, offset: int, max_records: int, timeout_ms: int
    ) -> Sequence[Any]:
        """Records from `offset` on; none where the consumer stood elsewhere, and stands there now."""
        there = self._cluster.there(tp)
        try:
            found = await consumer.getmany(there, timeout_ms=timeout_ms, max_records=max_records)
        except (OffsetOutOfRangeError, NoOffsetForPartitionError):
            found = {}
            self._seek(consumer, tp, offset)
            if timeout_ms:
                _check_offset(tp, offset, (await self.bounds([tp]))[tp])
        records: Sequence[Any] = found.get(there, ())
        if records and records[0].offset != offset:
            self._seek(consumer, tp, offset)
            if timeout_ms:
                _check_offset(tp, offset, (await self.bounds([tp]))[tp])
            return ()
        return records


class KafkaTail:
    """Waits for what is appended beyond the ends it knows, and keeps what came until it is asked for again."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._client = consumer_of(cluster)
        self._assigned_to: Any = None
        self._at: dict[TopicPartition, int] = {}
        self._came: dict[TopicPartition, RecordBatch] = {}
        self._missed = 0

    def knows_end(self, tp: TopicPartition, offset: int) -> bool:
        """Whether nothing had come at `offset` when it last looked."""
        return self._at.get(tp) == offset

    def taken(self, tp: TopicPartition, offset: int, max_records: int) -> RecordBatch | None:
        """What came at `offset`; None where it has nothing from there on."""
        came = self._came.get(tp)
        if came is None or not came.first_offset <= offset < came.next_offset:
            return None
        start = offset - came.first_offset
        self._came[tp] = came = came.slice(start, len(came))  # Nobody goes back.
        return came.slice(0, max_records)

    async def wait(self, ends: Mapping[TopicPartition, int], timeout_s: float) -> bool:
        """True as soon as anything came. `ends` are where to begin, for partitions that it doesn't know yet."""
        try:
            with self._cluster.asked("wait for news"):
                return await self._wait(ends, timeout_s)
        except LogUnavailable:
            self._client.drop()  # It may be stuck for good after its broker came back.
            raise

    async def close(self) -> None:
        await self._client.close()

    def skip_to(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether anything came that it has not seen; that is left to others to read, and it goes on behind it.

        Called when it saw nothing for a while: a consumer may be stuck for good after its broker came back.
        """
        missed = {tp: end for tp, end in ends.items() if self._at.get(tp, end) < end}
        self._missed = self._missed + 1 if missed else 0
        if self._missed >= MAX_MISSED:
            self._client.drop()
        if self._missed:
            self._assigned_to = None  # Everything is sought anew.
            self._at |= missed
        return bool(missed)

    def is_new(self, tps: Iterable[TopicPartition]) -> bool:
        return any(tp not in self._at for tp in tps)

    async def _wait(self, ends: Mapping[TopicPartition, int], timeout_s: float) -> bool:
        consumer = await self._client.get()
        self._assign(consumer, ends)
        if not self._at:
            await asyncio.sleep(timeout_s)
            return False
        try:
            found = await consumer.getmany(timeout_ms=max(1, int(timeout_s * 1000)), max_records=MAX_BATCH_RECORDS)
        except OffsetOutOfRangeError as error:
            self._forget(error.args[0])
            return True
        for there, records in found.items():
            self._keep(self._cluster.here(there), records)
        return any(found.values())

    def _forget(self, lost: Iterable[KafkaPartition]) -> None:
        """Partitions that no longer have the offset at which it stood: who reads there is told why."""
        for there in lost:
            self._at.pop(self._cluster.here(there), None)
            self._came.pop(self._cluster.here(there), None)

    def _assign(self, consumer: Any, ends: Mapping[TopicPartition, int]) -> None:
        if consumer is self._assigned_to and not ends:
            return
        self._assigned_to = consumer
        self._at = {**ends, **self._at}
        if self._at:
            consumer.assign([self._cluster.there(tp) for tp in self._at])
        for tp, at in self._at.items():
            consumer.seek(self._cluster.there(tp), at)

    def _keep(self, tp: TopicPartition, records: Sequence[Any]) -> None:
        came = batch_of(tp, records[0].offset, records)
        before = self._came.get(tp)
        if before is not None and before.next_offset == came.first_offset and len(before) < MAX_KEPT_RECORDS:
            came = joined_batch(before, came)
        self._came[tp] = came
        self._at[tp] = came.next_offset


def batch_of(tp: TopicPartition, offset: int, records: Sequence[Any]) -> RecordBatch:
    """The records as a batch. Raises HistoryLost where they are not neighbours: the topic must lose none of them."""
    if records and records[-1].offset != offset + len(records) - 1:
        raise HistoryLost(
            f"{tp}: offsets {offset} to {records[-1].offset} hold {len(records)} records, so some are gone: the topic "
            "is compacted or transactional. Ours must be neither (cleanup.policy=delete)."
        )
    return RecordBatch(
        tp,
        offset,
        [record.value for record in records],
        [record.key for record in records],
        [record.timestamp * 1000 for record in records],
    )


def joined_batch(one: RecordBatch, following: RecordBatch) -> RecordBatch:
    return RecordBatch(
        one.tp,
        one.first_offset,
        [*one.values, *following.values],
        [*one.keys, *following.keys],
        [*one.appended_at_us, *following.appended_at_us],
    )


def _check_offset(tp: TopicPartition, offset: int, bounds: Bounds) -> None:
    if not bounds.begin <= offset <= bounds.end:
        raise HistoryLost(
            f"{tp}: offset {offset} is not in the log, which has {bounds.begin} to {bounds.end}: the topic was "
            "recreated, truncated, or has forgotten it (retention). Nothing was reset: put the topic back as it was."
        )
