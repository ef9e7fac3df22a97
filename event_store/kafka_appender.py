"""Appends to Kafka: a lane's rows as whole batches, acknowledged by all replicas in sync, in order."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError, for_code

from .errors import RecordRefused
from .kafka_cluster import TIMEOUT_S, KafkaClient, KafkaCluster
from .record import Record, TopicPartition

MAX_STORED_RECORD_BYTES = 900_000
"""Larger values are refused: more than an outbox accepts, and less than a broker takes by default (1,048,588 bytes)."""
MAX_BATCH_BYTES = 1_000_000
BATCH_LIMITS = ("max.message.bytes", "segment.bytes")
"""The settings of a topic that a batch must fit into."""
OVERHEAD_BYTES = 80
"""What a batch of one record has beyond its key and value, at most: 61 of the batch, the lengths of the record."""


class KafkaAppender:
    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._limits: dict[str, int] = {}
        """Of topics that refused a batch of ours: how many bytes one may have there."""
        self._admin = cluster.client(lambda: AIOKafkaAdminClient(**cluster.options))
        self._producer = producer_of(cluster)
        self._turns: dict[TopicPartition, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def append(self, tp: TopicPartition, records: Sequence[Record]) -> int:
        """See `Log.append`; the partition is known to exist."""
        async with self._turns[tp]:  # The records of one call stay together, though they may be several batches.
            with self._cluster.asked(f"{tp}: append {len(records)} records"):
                sizes_bytes = [len(record.value or b"") + len(record.key or b"") for record in records]
                await self._check_sizes(tp, sizes_bytes)
                # One that failed may hold a sequence number that the broker never saw, and then refuses everything.
                async with self._producer.used() as producer, asyncio.timeout(TIMEOUT_S):
                    return await self._send(producer, tp, records, sizes_bytes)

    async def close(self) -> None:
        await asyncio.gather(self._producer.close(), self._admin.close())

    async def _send(
        self, producer: Any, tp: TopicPartition, records: Sequence[Record], sizes_bytes: Sequence[int]
    ) -> int:
        offsets: list[int] = []
        for batch in _batches(producer, records, sizes_bytes, self._limits.get(tp.topic, MAX_BATCH_BYTES)):
            try:
                sent = await producer.send_batch(batch, self._cluster.name(tp.topic), partition=tp.partition)
                offsets.append((await sent).offset)
            except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
                limit = await self._learn_limit(tp.topic)
                raise KafkaError(f"the topic takes batches of {limit} bytes; smaller ones are sent next") from error
        if min(offsets) < 0:
            raise KafkaError("it has them, and does not say where")
        return offsets[0]

    async def _check_sizes(self, tp: TopicPartition, sizes_bytes: Sequence[int]) -> None:
        size_bytes = max(sizes_bytes)
        largest = sizes_bytes.index(size_bytes)
        if size_bytes > MAX_STORED_RECORD_BYTES:
            raise RecordRefused(
                largest, f"{tp}: a record has {size_bytes} bytes, the log takes {MAX_STORED_RECORD_BYTES}"
            )
        if size_bytes + OVERHEAD_BYTES > self._limits.get(tp.topic, MAX_BATCH_BYTES):
            limit = await self._learn_limit(tp.topic)  # Somebody may have raised it.
            if size_bytes + OVERHEAD_BYTES > limit:
                raise RecordRefused(
                    largest, f"{tp}: {size_bytes} bytes are more than the topic takes (max.message.bytes: {limit})"
                )

    async def _learn_limit(self, topic: str) -> int:
        asked = ConfigResource(ConfigResourceType.TOPIC, self._cluster.name(topic), dict.fromkeys(BATCH_LIMITS))
        async with asyncio.timeout(TIMEOUT_S):
            [answer] = await (await self._admin.get()).describe_configs([asked])
        [(code, detail, _, _, entries)] = answer.resources
        if code:
            raise for_code(code)(detail)
        self._limits[topic] = min(int(value) for _, value, *_ in entries)
        return self._limits[topic]


def producer_of(cluster: KafkaCluster) -> KafkaClient:
    return cluster.client(
        lambda: AIOKafkaProducer(
            **cluster.options,
            acks="all",
            enable_idempotence=True,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_BATCH_BYTES + 10_000,
        )
    )


def _batches(producer: Any, records: Sequence[Record], sizes_bytes: Sequence[int], most_bytes: int) -> Iterator[Any]:
    """The records in as few batches of so many bytes as they fit into; one that fits into none alone, in its own."""
    batch = producer.create_batch()
    room_bytes = most_bytes
    now_ms = int(time.time() * 1000)  # All have one time, as they have one acknowledgement.
    for record, bare_bytes in zip(records, sizes_bytes, strict=True):
        size_bytes = bare_bytes + OVERHEAD_BYTES
        if size_bytes > room_bytes:  # Few of them have that overhead, so the batch is asked for what it has.
            room_bytes = most_bytes - batch.size()
        is_full = size_bytes > room_bytes and batch.record_count()
        if is_full or batch.append(key=record.key, value=record.value, timestamp=now_ms) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(key=record.key, value=record.value, timestamp=now_ms)
            room_bytes = most_bytes
        room_bytes -= size_bytes
    yield batch
