"""The consumer's own promises: it ends with a reason rather than hang, looks again after a rebuild, keeps its name."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from backoffice.consumer import Consumer, ConsumerSettings
from event_store.backoff import STOP_TIMEOUT_S, Backoff
from event_store.errors import LogChanged, StorageUnavailable, UnknownTopic
from event_store.lease import Lease, owners_of
from event_store.memory_leases import MemoryLeases
from event_store.memory_log import MemoryLog
from event_store.record import MAX_BATCH_RECORDS, RecordBatch, TopicPartition
from projections.catalogue import PROJECTIONS
from projections.memory_read_model import MemoryReadModel
from projections.projector import Projector
from projections.read_model import Effect

from .histories import events_of_every_kind
from .line import TOPICS, TPS, Line, assert_figures, in_virtual_time, views


def _consumer(line: Line, name: str = "consumer", figures: Any = None) -> Consumer:
    read_model = figures or line.read_model
    return Consumer(
        line.log,
        line.leases,
        read_model,
        lambda generation: Projector(read_model, generation, True, PROJECTIONS, line.codec),
        ConsumerSettings(name, TOPICS),
        line.observed,
        Backoff(0.1, 1.0),
        clock=line.clock,
    )


def test_a_consumer_whose_log_has_lost_a_topic_ends_and_says_so() -> None:
    async def lose_a_topic(line: Line) -> None:
        running = asyncio.create_task(_consumer(line).run(asyncio.Event()))
        await asyncio.sleep(5.0)
        line.log._partitions.clear()
        await asyncio.wait([running], timeout=60.0)
        assert running.done()
        with pytest.raises(UnknownTopic):
            await running

    in_virtual_time(lose_a_topic)


def test_a_stopped_partition_goes_on_after_the_rebuild_that_its_message_asks_for() -> None:
    async def replace_the_log(line: Line) -> None:
        line.write(views(5))
        await line.relay_all()
        await line.count_all()
        other = Line(line.now_us, line.clock)
        await other.prepare()
        other.write(views(7))
        await other.relay_all()
        line.log = other.log
        stop = asyncio.Event()
        running = asyncio.create_task(_consumer(line).run(stop))
        await asyncio.sleep(10.0)
        assert [type(one) for one in line.observed.stops] == [LogChanged]
        assert [one.stopped is not None for one in await line.read_model.progress(1)].count(True) == 1
        await line.rebuild().run("the log was replaced", accept_differences="it was")

        other.write(views(4))
        await other.relay_all()
        await asyncio.sleep(20.0)
        stop.set()
        await running
        assert len(line.shown()) == 11
        await assert_figures(line.read_model, line.oracle())

    in_virtual_time(replace_the_log)


class _HangingCommits(MemoryReadModel):
    async def commit(self, effect: Effect, *, serving: bool) -> None:
        await asyncio.sleep(1000.0)


def test_a_consumer_that_has_to_wait_for_several_batches_keeps_its_leases() -> None:
    """It gives two partitions up, each with a batch that takes its time; the others must stay its own meanwhile."""

    async def give_up_two(line: Line) -> None:
        for tp in TPS:
            await line.append(tp, [b"not JSON"])
        (stop, figures) = (asyncio.Event(), _HangingCommits(line.now_us))
        first = asyncio.create_task(_consumer(line, "first", figures).run(stop))
        await asyncio.sleep(2.0)
        second = asyncio.create_task(_consumer(line, "second", figures).run(stop))
        for _ in range(40):
            await asyncio.sleep(1.0)
            assert set(owners_of(await line.leases.holdings("member/")).values()) == {"first", "second"}
        stop.set()
        await asyncio.gather(first, second)

    in_virtual_time(give_up_two)


class _HangingLeases(MemoryLeases):
    hanging = False

    async def take(self, names: list[str], owner: str, ttl_s: float, *, most: int | None = None) -> list[Lease]:
        await asyncio.sleep(1000.0 if self.hanging else 0.0)
        return await super().take(names, owner, ttl_s, most=most)

    async def release(self, owner: str) -> None:
        await asyncio.sleep(1000.0 if self.hanging else 0.0)
        await super().release(owner)


@pytest.mark.parametrize("leases_hang", [False, True], ids=["the figures", "figures and leases"])
def test_a_consumer_stops_in_its_time_whatever_hangs_and_gives_its_leases_back_if_it_can(leases_hang: bool) -> None:
    async def stop_it(line: Line) -> None:
        for tp in TPS:
            await line.append(tp, [b"not JSON"])
        (stop, figures, leases) = (asyncio.Event(), _HangingCommits(line.now_us), _HangingLeases(line.now_us))
        line.leases = leases
        running = asyncio.create_task(_consumer(line, figures=figures).run(stop))
        await asyncio.sleep(2.0)
        leases.hanging = leases_hang
        await asyncio.sleep(10.0)  # It renews its leases meanwhile.
        stop.set()
        begun_s = line.clock()
        await running
        assert 0 < line.clock() - begun_s <= STOP_TIMEOUT_S
        assert leases_hang or owners_of(await leases.holdings("")) == {}
        assert [one for one in asyncio.all_tasks() if one is not asyncio.current_task()] == []

    in_virtual_time(stop_it)


class _AwayAtFirst(MemoryReadModel):
    refusals = 5

    async def commit(self, effect: Effect, *, serving: bool) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StorageUnavailable("away")
        await super().commit(effect, serving=serving)


def test_a_batch_whose_storage_is_away_is_counted_when_it_is_back_and_nothing_before() -> None:
    async def away(line: Line) -> None:
        figures = _AwayAtFirst(line.now_us)
        await line.append(TPS[0], [event.placed("/a", 1) for event in events_of_every_kind()[1:2]])
        stop = asyncio.Event()
        running = asyncio.create_task(_consumer(line, figures=figures).run(stop))
        while figures.refusals:
            assert (await figures.position(1, TPS[0])).next_offset == 0
            await asyncio.sleep(0.1)
        await asyncio.sleep(10.0)
        stop.set()
        await running
        await assert_figures(figures, line.oracle())
        assert not await figures.dead_letters(1)

    in_virtual_time(away)


def test_consumers_share_each_topic_and_the_one_that_is_left_takes_all_of_it() -> None:
    async def share(line: Line) -> None:
        (stop_one, stop_other) = (asyncio.Event(), asyncio.Event())
        one = asyncio.create_task(_consumer(line, "one").run(stop_one))
        other = asyncio.create_task(_consumer(line, "other").run(stop_other))
        await asyncio.sleep(30.0)
        assert await _held(line, "one") == await _held(line, "other") == dict.fromkeys(TOPICS, 1)
        stop_other.set()
        await other
        await asyncio.sleep(10.0)
        assert await _held(line, "one") == TOPICS
        stop_one.set()
        await one

    in_virtual_time(share)


async def _held(line: Line, owner: str) -> dict[str, int]:
    """How many partitions of each topic the owner has, where every one has an owner."""
    leases = await line.leases.take([f"partition/{tp}" for tp in TPS], owner, 15.0)
    return dict(Counter(lease.name.removeprefix("partition/").rpartition("/")[0] for lease in leases))


class _SlowCommits(MemoryReadModel):
    async def commit(self, effect: Effect, *, serving: bool) -> None:
        await asyncio.sleep(0.02)
        await super().commit(effect, serving=serving)


class _CountedReads(MemoryLog):
    reads = 0

    async def read(self, tp: TopicPartition, offset: int, max_records: int = MAX_BATCH_RECORDS) -> RecordBatch:
        self.reads += 1
        return await super().read(tp, offset, max_records)


def test_what_comes_while_a_partition_is_busy_is_read_for_it_as_soon_as_it_is_done() -> None:
    async def append_twice(line: Line) -> None:
        line.log = log = _CountedReads(line.now_us)
        await line.prepare()
        figures = _SlowCommits(line.now_us)
        stop = asyncio.Event()
        running = asyncio.create_task(_consumer(line, figures=figures).run(stop))
        await asyncio.sleep(5.5)
        (reads, event) = (log.reads, events_of_every_kind()[1])
        for sequence in (1, 2):
            await line.append(TPS[0], [event.placed("/a", sequence)])
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.06)
        assert (await figures.position(1, TPS[0])).next_offset == 2
        assert log.reads == reads
        stop.set()
        await running

    in_virtual_time(append_twice)
