"""The line over a real Kafka: whole, with the broker killed under it, and with its topics taken away."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from backoffice.consumer import GROUP
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
        for part in parts(shop.folder, 2):
            sending = asyncio.create_task(shop.send(part.file))
            await asyncio.sleep(0.5)
            broker.stop(signal.SIGKILL)
            assert (await sending).delivery.failed == 0
            await asyncio.to_thread(broker.start)
            await shop.counted_exactly(part.expected)
        assert all(one.is_alive for one in line)


async def test_topics_made_anew_stop_the_counting_and_reset_nothing(shop: Shop, kafka: Broker) -> None:
    (_, relay, consumer) = shop.start_line()
    await shop.send()
    before = await shop.counted_exactly()
    assert (relay.stop(), consumer.stop()) == (0, 0)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    prefix = shop.settings["COUNTINGHOUSE_LOG_URL"].rpartition("/")[2]
    await admin.delete_topics([f"{prefix}order-events"])
    await admin.close()
    await asyncio.sleep(1)
    consumer = shop.start("consumer")  # It makes the topic that isn't there.

    async def stopped() -> bool:
        return any(one.stopped for one in (await shop.status()).partitions)

    await until(stopped, consumer)
    after = await shop.status()
    why = {one.stopped for one in after.partitions if one.topic == "order-events" and one.stopped}
    assert all("Nothing was reset" in one for one in why)
    assert [one.position for one in after.partitions] == [one.position for one in before.partitions]
    assert await shop.figures() == excerpt_oracle()
