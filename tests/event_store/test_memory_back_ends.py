"""What the in-memory back ends can do beside their ports: play faults, on a clock that a test moves."""

from __future__ import annotations

import asyncio

import pytest

from event_store.errors import HistoryLost, RecordRefused
from event_store.log import Bounds
from event_store.memory_leases import MemoryLeases
from event_store.memory_log import MemoryLog
from event_store.memory_outbox import MemoryOutbox
from event_store.outbox import Acknowledgement, Lane
from event_store.record import Record, TopicPartition

from .records import AT, CODEC, PAID

TP = TopicPartition("order-events", 0)


class Clock:
    def __init__(self) -> None:
        self.now_us = 1_000_000

    def __call__(self) -> int:
        return self.now_us


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outbox(clock: Clock) -> MemoryOutbox:
    return MemoryOutbox({"order-events": 1}, clock, source="/shop")


async def claim(outbox: MemoryOutbox) -> tuple[Lane, list[tuple[int, str]]]:
    [lane] = await outbox.hold_lanes("relay", 30)
    claimed = await outbox.claim([lane])
    return lane, [(row.sequence, row.event_id) for rows in claimed for row in rows.rows]


async def test_an_outbox_put_back_from_an_older_copy_knows_no_more_than_the_copy(outbox: MemoryOutbox) -> None:
    drafts = [CODEC.draft(PAID, AT) for _ in range(3)]
    outbox.write(drafts[:2])
    (lane, rows) = await claim(outbox)
    await outbox.acknowledge([Acknowledgement(lane, 1, 0)])
    older = outbox.export()
    outbox.write(drafts[2:])
    (lane, _) = await claim(outbox)
    await outbox.acknowledge([Acknowledgement(lane, 3, 2)])
    outbox.restore(older)
    (lane, unsent) = await claim(outbox)
    assert (lane.acknowledged, lane.next_sequence) == (1, 3)
    assert unsent == rows[1:]


async def test_a_copy_can_be_put_back_again_and_again(outbox: MemoryOutbox) -> None:
    older = outbox.export()
    for _ in range(2):
        outbox.restore(older)
        outbox.write([CODEC.draft(PAID, AT)])
        assert len((await claim(outbox))[1]) == 1


async def test_the_source_names_its_incarnation(outbox: MemoryOutbox) -> None:
    assert await outbox.source() == "/shop/1"
    assert await outbox.reincarnate([]) == "/shop/2"


async def test_a_log_that_forgot_its_beginning_says_so(clock: Clock) -> None:
    log = MemoryLog(clock)
    await log.create_topic("order-events", 1)
    await log.append(TP, [Record(None, str(number).encode()) for number in range(5)])
    log.forget_before(TP, 3)
    assert await log.bounds([TP]) == {TP: Bounds(3, 5)}
    with pytest.raises(HistoryLost, match="order-events/0"):
        await log.read(TP, 2)
    assert list((await log.read(TP, 4)).values) == [b"4"]
    assert await log.append(TP, [Record(None, b"5")]) == 5
    assert list((await log.read(TP, 3)).values) == [b"3", b"4", b"5"]


async def test_a_log_can_be_told_to_take_less(clock: Clock) -> None:
    log = MemoryLog(clock, max_record_bytes=3)
    await log.create_topic("order-events", 1)
    with pytest.raises(RecordRefused):
        await log.append(TP, [Record(None, b"1234")])
    assert await log.append(TP, [Record(None, b"123")]) == 0


async def test_time_is_what_the_clock_says(clock: Clock) -> None:
    log = MemoryLog(clock)
    await log.create_topic("order-events", 1)
    await log.append(TP, [Record(None, b"1")])
    assert list((await log.read(TP, 0)).appended_at_us) == [1_000_000]
    leases = MemoryLeases(clock)
    await leases.take(["a"], "one", 15)
    clock.now_us += 14_999_999
    assert await leases.take(["a"], "two", 15) == []
    clock.now_us += 1
    assert [lease.epoch for lease in await leases.take(["a"], "two", 15)] == [2]


async def test_every_call_gives_way_to_others_before_it_acts(clock: Clock, outbox: MemoryOutbox) -> None:
    log = MemoryLog(clock)
    await log.create_topic("order-events", 1)
    order: list[str] = []

    async def append(name: str) -> None:
        order.append(f"{name} began")
        await log.append(TP, [Record(None, name.encode())])
        order.append(f"{name} ended")

    await asyncio.gather(append("a"), append("b"))
    assert order == ["a began", "b began", "a ended", "b ended"]
