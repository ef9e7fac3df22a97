"""What aiokafka does with nothing of ours around it, each in a process of its own: the yardsticks."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from event_store.kafka_appender import MAX_BATCH_BYTES
from event_store.record import MAX_BATCH_RECORDS

from .measured import Measured

SENT_RECORDS = 1000
"""In one batch, as the relay sends them."""


def polled(address: str, places: Sequence[tuple[str, int]], records: int) -> Measured:
    """`getmany(3000)` until so many records came, and nothing done with them."""
    return alone(_polled, address, places, records)


def sent(address: str, places: Sequence[tuple[str, int]], records: int, record: tuple[bytes, bytes]) -> Measured:
    """`send_batch` with acks=all, each partition's next batch after its last one was acknowledged."""
    return alone(_sent, address, places, records, record)


def alone(loop: Callable[..., Any], *arguments: object) -> Measured:
    """What the coroutine function measures in a process of its own, in which nothing was done before."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_run, loop, *arguments).result()


def _run(loop: Callable[..., Any], *arguments: object) -> Measured:
    return asyncio.run(loop(*arguments))  # type: ignore[no-any-return]


async def _polled(address: str, places: Iterable[tuple[str, int]], records: int) -> Measured:
    consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    consumer.assign([TopicPartition(*place) for place in places])
    taken = 0
    (started_s, used_s) = (time.perf_counter(), time.process_time())
    while taken < records:
        found = await consumer.getmany(timeout_ms=1000, max_records=MAX_BATCH_RECORDS)
        taken += sum(map(len, found.values()))
    bare = Measured(records, time.perf_counter() - started_s, time.process_time() - used_s)
    await consumer.stop()
    return bare


async def _sent(address: str, places: Sequence[tuple[str, int]], records: int, record: tuple[bytes, bytes]) -> Measured:
    producer = AIOKafkaProducer(
        bootstrap_servers=address, acks="all", enable_idempotence=True, max_batch_size=MAX_BATCH_BYTES
    )
    await producer.start()

    async def to_one(topic: str, partition: int) -> None:
        for _ in range(records // len(places) // SENT_RECORDS):
            batch = producer.create_batch()
            for _ in range(SENT_RECORDS):
                batch.append(key=record[0], value=record[1], timestamp=None)
            await (await producer.send_batch(batch, topic, partition=partition))

    (started_s, used_s) = (time.perf_counter(), time.process_time())
    await asyncio.gather(*(to_one(*place) for place in places))
    whole = records // len(places) // SENT_RECORDS * SENT_RECORDS * len(places)
    bare = Measured(whole, time.perf_counter() - started_s, time.process_time() - used_s)
    await producer.stop()
    return bare
