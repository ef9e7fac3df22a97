"""A server is away: each process says so, and goes on saying little (CORRECTNESS, trap A29)."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from tests.servers.kafka import new_broker
from tests.servers.ports import free_port
from tests.servers.postgres import PASSWORD, running_postgres

from .shop import Running, Shop, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

AWAY_S = 15.0
ROLES = ("api", "relay", "consumer", "archiver", "dashboard")
MOST_LINES = 30
"""What one process may say of one outage, in its first quarter of a minute, with somebody who asks all the time."""


async def _asked_all_the_time(shop: Shop, seconds: float) -> None:
    """By a customer and by somebody who looks, as fast as they are answered."""

    async def again_and_again(url: str, ask: Callable[[httpx.AsyncClient], Awaitable[object]]) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            while True:
                try:
                    await ask(client)
                except httpx.HTTPError:
                    await asyncio.sleep(0.1)

    prices = itertools.count(1)
    dashboard = f"http://127.0.0.1:{shop.dashboard_port}"
    asking = [
        asyncio.create_task(again_and_again(shop.api_url, lambda client: _list_product(client, next(prices)))),
        asyncio.create_task(again_and_again(dashboard, lambda client: client.get("/pipeline"))),
        asyncio.create_task(again_and_again(dashboard, lambda client: client.get("/metrics"))),
    ]
    await asyncio.sleep(seconds)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def _list_product(client: httpx.AsyncClient, price_minor: int) -> None:
    """One event each time; not more than the line can take."""
    body = {"name": "Lantern", "price_minor": price_minor, "currency": "GBP"}
    await client.put("/v1/products/lantern", json=body)
    await asyncio.sleep(0.02)


def _lines(processes: Sequence[Running]) -> dict[str, int]:
    return {one.role: len(one.said.splitlines()) for one in processes}


def _all_said_little(processes: Sequence[Running]) -> None:
    assert all(one.is_alive for one in processes)
    assert {role: lines for role, lines in _lines(processes).items() if lines > MOST_LINES} == {}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    one = Shop(tmp_path / "shop")
    yield one
    one.close()
    assert one.complaints() == []


async def test_a_broker_that_is_killed_under_them_makes_no_flood(shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "kafka"
    folder.mkdir()
    broker = new_broker(folder)
    shop.settings = {"COUNTINGHOUSE_LOG_URL": f"kafka://{broker.address}/shop."}
    shop.ok("topics", "apply")
    try:
        processes = [shop.start(role) for role in ROLES]
        await shop.send()
        await shop.counted_exactly()
        broker.stop(signal.SIGKILL)
        await _asked_all_the_time(shop, AWAY_S)
        await _told(processes, "relay", "consumer", "archiver", "dashboard")
        broker.start()
        await shop.counted_exactly()
        _all_said_little(processes)
    finally:
        broker.stop(signal.SIGKILL)


async def test_a_database_of_figures_that_is_stopped_under_them_makes_no_flood(shop: Shop) -> None:
    with running_postgres() as server:
        shop.settings = {"COUNTINGHOUSE_BACKOFFICE_DB_URL": server.url(await server.create_migrated_database())}
        processes = [shop.start(role) for role in ROLES]
        await shop.send()
        await shop.counted_exactly()
        server.stop_immediately()
        await _asked_all_the_time(shop, AWAY_S)
        await _told(processes, "consumer", "dashboard")
        await server.start_again()
        await shop.counted_exactly()
        _all_said_little(processes)
    assert PASSWORD not in "".join(one.said for one in processes).replace("%20", " ")


async def test_a_collector_of_traces_that_is_not_there_makes_no_flood(shop: Shop) -> None:
    shop.settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    processes = [shop.start(role) for role in ROLES]
    await shop.send()
    await _asked_all_the_time(shop, AWAY_S)
    _all_said_little(processes)


async def _told(processes: Sequence[Running], *roles: str) -> None:
    """Each of these said something, and nobody much."""
    await until(lambda: all(one.said for one in processes if one.role in roles), *processes)
    _all_said_little(processes)
