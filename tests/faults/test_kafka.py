"""The line over a real Kafka: whole, and with the broker killed under it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from backoffice.consumer_names import GROUP
from event_store.connect import open_log
from tests.servers.kafka import Broker, new_broker

from .invoices import parts
from .shop import Shop, excerpt_oracle, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker of the test's own, to be killed."""
    folder = tmp_path / "kafka"
    folder.mkdir()
    one = new_broker(folder)
    yield one
    one.stop(signal.SIGKILL)


@contextmanager
def _shop(folder: Path, broker: Broker, prefix: str) -> Iterator[Shop]:
    one = Shop(folder / "over-kafka", {"COUNTINGHOUSE_LOG_URL": f"kafka://{broker.address}/{prefix}"})
    one.ok("topics", "apply")
    try:
        yield one
    finally:
        one.close()
    assert one.complaints() == []


@pytest.fixture
def shop(tmp_path: Path, kafka: Broker) -> Iterator[Shop]:
    with _shop(tmp_path, kafka, f"{uuid4().hex[:8]}.") as one:
        yield one


async def _lag(shop: Shop) -> dict[str, int]:
    """What the group has still to count, as Kafka's own tools would say."""
    log = open_log(shop.settings["COUNTINGHOUSE_LOG_URL"])
    noted = await log.noted_positions(GROUP)
    bounds = await log.bounds(list(noted))
    await log.close()
    return {str(tp): one.end - noted[tp] for tp, one in bounds.items()}


def _is_at_work(shop: Shop) -> bool:
    """Whether relay and consumer have begun; they don't where there is no broker."""
    return all(
        file.exists()
        and shop.sql(file, "SELECT 1 FROM sqlite_master WHERE name = 'lease'")
        and shop.sql(file, "SELECT 1 FROM lease")
        for file in (shop.commerce_db, shop.backoffice_db)
    )


async def test_a_shop_counts_explains_and_rebuilds_over_kafka(shop: Shop) -> None:
    shop.start_line()
    assert (await shop.send()).delivery.failed == 0
    status = await shop.counted_exactly(excerpt_oracle())
    assert {one.topic for one in status.partitions} == {"catalog-events", "order-events"}

    async def nothing_is_left() -> bool:
        lag = await _lag(shop)
        return bool(lag) and not any(lag.values())

    await until(nothing_is_left)
    shop.ok("rebuild")
    after = await shop.counted_exactly(excerpt_oracle())
    assert after.completeness.generation == 2


async def test_a_broker_killed_while_invoices_come_loses_and_doubles_nothing(tmp_path: Path, broker: Broker) -> None:
    """The API goes on taking payments meanwhile; they wait in the outbox until the broker is back."""
    with _shop(tmp_path, broker, "shop.") as shop:
        line = shop.start_line()
        await until(lambda: _is_at_work(shop), *line)
        for part in parts(shop.folder, 2):
            sending = asyncio.create_task(shop.send(part.file))
            await asyncio.sleep(0.5)
            broker.stop(signal.SIGKILL)
            assert (await sending).delivery.failed == 0
            await asyncio.to_thread(broker.start)
            await shop.counted_exactly(part.expected)
        assert all(one.is_alive for one in line)
