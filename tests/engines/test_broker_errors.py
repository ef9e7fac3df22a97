"""Errors that a healthy broker never reports, from librdkafka's mock cluster: nothing is lost, skipped or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from backoffice.consumer_names import GROUP
from event_store.kafka_cluster import KafkaCluster
from tests.faults.shop import until
from tests.servers.mock_kafka import (
    FETCH,
    FIND_COORDINATOR,
    INIT_PRODUCER_ID,
    LIST_OFFSETS,
    METADATA,
    OFFSET_COMMIT,
    PRODUCE,
    MockKafka,
)

from .conftest import BROKERS, either_fetch, files
from .line import TPS, Engines, Line, at_work, open_line

EVENTS = 60

PASSING = {
    "LEADER_NOT_AVAILABLE": 5,
    "NOT_LEADER_OR_FOLLOWER": 6,
    "REQUEST_TIMED_OUT": 7,
    "NOT_ENOUGH_REPLICAS": 19,
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND": 20,
    "KAFKA_STORAGE_ERROR": 56,
}
"""A producer sends again by itself, and the relay hears nothing of it."""
ENDING = {
    "CORRUPT_MESSAGE": 2,
    "TOPIC_AUTHORIZATION_FAILED": 29,
    "OUT_OF_ORDER_SEQUENCE_NUMBER": 45,
    "DUPLICATE_SEQUENCE_NUMBER": 46,
    "INVALID_PRODUCER_EPOCH": 47,
    "UNKNOWN_PRODUCER_ID": 59,
    "INVALID_RECORD": 87,
    "PRODUCER_FENCED": 90,
    "UNKNOWN_SERVER_ERROR": -1,
}
"""The producer is of no more use: the lane is shown as failed, and a new one sends the same sequences."""
UNREAD = {
    "OFFSET_OUT_OF_RANGE": 1,
    "CORRUPT_MESSAGE": 2,
    "UNKNOWN_TOPIC_OR_PARTITION": 3,
    "NOT_LEADER_OR_FOLLOWER": 6,
    "REPLICA_NOT_AVAILABLE": 9,
    "TOPIC_AUTHORIZATION_FAILED": 29,
    "KAFKA_STORAGE_ERROR": 56,
    "FENCED_LEADER_EPOCH": 74,
    "UNKNOWN_LEADER_EPOCH": 75,
    "OFFSET_NOT_AVAILABLE": 78,
    "UNKNOWN_SERVER_ERROR": -1,
}
UNNOTED = {
    "COORDINATOR_LOAD_IN_PROGRESS": 14,
    "COORDINATOR_NOT_AVAILABLE": 15,
    "NOT_COORDINATOR": 16,
    "ILLEGAL_GENERATION": 22,
    "UNKNOWN_MEMBER_ID": 25,
    "REBALANCE_IN_PROGRESS": 27,
    "GROUP_AUTHORIZATION_FAILED": 30,
}


@pytest.fixture
async def line(mock: MockKafka, tmp_path: Path, fast_fetch: bool) -> AsyncIterator[Line]:
    async with open_line(Engines(KafkaCluster(mock.address, fast_fetch=fast_fetch), *files(tmp_path))) as one:
        yield one


async def test_fault_10_what_a_producer_may_send_again_it_does_and_order_is_kept(line: Line, mock: MockKafka) -> None:
    async with at_work(line.relay(), line.consumer()):
        for code in PASSING.values():
            mock.fail(PRODUCE, code, code, code)
            await line.write(EVENTS)
            await line.counted()
    assert line.observed.errors == []


async def test_fault_12_after_an_error_that_ends_a_producer_a_new_one_sends_the_same_sequences(
    line: Line, mock: MockKafka
) -> None:
    async with at_work(line.relay(), line.consumer()):
        for name, code in ENDING.items():
            line.observed.errors.clear()
            mock.fail(PRODUCE, code)
            await line.write(EVENTS)
            await line.counted()
            assert line.observed.errors, name
            assert len({str(error) for error in line.observed.errors}) <= len(TPS), name
    assert line.observed.tally["buried"] == 0


async def test_a_producer_that_gets_no_id_at_once_gets_one_later(line: Line, mock: MockKafka) -> None:
    mock.fail(INIT_PRODUCER_ID, UNNOTED["COORDINATOR_LOAD_IN_PROGRESS"], UNNOTED["NOT_COORDINATOR"], 7, 7)
    async with at_work(line.relay(), line.consumer()):
        await line.write(EVENTS)
        await line.counted()


@either_fetch
async def test_fault_23_what_can_not_be_read_is_read_again_and_no_error_alone_is_taken_for_lost_history(
    line: Line, mock: MockKafka
) -> None:
    async with at_work(line.relay(), line.consumer()):
        for name, code in UNREAD.items():
            mock.fail(FETCH, *[code] * 4)
            await line.write(EVENTS)
            await line.counted()
            assert line.observed.stops == [], name
        mock.fail(LIST_OFFSETS, *UNREAD.values())
        mock.fail(METADATA, 5, 5, -1)
        await line.write(EVENTS)
        await line.counted()
    assert line.observed.stops == []


async def test_fault_21_a_group_that_has_no_coordinator_or_another_one_holds_up_no_counting_and_has_its_lag_again(
    line: Line, mock: MockKafka
) -> None:
    async with at_work(line.relay(), line.consumer()):
        for code in UNNOTED.values():
            mock.fail(OFFSET_COMMIT, *[code] * 3)
            mock.fail(FIND_COORDINATOR, UNNOTED["COORDINATOR_NOT_AVAILABLE"])
            await line.write(EVENTS)
            await line.counted()
        for broker in range(1, BROKERS + 1):
            mock.move_coordinator(GROUP, broker)
            await line.write(EVENTS)
            await line.counted()

        async def has_no_lag() -> bool:
            return await _committed(mock) == await line.positions()

        await until(has_no_lag)


@either_fetch
async def test_leaders_that_move_and_brokers_that_vanish_for_a_moment_cost_nothing(line: Line, mock: MockKafka) -> None:
    async with at_work(line.relay(), line.consumer()):
        async with line.under_load(events_per_s=100):
            for number in range(6):
                (topic, partition) = TPS[number]
                mock.move_leader(topic, partition, 1 + number % BROKERS)
                mock.down(1 + number % BROKERS)
                await asyncio.sleep(0.5)
                mock.up(1 + number % BROKERS)
                await asyncio.sleep(0.2)
        await line.counted()


async def _committed(mock: MockKafka) -> dict[object, int]:
    """What the group has committed, as its lag is computed from."""
    cluster = KafkaCluster(mock.address)
    consumer = AIOKafkaConsumer(bootstrap_servers=mock.address, group_id=GROUP, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([cluster.there(tp) for tp in TPS])
        return {tp: await consumer.committed(cluster.there(tp)) or 0 for tp in TPS}
    finally:
        await consumer.stop()
