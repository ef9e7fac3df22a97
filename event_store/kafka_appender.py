"""Appends to Kafka: a lane's rows as whole batches, acknowledged by all replicas in sync, in order."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from .errors import RecordRefused
from .kafka_cluster import TIMEOUT_S, KafkaClient, KafkaCluster
from .record import Record, TopicPartition

MAX_STORED_RECORD_BYTES = 900_000
"""Larger values are refused: more than an outbox accepts, and less than a broker takes by default (1,048,588 bytes)."""
MAX_BATCH_BYTES = 1_000_000


class KafkaAppender:
    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._producer = KafkaClient(
            lambda: AIOKafkaProducer(
                **cluster.options,
                acks="all",
                enable_idempotence=True,
                max_batch_size=MAX_BATCH_BYTES,
                max_request_size=MAX_BATCH_BYTES + 10_000,
                retry_backoff_ms=100,
            )
        )
        self._turns: dict[TopicPartition, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def append(self, tp: TopicPartition, records: Sequence[Record]) -> int:
        """See `Log.append`; the partition is known to exist."""
        _check_sizes(tp, records)
        async with self._turns[tp]:  # The records of one call stay together, though they may be several batches.
            producer: Any = None
            try:
                with self._cluster.asked(f"{tp}: append {len(records)} records"):
                    async with asyncio.timeout(TIMEOUT_S):
                        producer = await self._producer.get()
                        return await self._send(producer, tp, records)
            except BaseException:
                # It may hold a sequence number that the broker never saw, and then refuses everything for ever.
                self._producer.drop(producer)
                raise

    async def close(self) -> None:
        await self._producer.close()

    async def _send(self, producer: Any, tp: TopicPartition, records: Sequence[Record]) -> int:
        offsets: list[int] = []
        for batch, part in _batches(producer, records):
            try:
                sent = await producer.send_batch(batch, self._cluster.name(tp.topic), partition=tp.partition)
                offsets.append((await sent).offset)
            except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
                if offsets:
                    raise KafkaError(f"a part of the call was appended, then {error}") from error
                raise _refused(tp, records, part) from error
        return offsets[0]


def _batches(producer: Any, records: Sequence[Record]) -> Iterator[tuple[Any, range]]:
    """The records in as few batches as they fit into, each with the indexes of its records."""
    start = 0
    batch = producer.create_batch()
    for index, record in enumerate(records):
        if batch.append(key=record.key, value=record.value, timestamp=None) is None:
            yield batch, range(start, index)
            (batch, start) = (producer.create_batch(), index)
            batch.append(key=record.key, value=record.value, timestamp=None)
    yield batch, range(start, len(records))


def _check_sizes(tp: TopicPartition, records: Sequence[Record]) -> None:
    for index, record in enumerate(records):
        size_bytes = len(record.value or b"") + len(record.key or b"")
        if size_bytes > MAX_STORED_RECORD_BYTES:
            raise RecordRefused(
                index, f"{tp}: a record has {size_bytes} bytes, the log takes {MAX_STORED_RECORD_BYTES}"
            )


def _refused(tp: TopicPartition, records: Sequence[Record], part: range) -> RecordRefused:
    """A topic that takes less than we send says so of a batch; its largest record is the one to take out first."""
    largest = max(part, key=lambda index: len(records[index].value or b""))
    size_bytes = len(records[largest].value or b"")
    return RecordRefused(largest, f"{tp}: {size_bytes} bytes are more than the topic takes (max.message.bytes)")
