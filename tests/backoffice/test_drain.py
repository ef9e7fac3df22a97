"""Draining returns when everything accepted is counted, or says what is left."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from backoffice.commands.drain import drain, progress_line, remarks
from backoffice.failures import CommandFailed
from backoffice.pipeline_status import PipelineStatus
from event_store.audit import Entry
from event_store.events import RecordWithheld
from event_store.pauses import Part
from event_store.record import Record, TopicPartition
from tests.web.shop import Shop, viewed

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)


async def test_an_empty_pipeline_is_drained_at_once(shop: Shop) -> None:
    drained = await drain(shop.pipeline, timeout_s=0)
    assert (drained.exit_code, remarks(drained)) == (0, [])


async def test_it_returns_when_the_last_event_was_counted_and_not_before(shop: Shop) -> None:
    for _ in range(5):
        shop.accepts(*viewed(AUTUMN, "A"))
    seen: list[PipelineStatus] = []
    draining = asyncio.create_task(drain(shop.pipeline, timeout_s=30, show=seen.append))
    await asyncio.sleep(0.05)
    assert not draining.done()
    await shop.sends()
    await asyncio.sleep(0.05)
    assert not draining.done()
    await shop.counts()
    drained = await asyncio.wait_for(draining, 5)
    assert drained.exit_code == 0
    assert drained.status.completeness.offset == 5
    assert progress_line(seen[0]) == "0 counted, 5 in the outbox, 0 in the log waiting to be counted"
    assert progress_line(seen[-1]) == "5 counted, 0 in the outbox, 0 in the log waiting to be counted"


async def test_after_the_time_out_it_names_what_is_left(shop: Shop) -> None:
    shop.accepts(*viewed(AUTUMN, "A"))
    await shop.sends()
    shop.accepts(*viewed(AUTUMN, "A"))
    drained = await drain(shop.pipeline, timeout_s=0.05)
    assert drained.exit_code == 1
    (headline, lane, partition) = remarks(drained)
    assert headline == "Not everything is counted:"
    assert lane.endswith(": 1 ready, 0 claimed, 0 failed")
    assert partition.endswith(": position 0 of 1, 1 to count")
    assert lane.startswith("  lane catalog-events/")
    assert partition.startswith("  partition catalog-events/")


async def test_a_lane_that_no_relay_holds_is_said_to_be_so(shop: Shop) -> None:
    shop.accepts(*viewed(AUTUMN, "A"))
    assert "; no relay holds it" in remarks(await drain(shop.pipeline, timeout_s=0))[1]


async def test_dead_rows_do_not_hold_it_up_but_are_named(shop: Shop) -> None:
    shop.accepts(*viewed(AUTUMN, "A"))
    lanes = await shop.outbox.hold_lanes("relay", 60)
    (claimed,) = await shop.outbox.claim(lanes)
    row = claimed.rows[0]
    withheld = shop.codec.draft(RecordWithheld(row.event_id, "ProductView", "too large"), AUTUMN)
    await shop.outbox.bury(claimed.lane, row.sequence, "too large", withheld)
    await shop.sends()
    await shop.counts()
    drained = await drain(shop.pipeline, timeout_s=0)
    assert drained.exit_code == 0
    (line,) = remarks(drained)
    assert line.endswith(": 1 dead, which the log will never take")
    assert drained.status.completeness.parked == 1


async def test_dead_letters_do_not_hold_it_up_but_are_named(shop: Shop) -> None:
    await shop.log.append(TopicPartition("order-events", 0), [Record(b"k", b"nonsense")])
    await shop.counts()
    drained = await drain(shop.pipeline, timeout_s=0)
    assert drained.exit_code == 0
    assert remarks(drained) == ["  1 dead letters are kept and not counted; see `countinghouse status`"]


PAUSED = Entry(who="ada", what="", reason="the broker moves")


async def test_what_is_drained_is_so_whatever_is_paused(shop: Shop) -> None:
    for part, pauses in shop.pauses.items():
        await pauses.pause(part, PAUSED)
    assert (await drain(shop.pipeline, timeout_s=0)).exit_code == 0


async def test_it_says_at_once_that_it_can_not_end_where_something_waits_behind_a_pause(shop: Shop) -> None:
    shop.accepts(*viewed(AUTUMN, "A"))
    for part, work in ((Part.CONSUMER, "counting"), (Part.RELAY, "sending")):
        await shop.pauses[part].pause(part, PAUSED)
        with pytest.raises(CommandFailed, match=f"can't be: {work} is paused since .* by ada: the broker") as refused:
            await asyncio.wait_for(drain(shop.pipeline), 5)
        assert refused.value.code == 1
        await shop.pauses[part].resume(part, PAUSED)


async def test_a_pause_that_nothing_has_to_pass_any_more_does_not_hold_it_up(shop: Shop) -> None:
    shop.accepts(*viewed(AUTUMN, "A"))
    await shop.sends()
    await shop.pauses[Part.RELAY].pause(Part.RELAY, PAUSED)
    draining = asyncio.create_task(drain(shop.pipeline, timeout_s=30))
    await asyncio.sleep(0.05)
    assert not draining.done()
    await shop.counts()
    assert (await asyncio.wait_for(draining, 5)).exit_code == 0
