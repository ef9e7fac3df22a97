"""What only Kafka does: other clients' records, batches over its limits, and topics that lose what they held."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from event_store.errors import HistoryLost, LogUnavailable, RecordRefused
from event_store.kafka_cluster import KafkaCluster
from event_store.kafka_log import KafkaLog
from event_store.record import MAX_RECORD_BYTES, Record, TopicPartition
from event_store.topics import partition_for

TP = TopicPartition("facts", 0)


@pytest.fixture
async def log(cluster: KafkaCluster) -> AsyncIterator[KafkaLog]:
    one = KafkaLog(cluster)
    yield one
    await one.close()


@asynccontextmanager
async def _started(client: Any) -> AsyncIterator[Any]:
    await client.start()
    try:
        yield client
    finally:
        await (client.close() if hasattr(client, "close") else client.stop())


async def _read(log: KafkaLog, tp: TopicPartition = TP) -> list[bytes | None]:
    values: list[bytes | None] = []
    while len(batch := await log.read(tp, len(values))):
        values += batch.values
    return values


def _numbered(first: int, count: int) -> list[Record]:
    return [Record(b"key", f"record {number}".encode()) for number in range(first, first + count)]


async def test_a_key_lies_where_kafkas_own_clients_put_it(cluster: KafkaCluster, log: KafkaLog) -> None:
    await log.create_topic("facts", 6)
    keys = [f"product-{number}".encode() for number in range(60)]
    async with _started(AIOKafkaProducer(bootstrap_servers=cluster.bootstrap)) as producer:
        sent = [await producer.send_and_wait(cluster.name("facts"), key=key, value=b"x") for key in keys]
    assert [one.partition for one in sent] == [partition_for(key, 6) for key in keys]
    assert len({one.partition for one in sent}) == 6


@pytest.mark.parametrize("compression", [None, "gzip"])
async def test_records_of_other_clients_are_read_compressed_or_not(
    cluster: KafkaCluster, log: KafkaLog, compression: str | None
) -> None:
    await log.create_topic("facts", 1)
    options = {"bootstrap_servers": cluster.bootstrap, "compression_type": compression, "linger_ms": 50}
    async with _started(AIOKafkaProducer(**options)) as producer:
        for record in _numbered(0, 50):
            await producer.send(cluster.name("facts"), key=record.key, value=record.value, headers=[("a", b"b")])
        await producer.flush()
    assert await _read(log) == [record.value for record in _numbered(0, 50)]


async def test_a_call_larger_than_a_batch_stays_in_order(log: KafkaLog) -> None:
    await log.create_topic("facts", 1)
    records = [Record(b"key", bytes([65 + number]) * MAX_RECORD_BYTES) for number in range(20)]
    await log.append(TP, _numbered(0, 1))
    assert await log.append(TP, records) == 1
    assert (await _read(log))[1:] == [record.value for record in records]


async def test_a_topic_that_takes_less_than_we_send_refuses_the_largest_record(
    cluster: KafkaCluster, log: KafkaLog
) -> None:
    await _made(cluster, {"max.message.bytes": "1000"})
    records = [*_numbered(0, 3), Record(b"key", b"x" * 2000), *_numbered(3, 3)]
    with pytest.raises(LogUnavailable, match="batches of 1000 bytes"):
        await log.append(TP, records)
    with pytest.raises(RecordRefused, match=r"max\.message\.bytes: 1000") as refusal:
        await log.append(TP, records)
    assert refusal.value.index == 3
    assert await _read(log) == []
    await log.append(TP, _numbered(0, 6))
    assert len(await _read(log)) == 6


async def test_what_a_topic_has_forgotten_is_lost_history(cluster: KafkaCluster, log: KafkaLog) -> None:
    await log.create_topic("facts", 1)
    await log.append(TP, _numbered(0, 10))
    assert len(await _read(log)) == 10
    async with _started(AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)) as admin:
        await admin.delete_records({KafkaPartition(cluster.name("facts"), 0): RecordsToDelete(before_offset=4)})
    with pytest.raises(HistoryLost, match="which has 4 to 10"):
        await log.read(TP, 3)
    assert list((await log.read(TP, 4)).values) == [record.value for record in _numbered(4, 6)]


async def test_a_transaction_leaves_a_gap_that_is_not_passed_over(cluster: KafkaCluster, log: KafkaLog) -> None:
    await log.create_topic("facts", 1)
    options = {"bootstrap_servers": cluster.bootstrap, "transactional_id": uuid4().hex}
    async with _started(AIOKafkaProducer(**options)) as producer:
        for value in (b"a", b"b"):
            async with producer.transaction():
                await producer.send_and_wait(cluster.name("facts"), key=b"key", value=value)
    with pytest.raises(HistoryLost, match="transactional"):
        await _read(log)


async def test_a_broker_that_is_not_there_is_said_to_be_away_with_its_address() -> None:
    log = KafkaLog(KafkaCluster("127.0.0.1:1"))
    with pytest.raises(LogUnavailable, match=r"127\.0\.0\.1:1"):
        await log.topics()
    with pytest.raises(LogUnavailable, match=r"127\.0\.0\.1:1"):
        await log.append(TP, _numbered(0, 1))
    await log.close()


async def _made(cluster: KafkaCluster, config: dict[str, str], names: Sequence[str] = ("facts",)) -> None:
    async with _started(AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)) as admin:
        await admin.create_topics([NewTopic(cluster.name(name), 1, 1, topic_configs=config) for name in names])
