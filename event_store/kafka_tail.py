"""Waits at the ends of Kafka's partitions, with a consumer of aiokafka that belongs to no group.

What comes is kept for the next reads, so that a live reader asks the brokers once for each batch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import OffsetOutOfRangeError

from .errors import LogUnavailable
from .kafka_cluster import KafkaCluster
from .kafka_reader import batch_of, consumer_of, stand_at
from .record import MAX_BATCH_RECORDS, RecordBatch, TopicPartition, joined

MAX_KEPT_RECORDS = 2 * MAX_BATCH_RECORDS
"""What came and nobody has asked for yet is kept up to here; beyond, it is read again when it is asked for."""
MAX_MISSED = 5
"""How often in a row it may have missed what came before it gets another consumer."""
SILENT_S = 1.0
"""When nothing came for so long, somebody has to look whether anything was missed."""


class KafkaTail:
    """Waits for what is appended beyond the ends it knows, and keeps what came until it is asked for again."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._client = consumer_of(cluster)
        self._assigned_to: Any = None
        self._at: dict[TopicPartition, int] = {}
        self._came: dict[TopicPartition, RecordBatch] = {}
        self._missed = 0
        self._looked_s = time.monotonic()
        """When something came, or somebody looked for what was missed."""

    @property
    def is_silent(self) -> bool:
        return time.monotonic() - self._looked_s > SILENT_S

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
        self._looked_s = time.monotonic()
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
            self._looked_s = time.monotonic()
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
        stand_at(consumer, {self._cluster.there(tp): at for tp, at in self._at.items()})

    def _keep(self, tp: TopicPartition, records: Sequence[Any]) -> None:
        came = batch_of(tp, records[0].offset, records)
        before = self._came.get(tp)
        if before is not None and before.next_offset == came.first_offset and len(before) < MAX_KEPT_RECORDS:
            came = joined(tp, before.first_offset, [before, came])
        self._came[tp] = came
        self._at[tp] = came.next_offset
