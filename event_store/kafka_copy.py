"""Records of another log put into Kafka, with the times they had there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError, for_code

from .errors import RecordRefused, TargetDiffers
from .kafka_appender import producer_of
from .kafka_cluster import TIMEOUT_S, KafkaCluster
from .kafka_log import KafkaLog
from .log import Log
from .record import RecordBatch

TIMES = "message.timestamp.type"
OF_PRODUCER = "CreateTime"
OF_LOG = "LogAppendTime"
OWN_SETTING = 1
"""Where a setting comes from: the topic itself, and no default."""


class KafkaCopy:
    """Topics that are filled. Their times are the producer's until `end`, and the log's own from then on."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self.log: Log = KafkaLog(cluster)
        self._cluster = cluster
        self._admin = cluster.client(lambda: AIOKafkaAdminClient(**cluster.options))
        self._producer = producer_of(cluster)

    async def begin(self, topic: str, partitions: int) -> None:
        await self.log.create_topic(topic, partitions)
        await self._take_times_from(topic, OF_PRODUCER)

    async def put(self, batch: RecordBatch) -> None:
        with self._cluster.asked(f"{batch.tp}: copy {len(batch)} records"):
            async with asyncio.timeout(TIMEOUT_S):
                producer = await self._producer.get()
                for filled, part in _filled(producer, batch):
                    await self._send(producer, filled, part)

    async def end(self, topic: str) -> None:
        await self._take_times_from(topic, OF_LOG)

    async def close(self) -> None:
        await self._producer.close()
        await self._admin.close()
        await self.log.close()

    async def _send(self, producer: Any, filled: Any, part: RecordBatch) -> None:
        (topic, partition) = self._cluster.there(part.tp)
        try:
            sent = await (await producer.send_batch(filled, topic, partition=partition))
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            raise RecordRefused(0, f"{part.tp}: the topic takes no batch of {filled.size()} bytes") from error
        if sent.offset != part.first_offset:
            raise TargetDiffers(
                f"{part.tp}: somebody else appends to the new log: a record for offset {part.first_offset} came to "
                f"{sent.offset}. Stop them, and begin again with topics that are empty."
            )

    async def _take_times_from(self, topic: str, whose: str) -> None:
        with self._cluster.asked(f"set {TIMES} of topic {topic}"):
            async with asyncio.timeout(TIMEOUT_S):
                admin = await self._admin.get()
                own = await self._own_settings(admin, topic)
                if own.get(TIMES) != whose:
                    (answer,) = await admin.alter_configs([self._resource(topic, {**own, TIMES: whose})])
                    for code, *detail in answer.resources:
                        if code:
                            raise for_code(code)(detail)
                while (await self._own_settings(admin, topic)).get(TIMES) != whose:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

    async def _own_settings(self, admin: Any, topic: str) -> dict[str, str]:
        """Setting one of them forgets the others, so all are sent with it."""
        (answer,) = await admin.describe_configs([self._resource(topic)])
        ((_, _, _, _, entries),) = answer.resources
        return {name: value for name, value, _, source, *_ in entries if source == OWN_SETTING}

    def _resource(self, topic: str, values: dict[str, str] | None = None) -> ConfigResource:
        return ConfigResource(ConfigResourceType.TOPIC, self._cluster.name(topic), values)


def _filled(producer: Any, batch: RecordBatch) -> Iterator[tuple[Any, RecordBatch]]:
    """The records in as few batches of Kafka's as they fit into. Raises RecordRefused for one that fits into none."""
    start = 0
    while start < len(batch):
        filled = producer.create_batch()
        end = start
        while end < len(batch) and _added(filled, batch, end):
            end += 1
        if end == start:
            raise RecordRefused(start, f"{batch.tp}: the record at {batch.first_offset + start} is too large for Kafka")
        yield filled, batch.slice(start, end)
        start = end


def _added(filled: Any, batch: RecordBatch, index: int) -> bool:
    time_ms = batch.appended_at_us[index] // 1000
    return filled.append(key=batch.keys[index], value=batch.values[index], timestamp=time_ms) is not None
