"""What every outbox promises when something fails (event_store/outbox.py): epochs, failures, dead rows, old copies."""

from __future__ import annotations

from event_store.codec import Draft
from event_store.outbox import Acknowledgement, DeadRow, Lane, Outbox

from .conftest import Elapse, Write
from .outbox_rows import LONG_S, ORDERS, SHORT_S, claimed, lane_of, listed, numbered, paid, places, status_of, withheld


async def lane_lost(outbox: Outbox, elapse: Elapse) -> Lane:
    """The lane as a relay still believes to hold it, after another has taken it."""
    paused = {lane.tp: lane for lane in await outbox.hold_lanes("paused", SHORT_S)}[ORDERS]
    await claimed(outbox, paused)
    await elapse(2 * SHORT_S)
    await outbox.hold_lanes("heir", LONG_S)
    return paused


async def bury_first(outbox: Outbox, drafts: list[Draft], write: Write) -> DeadRow:
    await write(drafts)
    lane = await lane_of(outbox)
    await claimed(outbox, lane)
    await outbox.bury(lane, 1, "too large", withheld(drafts[0].event_id))
    [dead] = await outbox.dead()
    return dead


async def test_a_relay_that_lost_its_lane_claims_nothing_of_it(outbox: Outbox, write: Write, elapse: Elapse) -> None:
    await write([paid()])
    assert await outbox.claim([await lane_lost(outbox, elapse)]) == []


async def test_a_relay_that_lost_its_lane_acknowledges_nothing_of_it(
    outbox: Outbox, write: Write, elapse: Elapse
) -> None:
    await write([paid()])
    lost = await lane_lost(outbox, elapse)
    await outbox.acknowledge([Acknowledgement(lost, 1, 7)])
    assert (await status_of(outbox)).sent == 0
    await write([paid()])
    assert await outbox.advance(Acknowledgement(lost, 1, 7)) == []
    assert ((await status_of(outbox)).sent, (await status_of(outbox)).ready) == (0, 1)


async def test_a_lost_lane_keeps_no_other_lane_from_being_acknowledged(
    outbox: Outbox, write: Write, elapse: Elapse
) -> None:
    await write([paid(), *(listed(f"product {number}") for number in range(20))])
    lost = await lane_lost(outbox, elapse)
    held = await outbox.hold_lanes("heir", LONG_S)
    others = [rows for rows in await outbox.claim(held) if rows.lane.tp != ORDERS]
    await outbox.acknowledge(
        [Acknowledgement(lost, 1, 0), *(Acknowledgement(rows.lane, rows.rows[-1].sequence, 0) for rows in others)]
    )
    assert {status.tp: status.sent for status in await outbox.lanes()} == {
        ORDERS: 0,
        **{rows.lane.tp: len(rows.rows) for rows in others},
    }


async def test_a_relay_that_lost_its_lane_can_neither_fail_nor_bury_its_rows(
    outbox: Outbox, write: Write, elapse: Elapse
) -> None:
    await write([draft := paid()])
    lost = await lane_lost(outbox, elapse)
    await outbox.note_failure(lost, "no route to the log", 60)
    await outbox.bury(lost, 1, "too large", withheld(draft.event_id))
    status = await status_of(outbox)
    assert (status.failures, status.error, status.dead) == (0, None, 0)
    assert places(await claimed(outbox, await lane_of(outbox, "heir"))) == numbered([draft])


async def test_an_earlier_process_of_the_same_name_can_act_no_more(outbox: Outbox, write: Write) -> None:
    await write([paid()])
    before = await lane_of(outbox)
    await claimed(outbox, before)
    await outbox.take_over("relay")
    await outbox.acknowledge([Acknowledgement(before, 1, 0)])
    assert await outbox.claim([before]) == []
    after = await lane_of(outbox)
    assert (after.epoch > before.epoch, after.acknowledged) == (True, 0)


async def test_a_failure_is_seen_with_its_error_and_its_rows(outbox: Outbox, write: Write) -> None:
    await write([paid(), paid(), paid()])
    lane = await lane_of(outbox)
    await claimed(outbox, lane, 2)
    await outbox.note_failure(lane, "no route to the log", 60)
    status = await status_of(outbox)
    assert (status.ready, status.claimed, status.failed, status.sent) == (1, 0, 2, 0)
    assert (status.failures, status.error) == (1, "no route to the log")


async def test_a_failed_lane_says_how_long_it_still_waits(outbox: Outbox, write: Write, elapse: Elapse) -> None:
    await write([paid()])
    lane = await lane_of(outbox)
    assert (lane.retry_in_s, lane.failures) == (0, 0)
    await claimed(outbox, lane)
    await outbox.note_failure(lane, "no route to the log", 0.2)
    await outbox.note_failure(lane, "no route to the log", 0.2)
    waiting = await lane_of(outbox)
    assert (0 < waiting.retry_in_s <= 0.25, waiting.failures) == (True, 2)
    await elapse(0.3)
    assert (await lane_of(outbox)).retry_in_s == 0


async def test_an_acknowledgement_ends_a_failure(outbox: Outbox, write: Write) -> None:
    await write([paid()])
    lane = await lane_of(outbox)
    await claimed(outbox, lane)
    await outbox.note_failure(lane, "no route to the log", 60)
    await outbox.acknowledge([Acknowledgement(lane, 1, 0)])
    status = await status_of(outbox)
    assert (status.failed, status.failures, status.error) == (0, 0, None)
    assert (await lane_of(outbox)).retry_in_s == 0


async def test_a_dead_row_is_kept_whole_with_its_reason(outbox: Outbox, write: Write) -> None:
    dead = await bury_first(outbox, [draft := paid()], write)
    assert (dead.tp, dead.sequence, dead.reason, dead.redriven_at_us) == (ORDERS, 1, "too large", None)
    assert (dead.event_id, dead.key, dead.payload) == (draft.event_id, draft.key, draft.payload)
    assert dead.died_at_us > 1_600_000_000_000_000
    assert (await status_of(outbox)).dead == 1


async def test_a_record_that_says_so_takes_the_place_of_a_dead_row(outbox: Outbox, write: Write) -> None:
    drafts = [paid(), paid()]
    await write(drafts)
    lane = await lane_of(outbox)
    await claimed(outbox, lane)
    stand_in = withheld(drafts[0].event_id)
    await outbox.bury(lane, 1, "too large", stand_in)
    rows = await claimed(outbox, lane)
    assert places(rows) == [(1, stand_in.event_id), (2, drafts[1].event_id)]
    assert rows[0].payload == stand_in.payload


async def test_a_row_that_was_acknowledged_is_buried_no_more(outbox: Outbox, write: Write) -> None:
    """A relay that lost its answer and was refused at the second attempt: the log has the row all the same."""
    drafts = [paid(), paid()]
    await write(drafts)
    lane = await lane_of(outbox)
    await claimed(outbox, lane)
    await outbox.acknowledge([Acknowledgement(lane, 1, 0)])
    for sequence in (1, 3):
        await outbox.bury(lane, sequence, "too large", withheld(drafts[0].event_id))
    assert await outbox.dead() == []
    assert (await status_of(outbox)).dead == 0
    assert list(await outbox.rows_between(lane, 1, 2)) == numbered(drafts)


async def test_a_dead_row_is_driven_again_once_as_a_new_row_with_a_new_sequence(outbox: Outbox, write: Write) -> None:
    drafts = [paid(), paid()]
    dead = await bury_first(outbox, drafts, write)
    assert await outbox.redrive([dead.id, dead.id, dead.id + 1]) == 1
    assert await outbox.redrive([dead.id]) == 0
    last = (await claimed(outbox, await lane_of(outbox)))[-1]
    assert (last.sequence, last.event_id) == (3, drafts[0].event_id)
    assert (last.key, last.payload) == (drafts[0].key, drafts[0].payload)
    [kept] = await outbox.dead()
    assert kept.redriven_at_us is not None
    assert (await status_of(outbox)).dead == 0


async def test_cleaning_deletes_sent_rows_and_no_others(outbox: Outbox, write: Write, elapse: Elapse) -> None:
    drafts = [paid() for _ in range(5)]
    await write(drafts)
    lane = await lane_of(outbox)
    await claimed(outbox, lane, 4)
    await outbox.acknowledge([Acknowledgement(lane, 3, 2)])
    await elapse(0.02)
    assert await outbox.clean(0.01) == 3
    assert await outbox.clean(0.01) == 0
    assert places(await claimed(outbox, lane)) == numbered(drafts)[3:]
    assert (await status_of(outbox)).sent == 3


async def test_cleaning_keeps_what_was_recorded_a_short_while_ago(outbox: Outbox, write: Write) -> None:
    await write([paid()])
    lane = await lane_of(outbox)
    await claimed(outbox, lane)
    await outbox.acknowledge([Acknowledgement(lane, 1, 0)])
    assert await outbox.clean(60) == 0
    assert len(await outbox.rows_between(lane, 1, 1)) == 1


async def test_one_cleaning_deletes_no_more_rows_than_asked_for(outbox: Outbox, write: Write, elapse: Elapse) -> None:
    await write([paid() for _ in range(5)])
    lane = await lane_of(outbox)
    await claimed(outbox, lane)
    await outbox.acknowledge([Acknowledgement(lane, 5, 4)])
    await elapse(0.02)
    assert [await outbox.clean(0.01, most=2) for _ in range(4)] == [2, 2, 1, 0]


async def test_a_lane_that_is_stuck_keeps_no_other_lane_from_being_cleaned(
    outbox: Outbox, write: Write, elapse: Elapse
) -> None:
    await write([listed("85123A"), listed("85123A"), paid()])
    lane = await lane_of(outbox)
    await claimed(outbox, lane)
    await outbox.acknowledge([Acknowledgement(lane, 1, 0)])
    await elapse(0.02)
    assert await outbox.clean(0.01, most=1) == 1


async def test_unsent_ids_are_those_of_rows_waiting_or_not_acknowledged(outbox: Outbox, write: Write) -> None:
    drafts = [paid() for _ in range(4)]
    await write(drafts)
    lane = await lane_of(outbox)
    await claimed(outbox, lane, 3)
    await outbox.acknowledge([Acknowledgement(lane, 1, 0)])
    assert sorted(await outbox.unsent_ids()) == sorted((ORDERS, draft.event_id) for draft in drafts[1:])


async def test_a_new_incarnation_sends_what_is_unsent_from_sequence_one(outbox: Outbox, write: Write) -> None:
    drafts = [paid() for _ in range(5)]
    await write(drafts)
    lane = await lane_of(outbox)
    await claimed(outbox, lane, 3)
    await outbox.acknowledge([Acknowledgement(lane, 1, 0)])
    before = await outbox.source()
    source = await outbox.reincarnate([drafts[2].event_id, "known to the log alone"])
    assert source == await outbox.source() != before
    again = await lane_of(outbox)
    assert (again.source, again.next_sequence, again.acknowledged) == (source, 1, 0)
    rows = await claimed(outbox, again)
    assert [row.sequence for row in rows] == [1, 2, 3]
    assert {row.event_id for row in rows} == {drafts[index].event_id for index in (1, 3, 4)}


async def test_a_new_incarnation_forgets_failures(outbox: Outbox, write: Write) -> None:
    await write([paid()])
    lane = await lane_of(outbox)
    await claimed(outbox, lane)
    await outbox.note_failure(lane, "the lane is ahead of this database", 60)
    await outbox.reincarnate([])
    again = await lane_of(outbox)
    assert (again.failures, again.retry_in_s) == (0, 0)


async def test_what_an_earlier_incarnation_sent_counts_for_nothing_in_the_next(outbox: Outbox, write: Write) -> None:
    await write([paid(), paid()])
    lane = await lane_of(outbox)
    await claimed(outbox, lane)
    await outbox.reincarnate([])
    await claimed(outbox, await lane_of(outbox))
    await outbox.acknowledge([Acknowledgement(lane, 2, 1)])
    assert await outbox.advance(Acknowledgement(lane, 2, 1)) == []
    assert (await status_of(outbox)).sent == 0


async def test_nothing_is_claimed_in_the_name_of_an_earlier_incarnation(outbox: Outbox, write: Write) -> None:
    await write([paid()])
    lane = await lane_of(outbox)
    source = await outbox.reincarnate([])
    assert all(rows.lane.source == source for rows in await outbox.claim([lane]))
