"""A shop moves from its files to a real Kafka and a real PostgreSQL, is interrupted, and counts on there exactly."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import asyncpg
import pytest

from event_store.connect import open_log
from event_store.log import Log
from event_store.record import MAX_BATCH_RECORDS, Record, RecordBatch, TopicPartition
from event_store.sqlite_log import SqliteLog
from event_store.topics import TOPICS
from tests.servers.kafka import Broker

from .invoices import Part, parts
from .shop import Shop, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(400)]

LOG = "COUNTINGHOUSE_LOG_URL"
FIGURES = "COUNTINGHOUSE_BACKOFFICE_DB_URL"
ORDERS = TopicPartition("order-events", 0)
COPIES = 60
NO_EVENTS = [Record(b"a", b"no event"), Record(None, b"\x00\xff"), Record(b"c", None)]


@pytest.fixture
def there(kafka: Broker, empty_postgres_url: str) -> dict[str, str]:
    """The settings of the new place."""
    return {LOG: f"kafka://{kafka.address}/{uuid4().hex[:8]}.", FIGURES: empty_postgres_url}


@contextmanager
def moved(shop: Shop, there: dict[str, str]) -> Iterator[Shop]:
    """The same shop with other settings."""
    one = Shop(shop.folder, there)
    yield one
    one.close()
    assert one.complaints() == []


def settings_file(shop: Shop, there: dict[str, str]) -> str:
    file = shop.folder / "there.env"
    file.write_text("# the new place\n" + "".join(f'{name}="{value}"\n' for name, value in there.items()))
    return str(file)


async def a_shop_at_rest(shop: Shop) -> tuple[Part, Part]:
    """It has figures, a second version of a topic, duplicates by the thousand, dead letters, and orders not sent yet.

    What it has in all, and what it will have with some more.
    """
    (first, second, third) = parts(shop.folder, 3)
    (api, relay, consumer) = shop.start_line()
    await shop.send(first.file)
    await shop.counted_exactly(first.expected)
    await asyncio.to_thread(shop.ok, "topics", "migrate", "catalog-events", "--partitions", "9")
    await _append_strange_records(shop)
    await shop.drained()
    assert shop.sql(shop.backoffice_db, "SELECT count(*) FROM dead_letter") == [(3,)]
    assert (relay.stop(), consumer.stop()) == (0, 0)
    await shop.send(second.file)
    assert api.stop() == 0
    return second, third


async def _append_strange_records(shop: Shop) -> None:
    """Each record again and again, as a relay may send it, and some that are no events."""
    log = SqliteLog(shop.log_db)
    for tp in [TopicPartition(topic.name, number) for topic in TOPICS for number in range(topic.partitions)]:
        batch = await log.read(tp, 0)
        for _ in range(COPIES if len(batch) else 0):
            await log.append(tp, list(map(Record, batch.keys, batch.values)))
    await log.append(ORDERS, NO_EVENTS)
    await log.close()


async def every_record(url: str) -> list[RecordBatch]:
    log = open_log(url)
    found = []
    for topic, count in sorted((await log.topics()).items()):
        found += [await _partition(log, TopicPartition(topic, number)) for number in range(count)]
    await log.close()
    return found


async def _partition(log: Log, tp: TopicPartition) -> RecordBatch:
    end = (await log.bounds([tp]))[tp].end
    batches = [await log.read(tp, 0)]
    while batches[-1].next_offset < end:
        batches.append(await log.read(tp, batches[-1].next_offset, MAX_BATCH_RECORDS))
    return RecordBatch(
        tp,
        0,
        [value for one in batches for value in one.values],
        [key for one in batches for key in one.keys],
        [at // 1000 for one in batches for at in one.appended_at_us],
    )


async def test_a_shop_that_moved_counts_on_exactly_in_its_new_place(shop: Shop, there: dict[str, str]) -> None:
    (before, after) = await a_shop_at_rest(shop)
    told = shop.ok("move", "--to", settings_file(shop, there))
    assert "no%20secret" not in told
    assert f"  {LOG}={there[LOG]}\n" in told
    assert "postgres:***@127.0.0.1" in told
    assert "positions, handled sequences and 3 dead letters equal" in told
    assert [one for one in told.splitlines() if one.startswith("Generation 1: orders ")]
    (here, copied) = (await every_record(f"sqlite:///{shop.log_db}"), await every_record(there[LOG]))
    assert copied == here
    assert sum(map(len, here)) > 5000
    moved_at_ms = time.time_ns() // 1_000_000
    with moved(shop, there) as new:
        assert await new.figures() == parts(shop.folder, 3)[0].expected
        new.start_line()
        await _counted(new, before)
        await new.send(after.file)
        await _counted(new, after)
        new.ok("rebuild")
        assert await new.figures() == after.expected
    (orders,) = [one for one in await every_record(there[LOG]) if one.tp == ORDERS]
    assert orders.appended_at_us[-1] >= moved_at_ms


async def _counted(shop: Shop, part: Part) -> None:
    status = await shop.drained()
    assert (status.completeness.missing, status.completeness.parked) == (0, 3)
    assert await shop.figures() == part.expected


POINTS = ["move.after_records:1", "move.after_records:7", "move.before_commit", "move.after_commit"]


async def test_a_move_that_is_killed_is_gone_on_with_by_the_same_command(shop: Shop, there: dict[str, str]) -> None:
    """At each of its points in turn; then it is done, and then there is nothing left to do."""
    (before, _) = await a_shop_at_rest(shop)
    file = settings_file(shop, there)
    for point in POINTS:
        dying = shop.run("move", "--to", file, COUNTINGHOUSE_CRASH_AT=point)
        assert dying.returncode == -signal.SIGKILL, dying.stderr
    done = shop.ok("move", "--to", file)
    again = shop.ok("move", "--to", file)
    assert done.count("all equal") == again.count("all equal") == 2
    assert "records are there" not in again
    assert await every_record(there[LOG]) == await every_record(f"sqlite:///{shop.log_db}")
    with moved(shop, there) as new:
        new.start_line()
        await _counted(new, before)
        for one in new.started:
            assert one.stop() == 0
    refused = shop.run("move", "--to", file)
    assert refused.returncode == 1
    assert "was used already" in refused.stderr


async def test_one_store_may_move_alone(shop: Shop, there: dict[str, str]) -> None:
    (before, _) = await a_shop_at_rest(shop)
    figures = {FIGURES: there[FIGURES]}
    assert "records" not in shop.ok("move", "--to", settings_file(shop, figures))
    with moved(shop, figures) as half:
        half.start_line()
        await _counted(half, before)
        for one in half.started:
            assert one.stop() == 0
        assert "dead letters" not in half.ok("move", "--to", settings_file(shop, there))
    with moved(shop, there) as new:
        new.start_line()
        await _counted(new, before)


async def test_a_shop_that_still_runs_is_not_moved(shop: Shop, there: dict[str, str]) -> None:
    file = settings_file(shop, there)
    (api, relay, consumer) = shop.start_line()
    for one in (api, relay, consumer):
        await one.is_up()
    for held, of in ((shop.commerce_db, relay), (shop.backoffice_db, consumer)):
        await until(lambda held=held: shop.sql(held, "SELECT 1 FROM lease WHERE owner <> ''"), of)
    for still, words in (
        (api, "The commerce API still runs"),
        (relay, "relay still works"),
        (consumer, "consumer still works"),
    ):
        refused = shop.run("move", "--to", file)
        assert refused.returncode == 2, refused.stderr
        assert words in refused.stderr
        assert refused.stderr.count("\n") == 1
        assert still.stop() == 0
    assert shop.run("move", "--to", file).returncode == 0


async def test_a_place_that_was_used_is_left_as_it_is(shop: Shop, there: dict[str, str]) -> None:
    await a_shop_at_rest(shop)
    log = open_log(there[LOG])
    for topic in TOPICS:
        await log.create_topic(topic.name, topic.partitions)
    await log.append(ORDERS, [Record(b"a", b"another's")])
    refused = shop.run("move", "--to", settings_file(shop, there))
    assert refused.returncode == 1
    assert refused.stderr.startswith("order-events/0: the new log's records from offset 0 on are others than the old")
    assert (await log.bounds([ORDERS]))[ORDERS].end == 1
    await log.close()
    server = await asyncpg.connect(there[FIGURES].replace("+asyncpg", ""))
    assert await server.fetch("SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []
    figures = {FIGURES: there[FIGURES]}
    shop.ok("migrate", **figures)
    await server.execute("INSERT INTO listing VALUES (1, 'a', 1, 'A', 1, 'GBP')")
    refused = shop.run("move", "--to", settings_file(shop, figures))
    assert refused.returncode == 1
    assert "the new database was used already" in refused.stderr
    assert await server.fetchval("SELECT count(*) FROM sales") == 0
    await server.close()


async def test_a_file_that_names_no_new_place_is_refused_in_one_line(shop: Shop) -> None:
    shop.ok("migrate")
    await SqliteLog(shop.log_db).close()
    refused = shop.run("move", "--to", settings_file(shop, {"COUNTINGHOUSE_LOG_LEVEL": "info"}))
    assert refused.returncode == 2
    assert refused.stderr == "The file names the places where everything is already: there is nothing to move.\n"


async def test_a_broker_that_is_away_is_told_and_the_move_can_be_repeated(
    shop: Shop, there: dict[str, str], kafka: Broker
) -> None:
    await a_shop_at_rest(shop)
    away = {LOG: "kafka://127.0.0.1:1/"}
    refused = await asyncio.to_thread(shop.run, "move", "--to", settings_file(shop, away))
    assert refused.returncode == 1
    assert "Kafka at 127.0.0.1:1 can't be reached" in refused.stderr
    shop.ok("move", "--to", settings_file(shop, there))
