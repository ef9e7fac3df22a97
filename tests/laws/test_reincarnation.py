"""A commerce database put back from an older copy: refused, begun anew, and nothing lost or counted twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_store.codec import Draft
from event_store.envelope import stamp
from event_store.errors import LaneAhead, LeaseLost
from event_store.memory_log import MemoryLog
from event_store.memory_outbox import OutboxContents
from event_store.record import RecordBatch, TopicPartition
from event_store.reincarnation import Reincarnation, reincarnate

from .line import Line, assert_figures, in_virtual_time, views


async def _reincarnate(line: Line) -> Reincarnation:
    await asyncio.sleep(60.0)  # Whoever relayed is gone, and its leases with it.
    return await reincarnate(line.outbox, line.log, line.codec, "operator")


async def _outdated_copy(line: Line, before: int, after: int) -> OutboxContents:
    """As many events sent before the copy is made and after it."""
    line.write(views(before))
    await line.relay_all()
    copy = line.outbox.export()
    line.write(views(after))
    await line.relay_all()
    return copy


async def _all_is_counted_once(line: Line, drafts: Sequence[Draft]) -> None:
    """Every event of `drafts`, and every other one that the log shows, is in the figures exactly once."""
    await line.relay_all()
    assert not [status for status in await line.outbox.lanes() if status.ready or status.claimed]
    assert {draft.event_id for draft in drafts} <= line.oracle().seen
    await line.count_all()
    await assert_figures(line.read_model, line.oracle())
    assert all(not progress.holes for progress in await line.read_model.progress(1))


@given(
    before=st.integers(0, 4),
    claimed=st.integers(0, 3),
    unsent=st.integers(0, 3),
    sent_after=st.integers(1, 6),
    anew=st.integers(0, 4),
    counted=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_an_older_copy_is_refused_and_after_its_reincarnation_all_is_counted_once(
    *, before: int, claimed: int, unsent: int, sent_after: int, anew: int, counted: bool
) -> None:
    async def put_back(line: Line) -> None:
        line.write(views(before))
        await line.relay_all()
        line.write(views(claimed))
        lanes = await line.outbox.hold_lanes("relay", 15.0)
        await line.outbox.claim(lanes)
        line.write(views(unsent))
        copy = line.outbox.export()
        line.write(views(sent_after))
        await line.relay_all()
        if counted:
            await line.count_all()
        ends = len(line.shown())
        line.outbox.restore(copy)
        drafts = line.write(views(anew))
        await asyncio.sleep(60.0)
        assert await line.relay("another").pass_once() == 0
        assert [type(stop) for stop in line.observed.stops] == [LaneAhead]
        assert "countinghouse outbox reincarnate" in str(line.observed.stops[0])
        assert len(line.shown()) == ends
        begun = await _reincarnate(line)
        assert begun.already_sent == claimed + unsent
        assert begun.waiting == anew
        await _all_is_counted_once(line, drafts)

    in_virtual_time(put_back)


@pytest.mark.parametrize("times", [2, 3])
def test_a_copy_put_back_several_times_ends_well_too(times: int) -> None:
    """The second one has the same next incarnation as the first had, whose sequences the log knows already."""

    async def put_back(line: Line) -> None:
        copy = await _outdated_copy(line, 3, 3)
        for _ in range(times):
            line.outbox.restore(copy)
            drafts = line.write(views(2))
            for _ in range(times + 1):
                line.observed.stops.clear()
                await asyncio.sleep(60.0)
                await line.relay(f"relay at {line.clock()}").pass_once()
                if not line.observed.stops:
                    break
                await _reincarnate(line)
            await _all_is_counted_once(line, drafts)

    in_virtual_time(put_back)


def test_events_that_took_numbers_a_second_time_are_sent_again() -> None:
    """A relay that did not look has sent some: the reader took those for duplicates, so they count as not sent."""

    async def draw_again(line: Line) -> None:
        copy = await _outdated_copy(line, 2, 3)
        await line.count_all()
        line.outbox.restore(copy)
        drafts = line.write(views(4))
        await asyncio.sleep(60.0)
        (claimed,) = await line.outbox.claim(await line.outbox.hold_lanes("careless", 15.0))
        assert [row.sequence for row in claimed.rows] == [3, 4, 5, 6]
        values = [stamp(row.payload, claimed.lane.source, row.sequence) for row in claimed.rows]
        await line.append(claimed.lane.tp, values)
        await line.count_all()
        begun = await _reincarnate(line)
        assert (begun.already_sent, begun.waiting) == (1, 3)
        await _all_is_counted_once(line, drafts)

    in_virtual_time(draw_again)


def test_drawn_numbers_that_the_log_knows_by_other_events_are_refused() -> None:
    """Even where the copy has drawn further than the log goes."""

    async def draw_further(line: Line) -> None:
        copy = await _outdated_copy(line, 2, 3)
        line.outbox.restore(copy)
        drafts = line.write(views(9))
        await asyncio.sleep(60.0)
        await line.outbox.claim(await line.outbox.hold_lanes("careless", 15.0))
        await asyncio.sleep(60.0)
        assert await line.relay("another").pass_once() == 0
        assert "another event under sequence 3" in str(line.observed.stops[0])
        await _reincarnate(line)
        await _all_is_counted_once(line, drafts)

    in_virtual_time(draw_further)


def test_reincarnation_waits_for_a_relay_that_still_runs() -> None:
    async def still_running(line: Line) -> None:
        line.write(views(2))
        await line.relay_all()
        with pytest.raises(LeaseLost, match="relay"):
            await reincarnate(line.outbox, line.log, line.codec, "operator")
        assert await line.outbox.source() == "/countinghouse/commerce/1"

    in_virtual_time(still_running)


class _SlowLog(MemoryLog):
    async def read(self, tp: TopicPartition, offset: int, max_records: int = 3000) -> RecordBatch:
        await asyncio.sleep(20.0)
        return await super().read(tp, offset, max_records)


def test_reincarnation_that_took_longer_than_its_leases_changes_nothing() -> None:
    """Meanwhile a relay may have had the lanes, and sent what the new incarnation would send once more."""

    async def too_slow(line: Line) -> None:
        line.write(views(2))
        slow = _SlowLog(line.now_us)
        await slow.create_topic("catalog-events", 2)
        await slow.create_topic("order-events", 2)
        beginning = asyncio.create_task(reincarnate(line.outbox, slow, line.codec, "operator", lease_ttl_s=10.0))
        await asyncio.sleep(15.0)
        await line.relay_all()
        with pytest.raises(LeaseLost):
            await beginning
        assert await line.outbox.source() == "/countinghouse/commerce/1"

    in_virtual_time(too_slow)
