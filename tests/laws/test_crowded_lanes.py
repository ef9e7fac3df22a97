"""A lane of which more waits than goes at once is sent by itself: to its end, and no further than it may go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from event_store.backoff import Backoff
from event_store.memory_log import MemoryLog
from event_store.pause_watch import PauseWatch
from event_store.record import Record, TopicPartition
from event_store.relay import Relay

from .line import TOPICS, Line, in_virtual_time, views
from .test_pauses import HELD, OBEYED_S, Sign
from .test_relay import Interrupted

ROWS = 2
"""Of a lane, on their way together."""
SENT_IN_S = 1.0
CROWD = 20


class _Slow(MemoryLog):
    """Takes a while for the rows of one product."""

    slow: TopicPartition | None = None

    async def append(self, tp: TopicPartition, records: Sequence[Record]) -> int:
        if tp == self.slow:
            await asyncio.sleep(SENT_IN_S)
        return await super().append(tp, records)


async def _crowded(line: Line, backoff: Backoff | None = None) -> tuple[Relay, TopicPartition]:
    """A relay that looks for rows only when it is told of some, and the lane in which many wait."""
    line.log = log = _Slow(line.now_us)
    await line.prepare()
    line.write(views(CROWD, "lantern"))
    log.slow = line.outbox._lane_for(line.codec.draft(views(1, "lantern")[0], line.noon))
    seldom: dict[str, Any] = {"poll_s": 1000.0, "renew_s": 1000.0, "lease_ttl_s": 3000.0}
    relay = line.relay(max_pass_rows=ROWS, backoff=backoff or Backoff(), **seldom)
    return relay, log.slow


async def _sent(line: Line, tp: TopicPartition) -> int:
    return next(one.sent for one in await line.outbox.lanes() if one.tp == tp)


def test_a_crowded_lane_goes_to_its_end_and_rows_of_others_go_meanwhile_as_they_come() -> None:
    async def crowded(line: Line) -> None:
        (relay, tp) = await _crowded(line)
        stop = asyncio.Event()
        running = asyncio.create_task(relay.run(stop))
        for second in range(1, 9):
            await asyncio.sleep(SENT_IN_S)
            assert await _sent(line, tp) in {ROWS * second, ROWS * (second - 1)}
            line.write(views(1, "teapot"))
            await asyncio.sleep(0.1 * SENT_IN_S)
            assert sum(one.sent for one in await line.outbox.lanes() if one.tp != tp) == second
        await asyncio.sleep(CROWD / ROWS * SENT_IN_S)
        assert await _sent(line, tp) == CROWD
        assert line.observed.tally["published"] == len(line.shown()) == CROWD + 8
        stop.set()
        await running

    in_virtual_time(crowded)


def test_a_relay_told_to_stop_ends_with_the_rows_that_are_on_their_way() -> None:
    async def stopped(line: Line) -> None:
        (relay, tp) = await _crowded(line)
        stop = asyncio.Event()
        running = asyncio.create_task(relay.run(stop))
        await asyncio.sleep(2.5 * SENT_IN_S)
        stop.set()
        await asyncio.wait_for(running, SENT_IN_S)
        assert await _sent(line, tp) == len(line.shown()) == 3 * ROWS
        [lane] = [one for one in await line.outbox.lanes() if one.tp == tp]
        assert (lane.claimed, lane.ready) == (0, CROWD - 3 * ROWS)

    in_virtual_time(stopped)


def test_a_pause_holds_up_what_waits_in_a_crowded_lane() -> None:
    async def paused(line: Line) -> None:
        (relay, tp) = await _crowded(line)
        sign = Sign()
        relay.pause = PauseWatch(sign.look, sign, every_s=0.1)
        stop = asyncio.Event()
        running = asyncio.create_task(relay.run(stop))
        await asyncio.sleep(2.5 * SENT_IN_S)
        sign.pause = HELD
        await asyncio.sleep(OBEYED_S + SENT_IN_S)
        held = await _sent(line, tp)
        await asyncio.sleep(100.0)
        assert await _sent(line, tp) == held < CROWD
        sign.pause = None
        await asyncio.sleep(OBEYED_S + CROWD)
        assert await _sent(line, tp) == len(line.shown()) == CROWD
        stop.set()
        await running

    in_virtual_time(paused)


def test_a_crowded_lane_goes_no_further_once_the_database_may_be_an_older_copy() -> None:
    async def put_back(line: Line) -> None:
        line.outbox = outbox = Interrupted(TOPICS, line.now_us)
        long_s = 4.0 * SENT_IN_S
        (relay, tp) = await _crowded(line, Backoff(long_s, long_s))
        stop = asyncio.Event()
        running = asyncio.create_task(relay.run(stop))
        await asyncio.sleep(1.5 * SENT_IN_S)
        copy = outbox.export()
        await asyncio.sleep(2.0 * SENT_IN_S)
        outbox.restore(copy)
        outbox.away = True  # For who looks for rows; the lane that goes on doesn't notice.
        line.write(views(1, "teapot"))
        await asyncio.sleep(0.1 * SENT_IN_S)
        outbox.away = False
        await asyncio.sleep(10.0 * SENT_IN_S)
        assert line.observed.stops
        assert len([one for one in line.log._partitions[tp].values if one]) == 4 * ROWS
        stop.set()
        await running

    in_virtual_time(put_back)
