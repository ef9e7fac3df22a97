"""A topic moves over while invoices come, and the command dies after each of its steps: every figure stays exact."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import uuid4

import pytest

from event_store.crash_points import CRASH_POINTS
from tests.servers.commerce import PostgresShop
from tests.servers.kafka import Broker

from .invoices import parts
from .shop import Shop

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]

STEPS = [point for point in CRASH_POINTS if point.startswith("topics.")]
MIGRATE = ("topics", "migrate", "order-events", "--partitions", "9")


@pytest.fixture(params=["files", "engines"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    with ExitStack() as opened:
        one = Shop(tmp_path / "shop", _engines(request, opened) if request.param == "engines" else {})
        opened.callback(one.close)
        one.ok("topics", "apply")
        yield one
    assert one.complaints() == []


def _engines(request: pytest.FixtureRequest, opened: ExitStack) -> dict[str, str]:
    """Kafka, and both databases in PostgreSQL."""
    broker: Broker = request.getfixturevalue("kafka")
    commerce = opened.enter_context(closing(PostgresShop(request.getfixturevalue("postgres"))))
    return {
        "COUNTINGHOUSE_LOG_URL": f"kafka://{broker.address}/{uuid4().hex[:8]}.",
        "COUNTINGHOUSE_COMMERCE_DB_URL": commerce.url,
        "COUNTINGHOUSE_BACKOFFICE_DB_URL": request.getfixturevalue("postgres_url"),
    }


def _states(shop: Shop) -> dict[str, str]:
    return {one["name"]: one["state"] for one in json.loads(shop.ok("topics", "status", "--json"))}


async def test_a_topic_moves_over_under_load_though_the_command_dies_after_each_step(shop: Shop) -> None:
    line = shop.start_line()
    for one in line:
        await one.is_up()
    for point, part in zip(STEPS, parts(shop.folder, len(STEPS)), strict=True):
        sending = asyncio.create_task(shop.send(part.file))
        died = await asyncio.to_thread(shop.run, *MIGRATE, COUNTINGHOUSE_CRASH_AT=f"{point}:1")
        assert died.returncode == -signal.SIGKILL, died.stderr
        assert (await sending).delivery.failed == 0
        await shop.counted_exactly(part.expected)
    said = await asyncio.to_thread(shop.ok, *MIGRATE)
    assert said.splitlines()[-1] == "order-events is closed: all of it is counted, and it stays for rebuilds."
    assert _states(shop) == {"catalog-events": "written", "order-events": "closed", "order-events.v2": "written"}
    status = await shop.counted_exactly()
    ends = {one: sum(each.log_end for each in status.partitions if each.topic == one) for one in _states(shop)}
    assert ends["order-events"] > 0
    assert ends["order-events.v2"] > 0
    assert len([one for one in status.partitions if one.topic == "order-events.v2"]) == 9

    rebuilt = await asyncio.to_thread(shop.ok, "rebuild")
    assert "serves in place of 1" in rebuilt
    await shop.counted_exactly()
    assert all(one.is_alive for one in line)


async def test_processes_that_start_after_a_migration_go_on_where_it_left_them(shop: Shop) -> None:
    (first, second) = parts(shop.folder, 2)
    (api, relay, consumer) = shop.start_line()
    await shop.send(first.file)
    await shop.counted_exactly(first.expected)
    await asyncio.to_thread(shop.ok, *MIGRATE)
    assert [one.stop() for one in (api, relay, consumer)] == [0, 0, 0]
    shop.start_line()
    await shop.send(second.file)
    status = await shop.counted_exactly(second.expected)
    assert sum(one.position for one in status.partitions if one.topic == "order-events.v2") > 0


@pytest.mark.parametrize("shop", ["files"], indirect=True)
def test_what_can_not_be_moved_is_said_in_one_line(shop: Shop) -> None:
    nothing = shop.run(*MIGRATE)
    assert nothing.returncode == 2
    assert "Nothing has been started here" in nothing.stderr
    assert (
        "none of catalog-events, order-events" in shop.run("topics", "migrate", "nonsense", "--partitions", "9").stderr
    )
