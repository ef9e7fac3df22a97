"""What everybody who comes from Kafka asks first, on a real one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from event_store.record import Record, TopicPartition
from projections.projector import Applied
from projections.read_model import Effect, ReadModel
from tests.faults.shop import WAIT_S
from tests.laws.line import Observed
from tests.servers.kafka import Broker, tool

from .line import TOPICS, TPS, Engines, Line, at_work

EVENTS = 600


async def _places(line: Line) -> dict[bytes, set[TopicPartition]]:
    """Key → the partitions in which it lies."""
    places: dict[bytes, set[TopicPartition]] = {}
    for tp in TPS:
        for key, _ in await line.records(tp):
            places.setdefault(key or b"", set()).add(tp)
    return places


async def test_a_key_lies_in_one_partition_the_one_that_kafkas_java_client_chooses_and_keys_spread_over_all(
    line: Line, engines: Engines, kafka: Broker
) -> None:
    async with at_work(line.relay()):
        await line.write(EVENTS)
        await line.sent()
    places = await _places(line)
    assert len(places) == 20 + 50
    assert all(len(tps) == 1 for tps in places.values())
    assert {tp for tps in places.values() for tp in tps} == set(TPS)

    await line.log.create_topic("java", TOPICS["catalog-events"])
    options = ["--bootstrap-server", kafka.address, "--topic", engines.cluster.name("java")]
    properties = ["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"]
    given = "".join(f"{key.decode()}:x\n" for key in places)
    await asyncio.to_thread(tool, "ConsoleProducer", *options, *properties, given=given)
    for number in range(TOPICS["catalog-events"]):
        for key, _ in await line.records(TopicPartition("java", number)):
            assert {tp.partition for tp in places.pop(key or b"")} == {number}
    assert places == {}


async def test_the_events_of_a_key_are_in_the_log_in_the_order_in_which_they_were_written(line: Line) -> None:
    async with at_work(line.relay("a"), line.relay("b")):
        for _ in range(10):
            await line.write(EVENTS // 10)
            await asyncio.sleep(0.05)
        await line.sent()
    await line.assert_in_order()


async def test_records_published_twice_are_counted_once(line: Line) -> None:
    async with at_work(line.relay(), line.consumer()):
        await line.write(EVENTS)
        await line.counted()
        for tp in TPS:
            await line.log.append(tp, [Record(key or b"", value or b"") for key, value in await line.records(tp)])
        status = await line.counted()
    assert sum(one.duplicates for one in status.partitions) == EVENTS


@dataclass
class _Meeting:
    """A read model that takes no batch until batches of two partitions are on their way to it at once."""

    figures: ReadModel
    on_their_way: list[TopicPartition] = field(default_factory=list)
    met: asyncio.Event = field(default_factory=asyncio.Event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.figures, name)

    async def commit(self, effect: Effect, *, serving: bool) -> None:
        [entry] = effect.entries
        self.on_their_way.append(entry.tp)
        if len(set(self.on_their_way)) > 1:
            self.met.set()
        async with asyncio.timeout(WAIT_S):
            await self.met.wait()
        await self.figures.commit(effect, serving=serving)
        self.on_their_way.remove(entry.tp)


async def test_one_process_counts_several_partitions_at_the_same_time(line: Line) -> None:
    async with at_work(line.relay()):
        await line.write(EVENTS)
        await line.sent()
    meetings: list[_Meeting] = []

    def wrap(figures: ReadModel) -> _Meeting:
        meetings.append(_Meeting(figures))
        return meetings[-1]

    async with at_work(line.consumer(wrap=wrap, max_records=1)):
        await line.counted()
    assert meetings[0].met.is_set()


class _Heard(Observed):
    """The batches that one consumer counted."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Applied] = []

    def counted(self, applied: Applied, seconds: float) -> None:
        self.batches.append(applied)


async def test_of_the_members_of_the_group_each_counts_a_share_and_no_record_is_counted_by_two(line: Line) -> None:
    heard = [_Heard() for _ in range(3)]
    members = [line.consumer(f"consumer-{number}", observed=one) for number, one in enumerate(heard)]
    async with at_work(line.relay(), *members):
        for _ in range(20):
            await line.write(EVENTS // 20)
            await asyncio.sleep(0.2)
        status = await line.counted()
    assert sum(one.duplicates for one in status.partitions) == 0
    counted = sorted((one.tp, one.next_offset - one.records, one.next_offset) for each in heard for one in each.batches)
    assert sum(last - first for _, first, last in counted) == EVENTS
    assert [tp for tp, first, _ in counted if first == 0] == TPS
    for (tp, _, end), (following, begin, _) in pairwise(counted):
        assert (tp, end) == (following, begin) or begin == 0
    assert all(sum(one.records for one in each.batches) > EVENTS // 10 for each in heard)
