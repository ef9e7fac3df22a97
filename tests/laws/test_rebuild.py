"""A rebuild in trouble: it goes on where it can, says what stopped it, and leaves the serving figures as they were."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from event_store.backoff import Backoff
from event_store.envelope import format_time
from event_store.errors import LogUnavailable, StorageUnavailable
from event_store.history import History
from event_store.log import Bounds
from event_store.memory_log import MemoryLog
from event_store.record import RecordBatch, TopicPartition
from projections.memory_read_model import MemoryReadModel
from projections.pace import Pace
from projections.read_model import Effect, Snapshot, State
from projections.rebuild import MAX_FAILURES, Rebuild

from .line import NOON, TPS, Line, assert_figures, views


def _rebuild(line: Line, figures: Any = None, log: Any = None) -> Rebuild:
    history = line.history()
    history = History(log, history.archive, history.codec) if log is not None else history
    return line.rebuild(history, figures, backoff=Backoff(0.001, 0.002))


async def _counted(line: Line) -> None:
    line.write([*views(5, "lantern"), *views(5, "teapot")])
    await line.relay_all()
    await line.count_all()


async def test_a_foreign_event_that_stands_in_two_partitions_is_counted_once_by_a_rebuild_too(line: Line) -> None:
    event = {
        "specversion": "1.0",
        "type": "com.countinghouse.catalog.ProductView.v1",
        "source": "/partner",
        "id": "1",
        "time": format_time(NOON),
        "data": {"product_id": "lantern", "visitor_id": "v", "currency": "GBP"},
    }
    for tp in TPS:
        await line.append(tp, [json.dumps(event).encode()])
    await line.count_all()
    await _rebuild(line).run("prove it")
    assert await line.read_model.serving() == 2
    await assert_figures(line.read_model, line.oracle())
    assert line.oracle().rows("interest")[(1767182400, "lantern", "GBP")] == (1, 0)


class _AwayLog:
    """A log that can be read `reads` times more and is away then."""

    def __init__(self, log: MemoryLog, reads: int) -> None:
        self._log = log
        self._reads = reads

    async def read(self, tp: TopicPartition, offset: int, max_records: int = 3000) -> RecordBatch:
        self._reads -= 1
        if self._reads < 0:
            raise LogUnavailable("away")
        return await self._log.read(tp, offset, max_records)

    async def topics(self) -> Mapping[str, int]:
        return await self._log.topics()

    async def bounds(self, tps: Iterable[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        return await self._log.bounds(tps)


async def test_a_rebuild_says_what_stopped_it_and_is_abandoned(line: Line) -> None:
    await _counted(line)
    before = await line.read_model.rows(1, "interest")
    with pytest.raises(LogUnavailable):
        await _rebuild(line, log=_AwayLog(line.log, 1)).run("prove it")
    states = {one.number: one.state for one in await line.read_model.generations()}
    assert states == {1: State.SERVING, 2: State.ABANDONED}
    assert (await line.read_model.rows(1, "interest")).equals(before)


class _Failing(MemoryReadModel):
    """Figures whose n-th call of a kind fails, before or after it acted."""

    def __init__(self, line: Line, name: str, failing: range, *, acted: bool) -> None:
        super().__init__(line.now_us)
        self._name = name
        self._failing = failing
        self._acted = acted
        self._calls: Counter[str] = Counter()
        self.armed = False

    async def commit(self, effect: Effect, *, serving: bool) -> None:
        await self._call("commit", super().commit(effect, serving=serving))

    async def switch(self, to: int, note: str) -> None:
        await self._call("switch", super().switch(to, note))

    async def _call(self, name: str, call: Any) -> None:
        fails = self.armed and name == self._name and self._calls[name] in self._failing
        self._calls[name] += self.armed
        if fails and not self._acted:
            call.close()
            raise StorageUnavailable("simulated")
        await call
        if fails:
            raise StorageUnavailable("simulated, and it acted")


@pytest.mark.parametrize("acted", [False, True], ids=["before it acted", "after it acted"])
@pytest.mark.parametrize("failing", [range(1), range(1, 3), range(MAX_FAILURES)], ids=str)
async def test_storage_that_fails_for_a_moment_does_not_end_a_rebuild(
    line: Line, failing: range, *, acted: bool
) -> None:
    figures = _Failing(line, "commit", failing, acted=acted)
    line.read_model = figures
    await _counted(line)
    figures.armed = True
    rebuilt = await _rebuild(line, figures).run("prove it")
    assert await figures.serving() == 2
    assert line.observed.comparisons[-1].equal
    await assert_figures(figures, line.oracle())
    _says_what_was_counted(line, rebuilt.records, 10)


async def test_a_rebuild_says_all_that_it_counted_what_came_meanwhile_included(line: Line) -> None:
    figures = _Growing(line)
    line.read_model = figures
    await _counted(line)
    rebuilt = await _rebuild(line, figures).run("prove it")
    assert figures.grown == 2
    assert sum(line.observed.comparisons[-1].positions.values()) == 12
    _says_what_was_counted(line, rebuilt.records, 14)


async def test_a_rollback_says_what_it_had_to_catch_up(line: Line) -> None:
    await _counted(line)
    await _rebuild(line).run("prove it")
    line.write(views(3))
    await line.relay_all()
    await line.count_all()
    rolled_back = await _rebuild(line).roll_back("it was better before")
    assert (rolled_back.generation, rolled_back.records) == (1, 3)


def _says_what_was_counted(line: Line, said: int, expected: int) -> None:
    """In its closing words and all the way there."""
    counted = [counted for counted, _ in line.observed.progress]
    assert said == expected
    assert counted == sorted(set(counted))
    assert line.observed.progress[-1] == (expected, expected)


class _Growing(MemoryReadModel):
    """Figures into which the live consumer counts two more events at each snapshot and switch of a rebuild."""

    grown = 0

    def __init__(self, line: Line) -> None:
        super().__init__(line.now_us)
        self._line = line

    async def snapshot(self, generation: int) -> Snapshot:
        await self._grow(generation == 1)
        return await super().snapshot(generation)

    async def switch(self, to: int, note: str) -> None:
        await self._grow(self.grown == 1)
        await super().switch(to, note)

    async def _grow(self, now: bool) -> None:
        if now:
            self.grown += 1
            self._line.write(views(2))
            await self._line.relay_all()
            await self._line.count_all()


async def test_storage_that_stays_away_ends_a_rebuild_by_name(line: Line) -> None:
    figures = _Failing(line, "commit", range(1000), acted=False)
    line.read_model = figures
    await _counted(line)
    figures.armed = True
    with pytest.raises(StorageUnavailable):
        await _rebuild(line, figures).run("prove it")
    assert await figures.serving() == 1


async def test_a_switch_reported_failed_that_went_through_is_taken_for_what_it_is(line: Line) -> None:
    figures = _Failing(line, "switch", range(1), acted=True)
    line.read_model = figures
    await _counted(line)
    figures.armed = True
    rebuilt = await _rebuild(line, figures).run("prove it")
    assert (rebuilt.generation, await figures.serving()) == (2, 2)
    assert line.observed.tally["switched"] == 1


async def test_a_switch_that_failed_leaves_the_old_figures_serving(line: Line) -> None:
    figures = _Failing(line, "switch", range(1), acted=False)
    line.read_model = figures
    await _counted(line)
    figures.armed = True
    with pytest.raises(StorageUnavailable):
        await _rebuild(line, figures).run("prove it")
    states = {one.number: one.state for one in await figures.generations()}
    assert states == {1: State.SERVING, 2: State.ABANDONED}


async def test_a_rebuild_at_a_pace_counts_no_faster_up_to_the_comparison(line: Line) -> None:
    await _counted(line)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await line.rebuild(pace=Pace(2.0, clock=lambda: 0.0, sleep=sleep)).run("in the background")
    counted = [end.end for end in (await line.log.bounds(TPS)).values() if end.end]
    assert len(slept) == len(counted) - 1, "a batch for each partition, and the first of them waits for nobody"
    assert max(slept) in {(sum(counted) - last) / 2.0 for last in counted}, "the last begins after all others' time"
    assert await line.read_model.serving() == 2


async def test_a_rebuild_that_is_cancelled_drops_what_it_counted_and_gives_its_lease_back(line: Line) -> None:
    await _counted(line)
    reached = asyncio.Event()

    async def stand_still(_: float) -> None:
        reached.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(line.rebuild(pace=Pace(1.0, lambda: 0.0, stand_still)).run("prove it"))
    await reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    (first, second) = await line.read_model.generations()
    assert (first.state, second.state) == (State.SERVING, State.ABANDONED)
    assert second.note == "prove it: cancelled"
    await line.rebuild().run("again")
    assert await line.read_model.serving() == 3


async def test_a_rebuild_that_is_cancelled_while_it_switches_says_that_it_has_switched(line: Line) -> None:
    await _counted(line)
    figures = line.read_model
    switched = asyncio.Event()
    switch = figures.switch

    async def switch_and_hang(to: int, note: str) -> None:
        await switch(to, note)
        switched.set()
        await asyncio.Event().wait()

    figures.switch = switch_and_hang  # type: ignore[method-assign]
    running = asyncio.create_task(line.rebuild().run("prove it"))
    await switched.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert line.observed.tally["switched"] == 1
    assert await figures.serving() == 2
