"""Processes over Kafka while it is away, after it had much to carry, and with one of them asleep past its lease."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from backoffice.consumer_names import GROUP
from event_store.connect import open_log
from event_store.topics import PARTITIONS
from tests.servers.kafka import Broker, new_broker, tool

from .invoices import parts
from .shop import Running, Shop, excerpt_oracle, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

AWAY_S = 15.0
EVENTS = 10_000
REQUEST_EVENTS = 500
PRODUCTS = 100


@asynccontextmanager
async def _shop(folder: Path, broker: Broker, prefix: str = "", **settings: str) -> AsyncIterator[Shop]:
    """With its topics."""
    url = f"kafka://{broker.address}/{prefix}"
    log = open_log(url)
    for topic, partitions in PARTITIONS.items():
        await log.create_topic(topic, partitions)
    await log.close()
    one = Shop(folder / "over-kafka", {"COUNTINGHOUSE_LOG_URL": url, **settings})
    try:
        yield one
    finally:
        one.close()
    assert one.complaints() == []


async def _take_in(client: httpx.AsyncClient, numbers: Sequence[int]) -> httpx.Response:
    """Views, handed in as another service does."""
    return await client.post("/v1/events", json=[_view(number) for number in numbers])


def _view(number: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(number),
        "source": "/search",
        "type": "com.countinghouse.catalog.ProductView.v1",
        "time": "2011-01-05T10:00:00Z",
        "data": {"product_id": f"product-{number % PRODUCTS}", "visitor_id": str(number), "currency": "GBP"},
    }


def _views(shop: Shop) -> int:
    return sum(int(row["views"]) for row in shop.rows("--by", "product"))


async def _is_ready(running: Running) -> bool:
    async with httpx.AsyncClient(timeout=30) as client:
        return (await client.get(f"http://127.0.0.1:{running.port}/readyz")).is_success


async def test_fault_7_while_the_broker_is_away_the_api_takes_everything_and_the_outbox_drains_by_itself_after_it(
    tmp_path: Path,
) -> None:
    broker = new_broker(tmp_path / "kafka")
    waiting: list[int] = []
    taken = 0
    try:
        async with _shop(tmp_path, broker) as shop:
            (api, relay, consumer) = shop.start_line()
            for one in (api, relay, consumer):
                await one.is_up()
            broker.stop(signal.SIGKILL)
            async with httpx.AsyncClient(base_url=shop.api_url, timeout=30) as client:
                until_s = asyncio.get_running_loop().time() + AWAY_S
                while asyncio.get_running_loop().time() < until_s:
                    answer = await _take_in(client, range(taken, taken + 10))
                    assert answer.status_code == 200
                    taken += 10
                    waiting.append(shop.sql(shop.commerce_db, "SELECT count(*) FROM outbox")[0][0])
                    await asyncio.sleep(0.1)
            assert waiting == sorted(waiting)
            assert waiting[-1] == taken > 100
            assert not await _is_ready(relay)
            await broker.start_again()
            await shop.drained()
            assert _views(shop) == taken
            await until(lambda: _is_ready(relay), relay)
            await until(lambda: _is_ready(consumer), consumer)
    finally:
        broker.stop(signal.SIGKILL)


async def test_after_ten_thousand_events_and_a_stop_of_who_makes_them_kafkas_own_tool_shows_no_lag(
    tmp_path: Path, kafka: Broker
) -> None:
    prefix = f"{uuid4().hex[:8]}."
    async with _shop(tmp_path, kafka, prefix) as shop:
        (api, relay, _) = shop.start_line()
        await api.is_up()
        async with httpx.AsyncClient(base_url=shop.api_url, timeout=60) as client:
            for first in range(0, EVENTS, REQUEST_EVENTS):
                answer = await _take_in(client, range(first, first + REQUEST_EVENTS))
                assert {result["status"] for result in answer.json()["results"]} == {"accepted"}
        shop.ok("drain")
        assert (api.stop(), relay.stop()) == (0, 0)
        options = ["--bootstrap-server", kafka.address, "--describe", "--group", f"{prefix}{GROUP}"]

        async def counted_and_lag() -> tuple[int, int]:
            shown = await asyncio.to_thread(tool, "consumer.group.ConsumerGroupCommand", *options)
            rows = [line.split() for line in shown.splitlines() if prefix in line]
            return sum(int(row[3]) for row in rows), sum(int(row[5]) for row in rows)

        async def has_no_lag() -> bool:
            return await counted_and_lag() == (EVENTS, 0)

        await until(has_no_lag)
        assert _views(shop) == EVENTS


async def test_fault_18_a_consumer_stopped_past_its_lease_is_refused_when_it_wakes(
    tmp_path: Path, kafka: Broker, postgres_url: str
) -> None:
    """Kafka and PostgreSQL. It sleeps with batches in its hands, and the heir counts them."""
    (first, second) = parts(tmp_path, 2)
    settings = {"COUNTINGHOUSE_BACKOFFICE_DB_URL": postgres_url, "COUNTINGHOUSE_BATCH_RECORDS": "5"}
    async with _shop(tmp_path, kafka, f"{uuid4().hex[:8]}.", **settings) as shop:
        (api, relay) = (shop.start("api"), shop.start("relay"))
        assert (await shop.send(first.file)).delivery.failed == 0
        pause = {"COUNTINGHOUSE_CRASH_AT": "consumer.after_commit:30:pause", "COUNTINGHOUSE_PARTITIONS_IN_FLIGHT": "1"}
        asleep = shop.start("consumer", COUNTINGHOUSE_CONSUMER_NAME="asleep", **pause)
        await until(lambda: asleep.is_paused, asleep)
        shop.start("consumer", COUNTINGHOUSE_CONSUMER_NAME="heir")
        await shop.counted_exactly(first.expected)
        asleep.wake()
        await until(lambda: "Another consumer had counted this already" in asleep.said, asleep)
        assert (await shop.send(second.file)).delivery.failed == 0
        await shop.counted_exactly(excerpt_oracle())
        assert (asleep.stop(), api.stop(), relay.stop()) == (0, 0, 0)
