"""What every outbox promises its relay: rows, lanes and sequences (event_store/outbox.py)."""

from __future__ import annotations

import asyncio

import pytest

from event_store.errors import UnknownTopic
from event_store.outbox import Acknowledgement, ClaimedRow, Outbox
from event_store.record import TopicPartition
from event_store.topics import partition_for

from .conftest import LANES, Elapse, Open, Write
from .outbox_rows import LONG_S, ORDERS, SHORT_S, claimed, lane_of, listed, numbered, paid, places, status_of, withheld

WITH_OLDER_SERVERS = True


async def test_rows_get_sequences_from_one_in_the_order_written(outbox: Outbox, write: Write) -> None:
    drafts = [paid() for _ in range(5)]
    await write(drafts[:2])
    await write(drafts[2:])
    assert places(await claimed(outbox, await lane_of(outbox))) == numbered(drafts)


async def test_a_claimed_row_has_the_payload_and_the_key_of_its_draft(outbox: Outbox, write: Write) -> None:
    draft = paid()
    await write([draft])
    [row] = await claimed(outbox, await lane_of(outbox))
    assert row == ClaimedRow(1, draft.event_id, draft.key, draft.payload)


async def test_a_row_goes_to_the_lane_of_its_key(outbox: Outbox, write: Write) -> None:
    drafts = [listed(f"product {number}") for number in range(20)]
    await write(drafts)
    held = await outbox.hold_lanes("relay", LONG_S)
    found = {row.event_id: rows.lane.tp for rows in await outbox.claim(held) for row in rows.rows}
    assert found == {
        draft.event_id: TopicPartition("catalog-events", partition_for(draft.key.encode(), 2)) for draft in drafts
    }


async def test_every_lane_draws_its_own_sequences(outbox: Outbox, write: Write) -> None:
    await write([*(listed(f"product {number}") for number in range(20)), paid(), paid()])
    held = await outbox.hold_lanes("relay", LONG_S)
    claims = await outbox.claim(held)
    assert len(claims) == 3
    for rows in claims:
        assert [row.sequence for row in rows.rows] == list(range(1, len(rows.rows) + 1))


async def test_an_event_without_a_lane_is_refused_and_nothing_of_its_call_is_written(
    outbox: Outbox, write: Write
) -> None:
    with pytest.raises(UnknownTopic):
        await write([paid(), withheld("one")])
    assert await claimed(outbox, await lane_of(outbox)) == []


async def test_a_lane_with_nothing_unacknowledged_is_left_out_of_a_claim(outbox: Outbox, write: Write) -> None:
    await write([paid()])
    held = await outbox.hold_lanes("relay", LONG_S)
    assert [rows.lane.tp for rows in await outbox.claim(held)] == [ORDERS]


async def test_a_claimed_lane_comes_back_as_it_was_given_whatever_was_acknowledged_since(
    outbox: Outbox, write: Write
) -> None:
    await write([paid()])
    lane = await lane_of(outbox)
    [first] = await outbox.claim([lane])
    await outbox.acknowledge([Acknowledgement(lane, 1, 0)])
    await write([paid()])
    [second] = await outbox.claim([lane])
    assert first.lane == second.lane == lane


async def test_a_claim_begins_with_the_rows_not_acknowledged(outbox: Outbox, write: Write) -> None:
    drafts = [paid() for _ in range(5)]
    await write(drafts[:3])
    lane = await lane_of(outbox)
    await claimed(outbox, lane)
    await outbox.acknowledge([Acknowledgement(lane, 1, 0)])
    await write(drafts[3:])
    assert places(await claimed(outbox, lane)) == numbered(drafts)[1:]


async def test_a_claim_returns_no_more_rows_than_asked_for(outbox: Outbox, write: Write) -> None:
    drafts = [paid() for _ in range(7)]
    await write(drafts)
    lane = await lane_of(outbox)
    assert places(await claimed(outbox, lane, 3)) == numbered(drafts)[:3]
    assert places(await claimed(outbox, lane, 2)) == numbered(drafts)[:2]
    assert places(await claimed(outbox, lane, 5)) == numbered(drafts)[:5]
    assert (await status_of(outbox)).ready == 2


async def test_the_next_owner_after_a_crash_gets_the_same_rows_with_the_same_sequences(
    outbox: Outbox, open_outbox: Open[Outbox], write: Write, elapse: Elapse
) -> None:
    drafts = [paid() for _ in range(4)]
    await write(drafts[:3])
    first = {lane.tp: lane for lane in await outbox.hold_lanes("crashes", SHORT_S)}[ORDERS]
    before = await claimed(outbox, first)
    await elapse(2 * SHORT_S)
    heir = await open_outbox()
    await write(drafts[3:])
    second = await lane_of(heir, "heir")
    assert second.epoch == first.epoch + 1
    assert (second.next_sequence, second.acknowledged) == (4, 0)
    assert (await claimed(heir, second))[:3] == before
    assert places(await claimed(heir, second)) == numbered(drafts)


async def test_rows_written_by_many_at_once_are_each_drawn_once(outbox: Outbox, write: Write) -> None:
    drafts = [paid() for _ in range(60)]
    lane = await lane_of(outbox)
    seen: list[tuple[int, str]] = []

    async def relay() -> None:
        while len(seen) < len(drafts):
            rows = places(await claimed(outbox, lane, 7))
            seen.extend(rows)
            if rows:
                await outbox.acknowledge([Acknowledgement(lane, rows[-1][0], 0)])

    async with asyncio.timeout(20):
        await asyncio.gather(relay(), *(write(drafts[first : first + 4]) for first in range(0, 60, 4)))
    assert [sequence for sequence, _ in seen] == list(range(1, 61))
    assert {event_id for _, event_id in seen} == {draft.event_id for draft in drafts}


async def test_an_acknowledged_row_is_sent_and_is_claimed_no_more(outbox: Outbox, write: Write) -> None:
    await write([paid() for _ in range(3)])
    lane = await lane_of(outbox)
    await claimed(outbox, lane)
    await outbox.acknowledge([Acknowledgement(lane, 3, 41)])
    assert await claimed(outbox, lane) == []
    again = await lane_of(outbox)
    assert (again.acknowledged, again.acknowledged_offset, again.next_sequence) == (3, 41, 4)
    status = await status_of(outbox)
    assert (status.ready, status.claimed, status.failed, status.sent) == (0, 0, 0, 3)


async def test_an_acknowledgement_that_comes_again_or_late_moves_nothing_back(outbox: Outbox, write: Write) -> None:
    await write([paid() for _ in range(3)])
    lane = await lane_of(outbox)
    await claimed(outbox, lane)
    await outbox.acknowledge([Acknowledgement(lane, 3, 41)])
    await outbox.acknowledge([Acknowledgement(lane, 3, 41)])
    await outbox.acknowledge([Acknowledgement(lane, 1, 39)])
    again = await lane_of(outbox)
    assert (again.acknowledged, again.acknowledged_offset) == (3, 41)


async def test_who_acknowledges_and_goes_on_gets_the_next_rows(outbox: Outbox, write: Write) -> None:
    drafts = [paid() for _ in range(5)]
    await write(drafts)
    lane = await lane_of(outbox)
    await claimed(outbox, lane, 2)
    assert places(await outbox.advance(Acknowledgement(lane, 2, 41), 2)) == numbered(drafts)[2:4]
    again = await lane_of(outbox)
    assert (again.acknowledged, again.acknowledged_offset, again.next_sequence) == (2, 41, 5)
    assert places(await outbox.advance(Acknowledgement(lane, 4, 43), 2)) == numbered(drafts)[4:]
    assert await outbox.advance(Acknowledgement(lane, 5, 44), 2) == []
    status = await status_of(outbox)
    assert (status.ready, status.claimed, status.failed, status.sent) == (0, 0, 0, 5)


async def test_who_goes_on_begins_with_what_is_on_its_way_already(outbox: Outbox, write: Write) -> None:
    drafts = [paid() for _ in range(7)]
    await write(drafts)
    lane = await lane_of(outbox)
    await claimed(outbox, lane, 4)
    assert places(await outbox.advance(Acknowledgement(lane, 2, 1), 4)) == numbered(drafts)[2:6]
    assert places(await outbox.advance(Acknowledgement(lane, 1, 0), 4)) == numbered(drafts)[2:6], (
        "late, and no step back"
    )
    assert (await lane_of(outbox)).acknowledged == 2


async def test_acknowledgements_of_several_lanes_go_together(outbox: Outbox, write: Write) -> None:
    await write([*(listed(f"product {number}") for number in range(20)), paid()])
    held = await outbox.hold_lanes("relay", LONG_S)
    claims = await outbox.claim(held)
    await outbox.acknowledge([Acknowledgement(rows.lane, rows.rows[-1].sequence, 0) for rows in claims])
    assert await outbox.claim(held) == []
    assert sum(status.sent for status in await outbox.lanes()) == 21


async def test_a_lane_has_one_owner_at_a_time(outbox: Outbox, open_outbox: Open[Outbox]) -> None:
    second = await open_outbox()
    (ours, theirs) = await asyncio.gather(outbox.hold_lanes("a", LONG_S), second.hold_lanes("b", LONG_S))
    held = [lane.tp for lane in [*ours, *theirs]]
    assert len(held) == len(set(held)) == sum(LANES.values())


async def test_renewing_keeps_a_lanes_epoch(outbox: Outbox) -> None:
    assert (await lane_of(outbox)).epoch == (await lane_of(outbox)).epoch


async def test_the_owner_of_a_lane_can_be_seen(outbox: Outbox, write: Write, elapse: Elapse) -> None:
    await write([paid()])
    assert (await status_of(outbox)).owner is None
    await outbox.hold_lanes("a", 4 * SHORT_S)
    assert (await status_of(outbox)).owner == "a"
    await elapse(8 * SHORT_S)
    assert (await status_of(outbox)).owner is None


async def test_released_lanes_are_free_at_once(outbox: Outbox) -> None:
    await outbox.hold_lanes("a", LONG_S)
    assert await outbox.hold_lanes("b", LONG_S) == []
    await outbox.release("a")
    assert len(await outbox.hold_lanes("b", LONG_S)) == sum(LANES.values())


@pytest.mark.notified
async def test_waiting_rows_wake_the_relay(outbox: Outbox, open_outbox: Open[Outbox], write: Write) -> None:
    relay = await open_outbox()
    await relay.wait_for_news(0)
    waiting = asyncio.create_task(relay.wait_for_news(10))
    await asyncio.sleep(0.01)
    await write([paid()])
    async with asyncio.timeout(1):
        assert await waiting


async def test_without_a_row_there_is_no_news(outbox: Outbox) -> None:
    await outbox.wait_for_news(0.01)
    assert not await outbox.wait_for_news(0.01)


async def test_the_source_stays_the_same_whoever_opens_the_outbox(outbox: Outbox, open_outbox: Open[Outbox]) -> None:
    source = await outbox.source()
    assert source
    assert await (await open_outbox()).source() == source
    assert (await lane_of(outbox)).source == source


async def test_rows_between_two_sequences_can_be_compared_with_the_log(outbox: Outbox, write: Write) -> None:
    drafts = [paid() for _ in range(6)]
    await write(drafts)
    lane = await lane_of(outbox)
    await claimed(outbox, lane, 5)
    await outbox.acknowledge([Acknowledgement(lane, 2, 1)])
    assert [tuple(row) for row in await outbox.rows_between(lane, 2, 4)] == numbered(drafts)[1:4]
    assert [tuple(row) for row in await outbox.rows_between(lane, 5, 99)] == numbered(drafts)[4:5]


async def test_the_oldest_waiting_row_is_the_oldest_one_unsent(outbox: Outbox, write: Write, elapse: Elapse) -> None:
    assert (await status_of(outbox)).oldest_waiting_us is None
    await write([paid()])
    await elapse(0.02)
    await write([paid()])
    lane = await lane_of(outbox)
    oldest = (await status_of(outbox)).oldest_waiting_us
    await claimed(outbox, lane, 1)
    assert (await status_of(outbox)).oldest_waiting_us == oldest
    await outbox.acknowledge([Acknowledgement(lane, 1, 0)])
    assert ((await status_of(outbox)).oldest_waiting_us or 0) - (oldest or 0) >= 15_000
    await claimed(outbox, lane)
    await outbox.acknowledge([Acknowledgement(lane, 2, 1)])
    assert (await status_of(outbox)).oldest_waiting_us is None
