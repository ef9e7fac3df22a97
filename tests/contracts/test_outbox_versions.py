"""What every outbox promises about versions of a topic: new rows go to the newest, and none is left behind."""

from __future__ import annotations

from typing import Any

from event_store.outbox import Acknowledgement, Outbox
from event_store.record import TopicPartition
from event_store.topics import partition_for

from .conftest import Open, Write
from .outbox_rows import LONG_S, ORDERS, claimed, lane_of, numbered, paid, places, status_of

SECOND = "order-events.v2"


async def _lanes(outbox: Outbox, topic: str) -> list[int]:
    return [one.tp.partition for one in await outbox.lanes() if one.tp.topic == topic]


async def _all_claimed(outbox: Outbox) -> dict[str, TopicPartition]:
    """Event id → the lane in which it waits."""
    held = await outbox.hold_lanes("relay", LONG_S)
    return {row.event_id: rows.lane.tp for rows in await outbox.claim(held) for row in rows.rows}


async def test_rows_go_to_the_newest_version_from_the_moment_it_has_lanes(outbox: Outbox, write: Write) -> None:
    (before, after) = ([paid() for _ in range(3)], [paid() for _ in range(20)])
    await write(before)
    await outbox.add_topic(SECOND, 4)
    await write(after)
    assert await _all_claimed(outbox) == {
        **{draft.event_id: ORDERS for draft in before},
        **{draft.event_id: TopicPartition(SECOND, partition_for(draft.key.encode(), 4)) for draft in after},
    }


async def test_a_writer_that_was_there_before_sees_the_new_version(
    outbox: Outbox, write: Write, open_outbox: Open[Any]
) -> None:
    """As the API, whose connection remembers lanes, sees what `topics migrate` did."""
    await write([paid()])
    other = await open_outbox()
    await other.add_topic(SECOND, 4)
    drafts = [paid() for _ in range(5)]
    await write(drafts)
    await write([])
    waiting = await _all_claimed(other)
    assert {waiting[draft.event_id].topic for draft in drafts} == {SECOND}


async def test_the_tenth_version_is_newer_than_the_second(outbox: Outbox, write: Write) -> None:
    for version in (2, 10, 9):
        await outbox.add_topic(f"order-events.v{version}", 2)
    draft = paid()
    await write([draft])
    assert (await _all_claimed(outbox))[draft.event_id].topic == "order-events.v10"


async def test_adding_a_version_again_changes_nothing(outbox: Outbox, write: Write) -> None:
    await outbox.add_topic(SECOND, 2)
    drafts = [paid() for _ in range(10)]
    await write(drafts)
    waiting = await _all_claimed(outbox)
    await outbox.add_topic(SECOND, 2)
    assert await _lanes(outbox, SECOND) == [0, 1]
    assert await _all_claimed(outbox) == waiting


async def test_lanes_of_an_older_version_are_sent_as_before(outbox: Outbox, write: Write) -> None:
    drafts = [paid() for _ in range(3)]
    await write(drafts)
    lane = await lane_of(outbox)
    assert places(await claimed(outbox, lane, 2)) == numbered(drafts[:2])
    await outbox.add_topic(SECOND, 1)
    await outbox.acknowledge([Acknowledgement(lane, 2, 1)])
    assert places(await claimed(outbox, lane)) == [(3, drafts[2].event_id)]
    await outbox.acknowledge([Acknowledgement(lane, 3, 2)])
    status = await status_of(outbox)
    assert (status.ready, status.claimed, status.failed, status.sent) == (0, 0, 0, 3)


async def test_another_topics_rows_stay_where_they_are(outbox: Outbox, write: Write) -> None:
    await outbox.add_topic("catalog-events.v2", 3)
    draft = paid()
    await write([draft])
    assert await _all_claimed(outbox) == {draft.event_id: ORDERS}
