"""What processes do about Kafka's topics: they don't begin without them, nor where what was counted is gone."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from tests.servers.kafka import Broker

from .shop import Shop, excerpt_oracle, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]


@pytest.fixture
def shop(tmp_path: Path, kafka: Broker) -> Iterator[Shop]:
    """Without topics."""
    one = Shop(tmp_path / "over-kafka", {"COUNTINGHOUSE_LOG_URL": f"kafka://{kafka.address}/{uuid4().hex[:8]}."})
    yield one
    one.close()
    assert one.complaints() == []


@asynccontextmanager
async def _admin(kafka: Broker) -> AsyncIterator[AIOKafkaAdminClient]:
    one = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await one.start()
    yield one
    await one.close()


def _prefix(shop: Shop) -> str:
    return shop.settings["COUNTINGHOUSE_LOG_URL"].rpartition("/")[2]


def _refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that could not begin."""
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    return line


async def _counted(shop: Shop) -> None:
    """The excerpt, by a line that has stopped since."""
    shop.ok("topics", "apply")
    (api, relay, consumer) = shop.start_line()
    await shop.send()
    await shop.counted_exactly()
    assert (api.stop(), relay.stop(), consumer.stop()) == (0, 0, 0)


@pytest.mark.parametrize("role", ["relay", "consumer", "archiver"])
def test_a_process_does_not_begin_without_topics_and_says_how_to_make_them(shop: Shop, role: str) -> None:
    line = _refused(shop.run(role))
    assert "there is no catalog-events and no order-events" in line
    assert "countinghouse topics apply" in line


@pytest.mark.parametrize("command", [["relay"], ["consumer"], ["up"], ["topics", "apply"], ["topics", "check"]])
def test_nothing_begins_with_a_kafka_that_is_not_there(tmp_path: Path, command: list[str]) -> None:
    shop = Shop(tmp_path / "alone", {"COUNTINGHOUSE_LOG_URL": "kafka://127.0.0.1:1"})
    assert _refused(shop.run(*command)).startswith("Kafka at 127.0.0.1:1 can't be reached")


async def test_up_makes_the_topics_itself(shop: Shop) -> None:
    up = shop.start("up")
    await shop.send()
    await shop.counted_exactly()
    assert up.stop() == 0
    assert shop.run("topics", "check").returncode == 0


def test_the_commands_plan_make_and_show_and_name_what_drifted(shop: Shop) -> None:
    planned = shop.ok("topics", "plan")
    assert planned == shop.ok("topics", "plan")
    assert "order-events is missing, and should have 6 partitions" in planned
    assert shop.run("topics", "check").returncode == 1
    assert "order-events is made, with 6 partitions." in shop.ok("topics", "apply")
    assert shop.ok("topics", "apply") == "Nothing was to be done.\n"
    assert shop.ok("topics", "plan") == "Nothing is to be done.\n"
    shown = json.loads(shop.ok("topics", "check", "--json"))
    assert [(one["name"], len(one["partitions"])) for one in shown["topics"]] == [
        ("catalog-events", 6),
        ("order-events", 6),
    ]
    assert all(one["identity"] for one in shown["topics"])
    stricter = shop.run("topics", "check", COUNTINGHOUSE_KAFKA_REPLICATION="2", COUNTINGHOUSE_KAFKA_MIN_INSYNC="2")
    assert stricter.returncode == 1
    assert "order-events: min.insync.replicas is 1, and should be 2" in stricter.stderr
    assert "order-events: replication is 1, and should be 2" in stricter.stderr


async def test_topics_made_anew_are_not_counted_and_nothing_is_reset(shop: Shop, kafka: Broker) -> None:
    await _counted(shop)
    before = await shop.status()
    async with _admin(kafka) as admin:
        await admin.delete_topics([f"{_prefix(shop)}order-events"])
    await asyncio.sleep(1)
    assert "there is no order-events" in _refused(shop.run("consumer"))
    shop.ok("topics", "apply")
    line = _refused(shop.run("consumer"))
    assert "the log ends at offset 0: its end is missing. Nothing was reset." in line
    checked = shop.run("topics", "check")
    assert checked.returncode == 1
    assert "its end is missing" in checked.stderr
    after = await shop.status()
    assert all(one.stopped for one in after.partitions if one.topic == "order-events" and one.position)
    assert [one.position for one in after.partitions] == [one.position for one in before.partitions]
    assert await shop.figures() == excerpt_oracle()


async def test_a_topic_whose_beginning_is_gone_is_counted_only_where_the_archive_has_it(
    shop: Shop, kafka: Broker
) -> None:
    await _counted(shop)
    archived = {"COUNTINGHOUSE_ARCHIVE_SEGMENT_RECORDS": "1"}
    archiver = shop.start("archiver", **archived)
    segments = shop.data / "archive"
    held = {(one.topic, one.partition) for one in (await shop.status()).partitions if one.log_end}
    await until(lambda: len(list(segments.glob("*/*/0*"))) == len(held), archiver)
    assert archiver.stop() == 0
    first = KafkaPartition(f"{_prefix(shop)}order-events", 0)
    async with _admin(kafka) as admin:
        await admin.delete_records({first: RecordsToDelete(before_offset=1)})
    consumer = shop.start("consumer")
    await consumer.is_up()
    await shop.counted_exactly()
    assert consumer.stop() == 0
    segments.rename(shop.data / "mislaid")
    line = _refused(shop.run("consumer"))
    assert "order-events/0: offsets 0 to 0 are neither in the archive nor in the log" in line
    checked = shop.run("topics", "check")
    assert checked.returncode == 1
    assert "gone from 0" in checked.stdout


def test_on_the_embedded_log_the_same_commands_work(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "embedded")
    assert "order-events is missing, and should have 6 partitions" in shop.ok("topics", "plan")
    assert "order-events is made, with 6 partitions." in shop.ok("topics", "apply")
    assert "order-events" in shop.ok("topics", "check")
