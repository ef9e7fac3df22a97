"""What every outbox promises whoever writes an event at most once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from event_store.errors import UnknownTopic
from event_store.events import RecordWithheld
from event_store.outbox import Acknowledgement, Outbox

from .conftest import Elapse, Open
from .outbox_rows import ORDERS, claimed, lane_of, paid, status_of, withheld


async def test_an_event_is_written_once_whoever_asks_again(outbox: Outbox, open_outbox: Open[Outbox]) -> None:
    (one, another) = (paid(), paid())
    assert await outbox.write_once(one)
    for again in (outbox, await open_outbox()):
        assert not await again.write_once(one)
        assert not await again.write_once(replace(another, event_id=one.event_id))
    assert await outbox.write_once(another)
    rows = await claimed(outbox, await lane_of(outbox))
    assert [(row.sequence, row.event_id, row.key, row.payload) for row in rows] == [
        (number, draft.event_id, draft.key, draft.payload) for number, draft in enumerate((one, another), start=1)
    ]


async def test_of_many_who_write_at_once_one_does(outbox: Outbox, open_outbox: Open[Outbox]) -> None:
    writers = [outbox, await open_outbox()]
    draft = paid()
    written = await asyncio.gather(*(writers[n % 2].write_once(draft) for n in range(8)))
    assert sorted(written) == [*[False] * 7, True]
    assert (await status_of(outbox)).ready == 1


async def test_an_event_whose_row_was_sent_and_cleaned_up_is_not_written_again(outbox: Outbox, elapse: Elapse) -> None:
    draft = paid()
    await outbox.write_once(draft)
    lane = await lane_of(outbox)
    await claimed(outbox, lane)
    await outbox.acknowledge([Acknowledgement(lane, 1, 0)])
    await elapse(0.01)
    assert await outbox.clean(0) == 1
    assert not await outbox.write_once(draft)
    assert await claimed(outbox, lane) == []


async def test_an_event_that_no_lane_is_for_is_refused_and_not_remembered(outbox: Outbox) -> None:
    draft = paid()
    nowhere = replace(draft, event_type=withheld("x").event_type)
    assert nowhere.event_type.payload is RecordWithheld
    with pytest.raises(UnknownTopic):
        await outbox.write_once(nowhere)
    assert await outbox.write_once(draft)
    assert (await status_of(outbox, ORDERS)).ready == 1
