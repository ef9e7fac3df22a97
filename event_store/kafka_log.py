"""The log in Apache Kafka."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupLoadInProgressError
from aiokafka.structs import OffsetAndMetadata

from .errors import UnknownTopic
from .kafka_appender import KafkaAppender
from .kafka_cluster import TIMEOUT_S, KafkaClient, KafkaCluster
from .kafka_consumers import KafkaConsumers
from .kafka_fetch import misfit
from .kafka_reader import consumer_of, stand_at
from .kafka_streams import KafkaStreams
from .kafka_topics import KafkaTopics
from .log import Bounds
from .record import MAX_BATCH_RECORDS, Record, RecordBatch, TopicPartition

log = logging.getLogger(__name__)

RETRY_S = 0.1


class KafkaLog:
    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._admin = cluster.client(lambda: AIOKafkaAdminClient(**cluster.options))
        self._topics = KafkaTopics(cluster)
        self._appender = KafkaAppender(cluster)
        self._records = _reading(cluster)
        self._groups: dict[str, KafkaClient] = {}
        self._partitions: dict[str, int] = {}
        """Of the topics that we have seen; there are never fewer."""

    async def create_topic(self, topic: str, partitions: int) -> None:
        await self._topics.create(topic, partitions)
        self._partitions[topic] = partitions

    async def topics(self) -> Mapping[str, int]:
        found = await self._topics.partitions()
        self._partitions |= found  # A broker that has just started may not name all of them.
        return found

    async def append(self, tp: TopicPartition, records: Sequence[Record]) -> int:
        await self._check(tp)
        return await self._appender.append(tp, records)

    async def read(self, tp: TopicPartition, offset: int, max_records: int = MAX_BATCH_RECORDS) -> RecordBatch:
        await self._check(tp)
        return await self._records.read(tp, offset, max_records)

    async def read_each(
        self, offsets: Mapping[TopicPartition, int], max_records: int = MAX_BATCH_RECORDS
    ) -> Mapping[TopicPartition, RecordBatch]:
        for tp in offsets:
            await self._check(tp)
        return await self._records.read_each(offsets, max_records)

    async def bounds(self, tps: Iterable[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        asked = list(tps)
        for tp in asked:
            await self._check(tp)
        return await self._records.bounds(asked)

    async def wait_for_news(self, timeout_s: float) -> bool:
        return await self._records.wait_for_news(self._every_partition, timeout_s)

    async def note_positions(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        offsets = {self._cluster.there(tp): OffsetAndMetadata(next_, "") for tp, next_ in positions.items()}
        with self._cluster.asked(f"note the positions of {group}"):
            async with asyncio.timeout(TIMEOUT_S):
                consumer = await self._group(group).get()
                stand_at(consumer, {there: one.offset for there, one in offsets.items()})
                consumer.pause(*offsets)  # It would fetch what nobody is going to ask it for.
                await consumer.commit(offsets)

    async def noted_positions(self, group: str) -> Mapping[TopicPartition, int]:
        with self._cluster.asked(f"look at the positions of {group}"):
            async with asyncio.timeout(TIMEOUT_S):
                found = await self._offsets_of(self._cluster.name(group))
        return {self._cluster.here(there): one.offset for there, one in found.items() if one.offset >= 0}

    async def close(self) -> None:
        clients = [self._admin, *self._groups.values()]
        closing = [one.close() for one in (self._topics, self._appender, self._records)]
        await asyncio.gather(*closing, *(client.close() for client in clients))

    async def _offsets_of(self, group: str) -> Any:
        admin = await self._admin.get()
        while True:
            try:
                return await admin.list_consumer_group_offsets(group)
            except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError):
                await asyncio.sleep(RETRY_S)  # The first call of all makes the brokers' own topic of offsets.

    async def _every_partition(self) -> list[TopicPartition]:
        known = self._partitions or await self.topics()
        return [TopicPartition(topic, number) for topic, count in known.items() for number in range(count)]

    async def _check(self, tp: TopicPartition) -> None:
        if not 0 <= tp.partition < self._partitions.get(tp.topic, 0):
            await self.topics()
        if not 0 <= tp.partition < self._partitions.get(tp.topic, 0):
            raise UnknownTopic(f"Kafka has no partition {tp}; its topics are {self._partitions}")

    def _group(self, name: str) -> KafkaClient:
        if name not in self._groups:
            self._groups[name] = consumer_of(self._cluster, self._cluster.name(name))
        return self._groups[name]


def _reading(cluster: KafkaCluster) -> KafkaStreams | KafkaConsumers:
    """As fast as may be: only with the aiokafka that the fast way was written against."""
    why = misfit() if cluster.fast_fetch else None
    if cluster.fast_fetch and why is None:
        return KafkaStreams(cluster)
    if why is not None:
        log.warning("Kafka is read with aiokafka's own consumers, which is slower: %s.", why)
    return KafkaConsumers(cluster)
