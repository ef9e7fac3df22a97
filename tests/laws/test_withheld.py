"""A record the log will never take: its lane goes on without a hole, and driven again it is counted once."""

from __future__ import annotations

import json

from event_store.events import Line as OrderLine
from event_store.events import Payload, PaymentCompleted
from event_store.memory_log import MemoryLog

from .line import TOPICS, Line, assert_figures, in_virtual_time


def _orders(sizes: list[int]) -> list[Payload]:
    return [
        PaymentCompleted("the order", f"payment {number}", "GBP", [OrderLine("lantern", 1, 5)] * size)
        for number, size in enumerate(sizes)
    ]


async def _log_of(line: Line, max_record_bytes: int) -> MemoryLog:
    line.log = MemoryLog(line.now_us, max_record_bytes=max_record_bytes)
    for topic, partitions in TOPICS.items():
        await line.log.create_topic(topic, partitions)
    return line.log


def _shown(line: Line) -> list[tuple[int, str]]:
    """(sequence, what it is) in the order of the log."""
    events = [json.loads(value or b"") for value in line.shown()]
    return [(int(one["sequence"]), one["type"].split(".")[-2]) for one in events]


def test_a_record_that_is_too_large_is_buried_and_its_lane_has_no_hole() -> None:
    async def refuse(line: Line) -> None:
        await _log_of(line, 2000)
        line.write(_orders([1, 100, 1, 200, 1]))
        relay = line.relay()
        for _ in range(5):
            await relay.pass_once()
        paid = "PaymentCompleted"
        gone = "RecordWithheld"
        assert _shown(line) == [(1, paid), (2, gone), (3, paid), (4, gone), (5, paid)]
        dead = await line.outbox.dead()
        assert [(row.sequence, row.redriven_at_us) for row in dead] == [(2, None), (4, None)]
        assert all("bytes" in row.reason for row in dead)
        assert [json.loads(row.payload)["data"]["payment_id"] for row in dead] == ["payment 1", "payment 3"]
        withheld = json.loads(line.shown()[1] or b"")
        assert withheld["data"]["event_id"] == dead[0].event_id
        assert withheld["data"]["event_type"] == "com.countinghouse.orders.PaymentCompleted.v1"
        await line.count_all()
        await assert_figures(line.read_model, line.oracle())
        assert not await line.read_model.dead_letters(1)
        assert all(not one.holes for one in await line.read_model.progress(1))

    in_virtual_time(refuse)


def test_a_buried_record_driven_again_is_counted_once() -> None:
    async def drive_again(line: Line) -> None:
        log = await _log_of(line, 2000)
        line.write(_orders([1, 100, 1]))
        await line.relay_all()
        for _ in range(3):
            await line.relay_all()
        await line.count_all()
        log._max_record_bytes = 100_000
        (row,) = await line.outbox.dead()
        assert await line.outbox.redrive([row.id]) == 1
        assert await line.outbox.redrive([row.id]) == 0
        await line.relay_all()
        await line.count_all()
        (figures,) = (await line.read_model.rows(1, "sales")).rows(named=True)
        assert (figures["orders"], figures["units_sold"], figures["gross_minor"]) == (3, 102, 510)
        await assert_figures(line.read_model, line.oracle())

    in_virtual_time(drive_again)


def test_a_record_refused_again_after_it_was_driven_again_is_buried_again() -> None:
    async def still_too_large(line: Line) -> None:
        await _log_of(line, 2000)
        line.write(_orders([100]))
        for _ in range(3):
            await line.relay_all()
        (row,) = await line.outbox.dead()
        await line.outbox.redrive([row.id])
        line.write(_orders([1]))
        for _ in range(3):
            await line.relay_all()
        assert [sequence for sequence, _ in _shown(line)] == [1, 2, 3]
        (first, second) = await line.outbox.dead()
        assert (first.event_id, first.redriven_at_us is None) == (second.event_id, False)
        assert second.redriven_at_us is None

    in_virtual_time(still_too_large)
