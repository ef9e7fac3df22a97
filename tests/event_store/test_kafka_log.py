"""What only Kafka does: other clients' records, batches over its limits, and topics that lose what they held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer, codec
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.errors import CorruptRecordException, KafkaError
from aiokafka.protocol.metadata import MetadataRequest_v1
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from event_store.errors import HistoryLost, LogUnavailable, RecordRefused
from event_store.kafka_batches import FetchedBatches
from event_store.kafka_cluster import KafkaCluster
from event_store.kafka_consumers import KafkaConsumers
from event_store.kafka_log import KafkaLog
from event_store.kafka_streams import KafkaStreams
from event_store.kafka_wire import KafkaWire
from event_store.record import MAX_RECORD_BYTES, Record, TopicPartition
from event_store.topics import partition_for

TP = TopicPartition("facts", 0)
INSTALLED = [name for name in ("gzip", "snappy", "lz4", "zstd") if getattr(codec, f"has_{name}")()]
"""Gzip is Python's own; the others come with cramjam."""


@pytest.fixture(params=[True, False], ids=["fast fetch", "aiokafka's own fetch"])
def cluster(cluster: KafkaCluster, request: pytest.FixtureRequest) -> KafkaCluster:
    return replace(cluster, fast_fetch=request.param)


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


@pytest.mark.parametrize("compression", [None, *INSTALLED])
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


def test_another_aiokafka_is_read_with_its_own_consumers_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = KafkaCluster("127.0.0.1:9092")
    assert isinstance(KafkaLog(cluster)._records, KafkaStreams)
    monkeypatch.setattr("aiokafka.__version__", "0.15.0")
    assert isinstance(KafkaLog(cluster)._records, KafkaConsumers)
    assert "aiokafka 0.15.0 is installed" in caplog.text


def _stored(values: Sequence[bytes], first: int = 0) -> bytearray:
    """A record batch as a broker stores it."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1_000_000)
    for number, value in enumerate(values):
        builder.append(number, 1_700_000_000_000 + number, b"key", value, [])
    stored: bytearray = builder.build()
    stored[:8] = first.to_bytes(8, "big")
    return stored


def test_batches_are_taken_in_the_sizes_that_are_asked_for_and_one_that_is_cut_off_is_left_out() -> None:
    came = FetchedBatches(TP, 2)
    came.add(memoryview(_stored([b"a", b"b", b"c", b"d"]) + _stored([b"e"], 4) + _stored([b"f"], 5)[:-1]))
    assert (came.untaken, came.next_offset) == (3, 5)
    assert list(came.take(1).values) == [b"c"]
    rest = came.take(10)
    assert (rest.first_offset, list(rest.values), len(came.take(10))) == (3, [b"d", b"e"], 0)
    assert list(rest.appended_at_us) == [1_700_000_000_003_000, 1_700_000_000_000_000]
    assert came.size_bytes == 0


def test_a_batch_that_was_damaged_on_its_way_is_not_taken() -> None:
    stored = _stored([b"good"])
    stored[-3] ^= 1
    came = FetchedBatches(TP, 0)
    with pytest.raises(CorruptRecordException, match="checksum"):
        came.add(memoryview(stored))
    assert (came.untaken, came.next_offset) == (0, 0)


@pytest.mark.parametrize("size_bytes", [-12, -1, 0, 48])
def test_a_batch_that_names_no_possible_size_is_not_taken(size_bytes: int) -> None:
    stored = _stored([b"good"])
    stored[8:12] = size_bytes.to_bytes(4, "big", signed=True)
    with pytest.raises(CorruptRecordException, match="bytes"):
        FetchedBatches(TP, 0).add(memoryview(stored))


async def _serve(answer: bytes) -> tuple[asyncio.Server, KafkaWire]:
    """A wire to a server that says `answer` to whatever it is asked."""

    async def say(asked: asyncio.StreamReader, said: asyncio.StreamWriter) -> None:
        await asked.read(1)
        said.write(answer)
        await said.drain()
        said.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    (transport, _) = await asyncio.get_running_loop().create_connection(
        asyncio.Protocol, *server.sockets[0].getsockname()
    )
    wire = KafkaWire(transport, transport)
    transport.set_protocol(wire)
    return server, wire


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"\xff\xff\xff\xff", "an answer of -1 bytes"),
        (b"\x7f\xff\xff\xff", "an answer of 2147483647 bytes"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "an answer of 1213486160 bytes"),
        (b"\x00\x00\x00\x08\x00\x00\x00\x07good", "an answer to another request than 1"),
        (b"\x00\x00\x00\x08\x00\x00", "the connection was closed"),
    ],
    ids=["negative", "huge", "http", "another's", "cut off"],
)
async def test_an_answer_that_is_none_ends_the_connection_and_whoever_waits_is_told(answer: bytes, error: str) -> None:
    (server, wire) = await _serve(answer)
    async with server:
        with pytest.raises(KafkaError, match=error):
            await wire.ask(MetadataRequest_v1([]), 10)
        assert not wire.is_open
        with pytest.raises(KafkaError, match="the connection was lost"):
            await wire.ask(MetadataRequest_v1([]), 10)


def test_records_that_are_gone_between_two_batches_are_lost_history() -> None:
    came = FetchedBatches(TP, 0)
    came.add(memoryview(_stored([b"a"]) + _stored([b"c"], 2)))
    with pytest.raises(HistoryLost, match="offsets 1 to 1 hold 0 records"):
        came.take(10)


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
