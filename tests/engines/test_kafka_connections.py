"""Kafka is there, and the way to it is bad: slow, cut, or one on which answers get lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from event_store.errors import LogUnavailable
from event_store.kafka_log import KafkaLog
from event_store.record import Record
from tests.faults.shop import until
from tests.servers.kafka import Broker
from tests.servers.proxy import Break, Proxy

from .conftest import either_fetch
from .line import TPS, Engines, Line, at_work, open_line

pytestmark = either_fetch

EVENTS = 300
PRODUCE = (0).to_bytes(2, "big")


@pytest.fixture
async def proxy(kafka: Broker) -> AsyncIterator[Proxy]:
    async with Proxy(kafka.behind_proxy, kafka.proxy) as one:
        yield one


@pytest.fixture
async def line(engines: Engines, proxy: Proxy) -> AsyncIterator[Line]:
    """Its relay and its consumer go through the proxy."""
    through = replace(engines, cluster=replace(engines.cluster, bootstrap=f"127.0.0.1:{proxy.port}"))
    async with open_line(engines, through) as one:
        yield one


def _is_produce(sent: bytes) -> bool:
    """A request's length in four bytes, then its kind."""
    return sent[4:6] == PRODUCE


async def _in_the_log(line: Line) -> int:
    return sum([len(await line.records(tp)) for tp in TPS])


async def test_fault_8_a_slow_broker_is_not_taken_for_one_that_is_away(line: Line, proxy: Proxy) -> None:
    """A second there and back."""
    proxy.latency_s = 0.5
    async with at_work(line.relay(lease_ttl_s=15.0, renew_s=5.0), line.consumer(lease_ttl_s=15.0, renew_s=5.0)):
        await line.write(EVENTS)
        status = await line.counted()
        proxy.latency_s = 0.0
    assert line.observed.errors == []
    assert sum(one.duplicates for one in status.partitions) == 0


async def test_fault_9_an_answer_cut_off_after_the_broker_stored_doubles_nothing(line: Line, proxy: Proxy) -> None:
    """The producer itself sends again, under the sequence by which the broker knows the batch."""
    async with at_work(line.relay(), line.consumer()):
        await line.write(EVENTS)
        await line.counted()
        proxy.breaks = Break(_is_produce, arrives=True, every=2)
        for _ in range(5):
            await line.write(EVENTS // 5)
            await line.counted()
        assert proxy.breaks.broken >= 3
    assert await _in_the_log(line) == 2 * EVENTS


async def test_fault_9_answers_that_never_come_send_the_same_sequences_again_which_count_once(
    line: Line, proxy: Proxy, hasty: float
) -> None:
    async with at_work(line.relay(), line.consumer()):
        await line.write(EVENTS)
        await line.counted()
        proxy.swallows_answers = True
        await line.write(EVENTS)

        async def is_stored() -> bool:
            return await _in_the_log(line) == 2 * EVENTS

        await until(is_stored)
        assert sum(one.sent for one in await line.outbox.lanes()) == EVENTS
        await until(lambda: any("did not do it" in str(error) for error in line.observed.errors))
        proxy.swallows_answers = False
        proxy.cut()
        status = await line.counted()
    duplicates = sum(one.duplicates for one in status.partitions)
    assert duplicates == await _in_the_log(line) - 2 * EVENTS > 0


async def test_connections_cut_again_and_again_and_a_broker_that_holds_its_breath_cost_nothing(
    line: Line, proxy: Proxy, hasty: float
) -> None:
    async with at_work(line.relay(), line.consumer()):
        async with line.under_load(events_per_s=100):
            cut = 0
            for _ in range(12):
                await asyncio.sleep(0.3)
                cut += proxy.cut()
            proxy.stall()
            await asyncio.sleep(1.5 * hasty)
            proxy.go_on()
            await proxy.close()
            await asyncio.sleep(1)
            await proxy.open_again()
        await line.counted()
    assert cut > 12
    assert line.observed.stops == []


async def test_clients_that_are_given_up_leave_no_connection_and_no_task_behind(
    line: Line, proxy: Proxy, hasty: float
) -> None:
    before = asyncio.all_tasks()
    log = KafkaLog(line.through.cluster)
    for number in range(2):
        await log.append(TPS[0], [Record(b"key", b"value")])
        await log.read(TPS[0], number)
        proxy.swallows_answers = True
        calls = (log.append(TPS[0], [Record(b"key", b"value")]), log.read(TPS[1], 0))
        assert all(isinstance(one, LogUnavailable) for one in await asyncio.gather(*calls, return_exceptions=True))
        proxy.swallows_answers = False
        proxy.cut()
    await log.close()
    await until(lambda: proxy.open_connections == 0)
    assert [repr(task) for task in asyncio.all_tasks() - before if "proxy" not in repr(task)] == []
