"""Three brokers, of which some are gone: what was acknowledged stays, and stays in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from event_store.kafka_cluster import KafkaCluster
from tests.faults.shop import until
from tests.servers.kafka import Broker, new_cluster

from .conftest import either_fetch, files
from .line import TPS, Engines, Line, admin_of, at_work, open_line

pytestmark = [pytest.mark.processes, pytest.mark.timeout(400)]

KILLS = 5
REPLICAS = 3


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Broker]]:
    """All of them up, at the beginning and at the end of each test."""
    started = new_cluster(tmp_path_factory.mktemp("three-brokers"), REPLICAS)
    yield started
    for one in started:
        one.stop(signal.SIGKILL)


@pytest.fixture
async def line(tmp_path: Path, brokers: Sequence[Broker], fast_fetch: bool) -> AsyncIterator[Line]:
    address = ",".join(one.address for one in brokers)
    prefix = f"{uuid4().hex[:8]}."
    cluster = KafkaCluster(address, prefix, replication=REPLICAS, min_insync=REPLICAS - 1, fast_fetch=fast_fetch)
    async with open_line(Engines(cluster, *files(tmp_path))) as one:
        yield one


@either_fetch
async def test_a_leader_killed_under_load_five_times_loses_doubles_and_disorders_nothing(
    line: Line, brokers: Sequence[Broker]
) -> None:
    async with at_work(line.relay(), line.consumer()), line.under_load(events_per_s=200):
        for kill in range(KILLS):
            await _goes_on(line)
            leader = (await _partitions(line, brokers))[TPS[kill]]["leader"]
            brokers[leader].stop(signal.SIGKILL)
            await _goes_on(line)
            await brokers[leader].start_again()
            await until(lambda: _all_in_sync(line, brokers))
    async with at_work(line.relay(), line.consumer()):
        await line.counted()
    assert line.observed.stops == []


async def test_fault_10_with_two_of_three_brokers_down_nothing_is_acknowledged_and_all_is_sent_when_they_are_back(
    line: Line, brokers: Sequence[Broker], hasty: float, caplog: pytest.LogCaptureFixture
) -> None:
    """They leave in good order, so that the third one knows that it is alone: NOT_ENOUGH_REPLICAS."""
    async with at_work(line.relay(), line.consumer()):
        await line.write(100)
        before = await line.counted()
        for broker in brokers[1:]:
            await asyncio.to_thread(broker.stop)
        await line.write(200)
        await until(lambda: "NotEnoughReplicas" in caplog.text)

        async def is_shown_as_failed() -> bool:
            return all(one.failed for one in await line.outbox.lanes() if one.ready + one.claimed + one.failed)

        await until(is_shown_as_failed)
        assert sum(one.sent for one in await line.outbox.lanes()) == sum(one.sent for one in before.lanes)
        for broker in brokers[1:]:
            broker.launch()
        for broker in brokers[1:]:
            await asyncio.to_thread(broker.wait_until_ready)
        await line.counted()


async def _goes_on(line: Line) -> None:
    """Returns when something was counted that wasn't written before."""
    written = len(line.written)

    async def more_is_counted() -> bool:
        return sum((await line.positions()).values()) > written

    await until(more_is_counted)


async def _all_in_sync(line: Line, brokers: Sequence[Broker]) -> bool:
    return all(len(one["isr"]) == REPLICAS for one in (await _partitions(line, brokers)).values())


async def _partitions(line: Line, brokers: Sequence[Broker]) -> dict[Any, Any]:
    """Partition → who leads it and who has all of it."""
    cluster = line.through.cluster
    async with admin_of(cluster) as admin:
        found = await admin.describe_topics([cluster.name(topic) for topic in {tp.topic for tp in TPS}])
    return {
        tp: one
        for topic in found
        for one in topic["partitions"]
        for tp in TPS
        if (cluster.name(tp.topic), tp.partition) == (topic["topic"], one["partition"])
    }
