"""Reading Kafka with consumers of aiokafka: one reads where it is told to, the other waits at the ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from .kafka_cluster import KafkaCluster
from .kafka_reader import KafkaReader, what_there_is
from .kafka_tail import KafkaTail
from .log import Bounds
from .record import RecordBatch, TopicPartition


class KafkaConsumers:
    def __init__(self, cluster: KafkaCluster) -> None:
        self._reader = KafkaReader(cluster)
        self._tail = KafkaTail(cluster)

    async def read(self, tp: TopicPartition, offset: int, max_records: int) -> RecordBatch:
        """See `Log.read`; the partition is known to exist."""
        came = self._tail.taken(tp, offset, max_records)
        return came if came is not None else await self._reader.read(tp, offset, max_records)

    async def read_each(
        self, offsets: Mapping[TopicPartition, int], max_records: int
    ) -> Mapping[TopicPartition, RecordBatch]:
        asked = {tp: offset for tp, offset in offsets.items() if not self._tail.knows_end(tp, offset)}
        return await what_there_is(self.read, asked, max_records)

    async def bounds(self, tps: Iterable[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        return await self._reader.bounds(tps)

    async def wait_for_news(
        self, everywhere: Callable[[], Awaitable[Iterable[TopicPartition]]], timeout_s: float
    ) -> bool:
        """As `Log.wait_for_news`, of the partitions that `everywhere` names."""
        every = await everywhere()
        begin_at = await self._ends(every) if self._tail.is_new(every) else {}
        if await self._tail.wait(begin_at, timeout_s):
            return True
        return self._tail.is_silent and self._tail.skip_to(await self._ends(every))

    async def close(self) -> None:
        await asyncio.gather(self._reader.close(), self._tail.close())

    async def _ends(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: one.end for tp, one in (await self._reader.bounds(tps)).items()}
