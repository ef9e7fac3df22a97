"""The relay in trouble: it waits where it should, has no lane on its way twice, and refuses only with reason."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from event_store.backoff import Backoff
from event_store.envelope import stamp
from event_store.errors import LogUnavailable, StorageUnavailable, UnknownTopic
from event_store.memory_log import MemoryLog
from event_store.memory_outbox import MemoryOutbox
from event_store.outbox import Acknowledgement, ClaimedRows, Lane
from event_store.record import Record, TopicPartition

from .line import TOPICS, Line, in_virtual_time, views


def test_an_idle_relay_looks_at_its_outbox_once_a_poll() -> None:
    async def idle(line: Line) -> None:
        outbox = _CountedClaims(TOPICS, line.now_us)
        stop = asyncio.Event()
        running = asyncio.create_task(line.relay(outbox=outbox, poll_s=1.0).run(stop))
        await asyncio.sleep(100.0)
        stop.set()
        await running
        assert 90 <= outbox.claims <= 130

    in_virtual_time(idle)


class _CountedClaims(MemoryOutbox):
    claims = 0

    async def claim(self, lanes: Sequence[Lane], most: int = 1000) -> Sequence[ClaimedRows]:
        self.claims += 1
        return await super().claim(lanes, most)


def test_a_pass_ends_only_when_every_lane_of_it_has_ended() -> None:
    """Else a lane would be on its way twice: from the pass that failed and from the next one."""

    async def one_lane_fails(line: Line) -> None:
        (slow, failing) = (_lane_of(line, "lantern"), _lane_of(line, "teapot"))
        assert slow != failing
        log = _OneSlowOneFailing(line.now_us, slow, failing)
        for topic, partitions in TOPICS.items():
            await log.create_topic(topic, partitions)
        outbox = _FailureCannotBeNoted(TOPICS, line.now_us)
        outbox.write([line.codec.draft(one, line.noon) for one in (*views(1, "lantern"), *views(1, "teapot"))])
        with pytest.raises(StorageUnavailable):
            await line.relay(outbox=outbox, log=log).pass_once()
        assert line.clock() >= 5.0
        sent = {status.tp: status.sent for status in await outbox.lanes()}
        assert (sent[slow], sent[failing]) == (1, 0)

    in_virtual_time(one_lane_fails)


def _lane_of(line: Line, product: str) -> TopicPartition:
    return line.outbox._lane_for(line.codec.draft(views(1, product)[0], line.noon))


class _OneSlowOneFailing(MemoryLog):
    def __init__(self, clock: object, slow: TopicPartition, failing: TopicPartition) -> None:
        super().__init__(clock)  # type: ignore[arg-type]
        self.slow = slow
        self.failing = failing

    async def append(self, tp: TopicPartition, records: Sequence[Record]) -> int:
        if tp == self.failing:
            raise LogUnavailable("not now")
        await asyncio.sleep(5.0)
        return await super().append(tp, records)


def test_a_lane_that_takes_long_holds_up_none_of_the_others_and_is_never_on_its_way_twice() -> None:
    async def one_is_slow(line: Line) -> None:
        (slow, quick) = (_lane_of(line, "lantern"), _lane_of(line, "teapot"))
        log = _OneSlow(line.now_us, slow)
        for topic, partitions in TOPICS.items():
            await log.create_topic(topic, partitions)
        stop = asyncio.Event()
        running = asyncio.create_task(line.relay(log=log, poll_s=1.0, lease_ttl_s=60.0).run(stop))
        line.write([*views(1, "lantern"), *views(1, "teapot")])
        for _ in range(4):
            await asyncio.sleep(2.0)
            line.write([*views(1, "lantern"), *views(1, "teapot")])
        await asyncio.sleep(2.0)
        assert ((await log.bounds([quick]))[quick].end, (await log.bounds([slow]))[slow].end) == (5, 1)
        await asyncio.sleep(60.0)
        stop.set()
        await running
        assert ((await log.bounds([quick]))[quick].end, (await log.bounds([slow]))[slow].end) == (5, 5)
        assert {status.tp: status.sent for status in await line.outbox.lanes() if status.sent} == {slow: 5, quick: 5}

    in_virtual_time(one_is_slow)


class _OneSlow(MemoryLog):
    def __init__(self, clock: object, slow: TopicPartition) -> None:
        super().__init__(clock)  # type: ignore[arg-type]
        self.slow = slow

    async def append(self, tp: TopicPartition, records: Sequence[Record]) -> int:
        offset = await super().append(tp, records)
        if tp == self.slow:
            await asyncio.sleep(20.0)
        return offset


class _FailureCannotBeNoted(MemoryOutbox):
    async def note_failure(self, lane: Lane, error: str, retry_in_s: float) -> None:
        raise StorageUnavailable("not now either")


def test_a_relay_that_starts_before_its_topics_are_made_waits_for_them() -> None:
    async def too_early(line: Line) -> None:
        log = MemoryLog(line.now_us)
        line.write(views(3))
        stop = asyncio.Event()
        running = asyncio.create_task(line.relay(log=log).run(stop))
        await asyncio.sleep(10.0)
        assert any(isinstance(error, UnknownTopic) for error in line.observed.errors)
        for topic, partitions in TOPICS.items():
            await log.create_topic(topic, partitions)
        await asyncio.sleep(10.0)
        stop.set()
        await running
        assert sum(status.sent for status in await line.outbox.lanes()) == 3

    in_virtual_time(too_early)


def test_a_relay_that_lost_its_lane_while_it_looked_takes_nobody_for_an_older_copy() -> None:
    """Its answer about the lane was old: who had the lane since has drawn and sent more, and rightly."""

    async def looked_too_long(line: Line) -> None:
        stale = _SlowToAnswer(line.outbox)
        looking = asyncio.create_task(line.relay("slow", outbox=stale).pass_once())
        await asyncio.sleep(20.0)  # Past the lease.
        line.write(views(3))
        await line.relay_all(line.relay("quick"))
        await looking
        assert not line.observed.stops
        assert all(status.error is None for status in await line.outbox.lanes())

    in_virtual_time(looked_too_long)


class _SlowToAnswer:
    """An outbox whose first answer about its lanes takes longer than a lease."""

    def __init__(self, outbox: MemoryOutbox) -> None:
        self._outbox = outbox
        self._asked = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._outbox, name)

    async def hold_lanes(self, owner: str, ttl_s: float) -> Sequence[Lane]:
        lanes = await self._outbox.hold_lanes(owner, ttl_s)
        self._asked += 1
        if self._asked == 1:
            await asyncio.sleep(30.0)
        return lanes


def test_a_late_acknowledgement_whose_rows_were_cleaned_up_makes_no_older_copy() -> None:
    async def acknowledged_late(line: Line) -> None:
        outbox = _AcknowledgedMeanwhile(TOPICS, line.now_us)
        outbox.write([line.codec.draft(one, line.noon) for one in views(3)])
        (claimed,) = await outbox.claim(await outbox.hold_lanes("relay", 15.0))
        records = [Record(b"lantern", stamp(row.payload, claimed.lane.source, row.sequence)) for row in claimed.rows]
        await line.log.append(claimed.lane.tp, records)
        outbox.late = Acknowledgement(claimed.lane, 3, 2)
        await asyncio.sleep(1.0)
        relay = line.relay(outbox=outbox)
        assert await relay.pass_once() == 0
        assert not line.observed.stops
        outbox.write([line.codec.draft(one, line.noon) for one in views(2)])
        await asyncio.sleep(10.0)
        assert await relay.pass_once() == 2

    in_virtual_time(acknowledged_late)


class _AcknowledgedMeanwhile(MemoryOutbox):
    late: Acknowledgement | None = None

    async def rows_between(self, lane: Lane, first: int, last: int) -> Sequence[tuple[int, str]]:
        if self.late is not None:
            await self.acknowledge([self.late])
            await self.clean(0.0)
        return await super().rows_between(lane, first, last)


def test_a_database_put_back_under_a_running_relay_is_found_out() -> None:
    """Whoever puts it back breaks the relay's connections; the same lease and epoch may be in the copy."""

    async def put_back(line: Line) -> None:
        outbox = Interrupted(TOPICS, line.now_us)
        stop = asyncio.Event()
        running = asyncio.create_task(line.relay(outbox=outbox).run(stop))
        outbox.write([line.codec.draft(one, line.noon) for one in views(3)])
        await asyncio.sleep(5.0)
        copy = outbox.export()
        outbox.write([line.codec.draft(one, line.noon) for one in views(3)])
        await asyncio.sleep(5.0)
        ends = len(line.shown())
        outbox.away = True
        await asyncio.sleep(5.0)
        outbox.restore(copy)
        outbox.away = False
        outbox.write([line.codec.draft(one, line.noon) for one in views(3)])
        await asyncio.sleep(40.0)
        stop.set()
        await running
        assert line.observed.stops
        assert len(line.shown()) == ends == 6

    in_virtual_time(put_back)


class Interrupted(MemoryOutbox):
    away = False

    async def claim(self, lanes: Sequence[Lane], most: int = 1000) -> Sequence[ClaimedRows]:
        if self.away:
            raise StorageUnavailable("the connection broke")
        return await super().claim(lanes, most)


class _Away(MemoryLog):
    """A log that fails at first, and answers slowly then."""

    refusals = 5

    async def append(self, tp: TopicPartition, records: Sequence[Record]) -> int:
        if self.refusals:
            self.refusals -= 1
            raise LogUnavailable("away")
        await asyncio.sleep(5.0)
        return await super().append(tp, records)


@dataclass(slots=True)
class _Replaceable:
    """What stands at the log's address."""

    log: MemoryLog

    def __getattr__(self, name: str) -> Any:
        return getattr(self.log, name)


def test_a_log_made_anew_between_two_passes_is_found_out_by_the_first_rows_that_it_takes() -> None:
    async def made_anew(line: Line) -> None:
        log = _Replaceable(line.log)
        relay = line.relay(log=log)
        line.write(views(3))
        await relay.pass_once()
        log.log = MemoryLog(line.now_us)
        for topic, partitions in TOPICS.items():
            await log.log.create_topic(topic, partitions)
        line.write(views(2))
        for _ in range(3):
            await relay.pass_once()
        [lane] = [one for one in await line.outbox.lanes() if one.sent]
        assert lane.sent == 3
        assert "Restore the log" in (lane.error or "")
        assert (await log.log.bounds([lane.tp]))[lane.tp].end == 2

    in_virtual_time(made_anew)


def test_a_lane_whose_log_is_away_is_tried_again_and_sent_only_when_the_log_says_so() -> None:
    async def away(line: Line) -> None:
        line.log = _Away(line.now_us)
        await line.prepare()
        line.write(views(3))
        (stop, failed) = (asyncio.Event(), 0)
        running = asyncio.create_task(line.relay().run(stop))
        for _ in range(60):
            await asyncio.sleep(1.0)
            (status,) = [one for one in await line.outbox.lanes() if one.ready + one.claimed + one.failed + one.sent]
            assert status.sent == len(line.shown())
            failed += status.failed == 3 and status.error == "away"
        assert failed >= 3
        assert (status.sent, status.failed, status.error) == (3, 0, None)
        stop.set()
        await running

    in_virtual_time(away)


OUTAGE_S = 600.0


class _Unplugged(MemoryLog):
    """A log that is away for those of its partitions that are named."""

    away: frozenset[TopicPartition] = frozenset()
    attempts = 0

    async def append(self, tp: TopicPartition, records: Sequence[Record]) -> int:
        if tp in self.away:
            self.attempts += 1
            raise LogUnavailable("away")
        return await super().append(tp, records)


async def _unplugged(line: Line, *products: str) -> _Unplugged:
    """The line's log from now on, away for the lanes of these products; each has something to send."""
    line.log = log = _Unplugged(line.now_us)
    await line.prepare()
    line.write([one for product in products for one in views(3, product)])
    log.away = frozenset(_lane_of(line, product) for product in products)
    assert len(log.away) == len(products)
    return log


def test_after_a_long_outage_everything_is_sent_within_seconds_and_meanwhile_the_log_is_asked_for_seldom() -> None:
    async def long_away(line: Line) -> None:
        log = await _unplugged(line, "lantern", "teapot")
        stop = asyncio.Event()
        running = asyncio.create_task(line.relay(backoff=Backoff()).run(stop))
        await asyncio.sleep(OUTAGE_S)
        assert OUTAGE_S / 5 <= log.attempts / 2 <= OUTAGE_S / 2.5 + 10
        log.away = frozenset()
        await asyncio.sleep(5.1)
        assert len(line.shown()) == 6
        stop.set()
        await running

    in_virtual_time(long_away)


class _Uneven(Backoff):
    """The first to fail waits a little, everybody else for ages."""

    waits: ClassVar[list[float]] = []

    def wait_s(self, failures: int) -> float:
        self.waits.append(10.0 if not self.waits else 10_000.0)
        return self.waits[-1]


def test_the_first_lane_that_the_log_takes_again_brings_the_others_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Uneven, "waits", [])

    async def back_again(line: Line) -> None:
        log = await _unplugged(line, "lantern", "teapot")
        stop = asyncio.Event()
        running = asyncio.create_task(line.relay(backoff=_Uneven()).run(stop))
        await asyncio.sleep(5.0)
        assert len(_Uneven.waits) == 2
        log.away = frozenset()
        await asyncio.sleep(10.0)
        assert len(line.shown()) == 6
        stop.set()
        await running

    in_virtual_time(back_again)


def test_a_lane_that_alone_fails_is_not_tried_more_often_because_the_others_go() -> None:
    async def one_is_away(line: Line) -> None:
        log = await _unplugged(line, "lantern")
        stop = asyncio.Event()
        running = asyncio.create_task(line.relay(backoff=Backoff()).run(stop))
        for _ in range(600):
            line.write(views(1, "teapot"))
            await asyncio.sleep(OUTAGE_S / 600)
        assert log.attempts <= OUTAGE_S / 2.5 + 10
        assert len(line.shown()) >= 599
        stop.set()
        await running

    in_virtual_time(one_is_away)
