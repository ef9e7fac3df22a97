"""Reads from Kafka by offset, with a consumer of aiokafka that belongs to no group."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import ConsumerStoppedError, NoOffsetForPartitionError, OffsetOutOfRangeError

from .errors import HistoryLost, LogUnavailable
from .kafka_cluster import TIMEOUT_S, KafkaClient, KafkaCluster
from .kafka_records import columns_of
from .log import Bounds
from .record import RecordBatch, TopicPartition

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
                check_offset(tp, offset, bounds)
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
            stand_at(consumer, {self._cluster.there(one): at for one, at in self._at.items()})
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
                check_offset(tp, offset, (await self.bounds([tp]))[tp])
        records: Sequence[Any] = found.get(there, ())
        if records and records[0].offset != offset:
            self._seek(consumer, tp, offset)
            if timeout_ms:
                check_offset(tp, offset, (await self.bounds([tp]))[tp])
            return ()
        return records


async def what_there_is(
    read: Callable[[TopicPartition, int, int], Awaitable[RecordBatch]],
    offsets: Mapping[TopicPartition, int],
    max_records: int,
) -> dict[TopicPartition, RecordBatch]:
    """See `Log.read_each`, by `read`, which is a `Log.read`."""

    async def of(tp: TopicPartition, offset: int) -> RecordBatch | None:
        try:
            batch = await read(tp, offset, max_records)
        except HistoryLost:
            return RecordBatch(tp, offset, [], [], [])
        return batch if len(batch) else None

    found = await asyncio.gather(*(of(tp, offset) for tp, offset in offsets.items()))
    return {tp: batch for tp, batch in zip(offsets, found, strict=True) if batch is not None}


def stand_at(consumer: Any, places: Mapping[KafkaPartition, int]) -> None:
    """Assigns the consumer just these partitions, each to be read from its offset: assigning forgets where it stood."""
    if places:
        consumer.assign(list(places))
    for there, offset in places.items():
        consumer.seek(there, max(offset, 0))


def batch_of(tp: TopicPartition, offset: int, records: Sequence[Any]) -> RecordBatch:
    return columns_of(tp, offset, records, [record.timestamp * 1000 for record in records])


def check_offset(tp: TopicPartition, offset: int, bounds: Bounds) -> None:
    if not bounds.begin <= offset <= bounds.end:
        raise HistoryLost(
            f"{tp}: offset {offset} is not in the log, which has {bounds.begin} to {bounds.end}: the topic was "
            "recreated, truncated, or has forgotten it (retention). Nothing was reset: put the topic back as it was."
        )
