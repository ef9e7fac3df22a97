"""Topics that somebody else made, cuts, takes away or grows."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.admin import NewTopic, RecordsToDelete

from event_store.envelope import stamp
from event_store.errors import TopicMismatch
from event_store.events import Line as OrderLine
from event_store.events import PaymentCompleted, ProductView
from event_store.kafka_log import KafkaLog
from event_store.record import Record, TopicPartition
from tests.faults.shop import until
from tests.laws.line import NOON
from tests.servers.kafka import Broker, tool

from .conftest import either_fetch
from .line import TOPICS, TPS, Engines, Line, admin_of, at_work, open_line

TAKEN_BYTES = 20_000


async def test_fault_11_of_a_thousand_events_the_one_that_a_topic_does_not_take_is_buried_and_the_others_are_counted(
    engines: Engines,
) -> None:
    """The topic takes batches of less than we send, too."""
    async with admin_of(engines.cluster) as admin:
        config = {"max.message.bytes": str(TAKEN_BYTES)}
        await admin.create_topics(
            [NewTopic(engines.cluster.name(topic), count, 1, topic_configs=config) for topic, count in TOPICS.items()]
        )
    async with open_line(engines) as line:
        await line.write(500)
        long = [OrderLine(f"product-{number}", 1, 1) for number in range(800)]
        await line.write_each([PaymentCompleted("order-1", "too-long", "GBP", long)])
        refused = line.written.pop()
        await line.write(499)
        async with at_work(line.relay(), line.consumer()):
            await line.sent()
            [dead] = await line.outbox.dead()
            assert (dead.event_id, dead.payload) == (refused.event_id, refused.payload)
            assert f"max.message.bytes: {TAKEN_BYTES}" in dead.reason
            await line.counted(parked=1)


@either_fetch
async def test_fault_23_topics_made_anew_under_the_line_stop_what_is_in_them_and_reset_nothing(
    line: Line, engines: Engines
) -> None:
    async with at_work(line.relay(), line.consumer()):
        await line.write(300)
        before = await line.counted()
        figures = await line.read_model.snapshot(1)
        async with admin_of(engines.cluster) as admin:
            await admin.delete_topics([engines.cluster.name("order-events")])
            await admin.create_topics([NewTopic(engines.cluster.name("order-events"), 3, 1)])
        await line.write(90)

        async def all_say_why() -> bool:
            status = await line.status()
            refused = [one.error for one in status.lanes if one.topic == "order-events"]
            stopped = [one.stopped for one in status.partitions if one.topic == "order-events"]
            return all("Restore the log" in (why or "") for why in refused) and all(stopped)

        await until(all_say_why)
        views = [ProductView(f"product-{number}", "visitor", "GBP") for number in range(20)]
        await line.write_each(views)

        async def views_are_counted() -> bool:
            return await _counted(line, "catalog-events") == 200 + 60 + len(views)

        await until(views_are_counted)
        status = await line.status()
        (after, last) = (await line.read_model.snapshot(1), status.partitions)
    assert all("order-events" in (one.stopped or "") for one in last if one.topic == "order-events")
    assert [one.position for one in last[3:]] == [one.position for one in before.partitions[3:]]
    assert after.rows["sales"].equals(figures.rows["sales"])
    assert status.completeness.level == "broken"


@either_fetch
async def test_fault_23_records_cut_from_the_front_stop_who_has_not_counted_them_and_nobody_else(
    line: Line, engines: Engines
) -> None:
    async with at_work(line.relay()):
        async with at_work(line.consumer()):
            await line.write(300)
            before = await line.counted()
        await line.write(300)
        await line.sent()
    (ahead, behind) = (TPS[0], TPS[1])
    ends = await line.log.bounds(TPS)
    async with admin_of(engines.cluster) as admin:
        cut = {ahead: before.partitions[0].position - 1, behind: ends[behind].end - 1}
        await admin.delete_records({engines.cluster.there(tp): RecordsToDelete(at) for tp, at in cut.items()})
    async with at_work(line.consumer()):

        async def others_are_counted() -> bool:
            partitions = {TopicPartition(one.topic, one.partition): one for one in (await line.status()).partitions}
            return bool(partitions.pop(behind).stopped) and not any(one.lag_events for one in partitions.values())

        await until(others_are_counted)
        status = await line.status()
    [stopped] = [one for one in status.partitions if one.stopped]
    assert stopped.position == before.partitions[1].position
    assert f"is not in the log, which has {cut[behind]} to" in str(stopped.stopped)
    assert "Nothing was reset" in str(stopped.stopped)
    assert status.completeness.level == "broken"


async def test_fault_24_partitions_added_behind_our_back_move_no_key_of_ours_and_what_lies_in_them_is_counted(
    line: Line, engines: Engines, kafka: Broker
) -> None:
    """What others write to the new ones is theirs, and is read like everything in a topic of ours."""
    async with at_work(line.relay(), line.consumer()):
        await line.write(300)
        await line.counted()
        name = engines.cluster.name("catalog-events")
        options = ["--bootstrap-server", kafka.address, "--alter", "--topic", name, "--partitions", "5"]
        await asyncio.to_thread(tool, "TopicCommand", *options)
        await line.write(300)
        await line.counted()
        stray = line.codec.draft(ProductView("product-1", "v", "GBP"), NOON)
        record = Record(b"product-1", stamp(stray.payload, "/elsewhere", 1))
        other = KafkaLog(engines.cluster)
        await other.append(TopicPartition("catalog-events", 4), [record])
        await other.close()
        line.written.append(stray)
        status = await line.counted()
    positions = {one.partition: one.position for one in status.partitions if one.topic == "catalog-events"}
    assert (positions[3], positions[4]) == (0, 1)
    with pytest.raises(TopicMismatch, match="partitions is 5, and should be 3"):
        await line.log.create_topic("catalog-events", TOPICS["catalog-events"])


async def _counted(line: Line, topic: str) -> int:
    return sum(at for tp, at in (await line.positions()).items() if tp.topic == topic)
