"""The relay's pass and the projector's batch, broken off at every await and failing at every call: still exact."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from backoffice.consumer import Consumer, ConsumerSettings
from event_store.backoff import Backoff
from event_store.errors import EventStoreError, LogUnavailable, StorageUnavailable
from event_store.record import RecordBatch
from projections.catalogue import PROJECTIONS
from projections.projector import Projector
from projections.read_model import ReadModel
from projections.sqlite_read_model import SqliteReadModel
from tests.simulation.virtual_time import VirtualTimeLoop

from .histories import batch_of, events_of_every_kind
from .line import CATALOG, TOPICS, TPS, Line, assert_figures, in_virtual_time

MOST = 200
"""No pass and no batch has more points than this at which it can be broken off."""


async def broken_off(work: Coroutine[Any, Any, Any], after: int) -> bool:
    """Cancels `work` after it gave way `after` times; whether it was still running."""
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for _ in range(after):
        if isinstance(loop, VirtualTimeLoop):
            loop.go_on(0.001)
        await asyncio.sleep(0)
    running = not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return running


def _every(line: Line) -> None:
    line.write([event.payload for event in events_of_every_kind()])


async def _nothing_is_lost_or_out_of_order(line: Line) -> None:
    lanes: dict[Any, list[int]] = {}
    for tp in TPS:
        for value in line.log._partitions[tp].values:
            place = line.codec.place_in_lane(value)
            assert place is not None
            seen = lanes.setdefault(tp, [])
            if place[1] not in seen:
                seen.append(place[1])
    assert all(seen == list(range(1, len(seen) + 1)) for seen in lanes.values())
    assert sum(map(len, lanes.values())) == len(line.oracle().seen)
    assert all(status.ready == status.claimed == 0 for status in await line.outbox.lanes())


@pytest.mark.parametrize("restarted", [True, False])
def test_a_relay_broken_off_at_every_await_goes_on_exactly(*, restarted: bool) -> None:
    async def break_off(line: Line) -> None:
        _every(line)
        relay = line.relay()
        for after in range(MOST):
            running = await broken_off(relay.pass_once(), after)
            await line.relay_all(line.relay() if restarted else relay)
            await _nothing_is_lost_or_out_of_order(line)
            if not running:
                break
            _every(line)
            if restarted:
                relay = line.relay()
        assert 5 < after < MOST - 1
        await line.count_all()
        await assert_figures(line.read_model, line.oracle())

    in_virtual_time(break_off)


async def _break_off_batches(figures: ReadModel, pause: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Breaks each of a row of batches off a little later than the one before, and applies it then."""
    line = Line(lambda: 0, lambda: 0.0)
    projector = Projector(figures, await figures.serving(), True, PROJECTIONS, line.codec)
    kinds = events_of_every_kind()
    shown: list[bytes | None] = []
    for after in range(MOST):
        values = [event.placed("/a", len(shown) + number) for number, event in enumerate(kinds, start=1)]
        batch = batch_of(CATALOG, len(shown), values)
        running = await broken_off(projector.apply(batch), after)
        await pause()
        await _applied_all_the_same(projector, batch)
        shown += values
        assert projector._positions[CATALOG] == await figures.position(1, CATALOG)
        if not running:
            break
    line.log._partitions.clear()
    await line.prepare()
    await line.append(CATALOG, shown)
    await assert_figures(figures, line.oracle())
    assert len(projector.locks) == 0
    return after


async def _applied_all_the_same(projector: Projector, batch: RecordBatch) -> None:
    """What a consumer does then: it reads the position, which says whether the batch went through."""
    if (await projector.position(batch.tp)).next_offset == batch.first_offset:
        await projector.apply(batch)


def test_a_batch_broken_off_at_every_await_is_counted_once() -> None:
    async def break_off(line: Line) -> None:
        points = await _break_off_batches(line.read_model, lambda: asyncio.sleep(0))
        assert 3 <= points < MOST - 1

    in_virtual_time(break_off)


async def test_a_batch_broken_off_while_a_file_is_written_is_counted_once(sqlite_figures: SqliteReadModel) -> None:
    """Its transaction goes on in a thread; what comes next waits its turn behind it."""
    await sqlite_figures.serving()

    async def wait_for_the_writer() -> None:
        await sqlite_figures.note_stop(1, CATALOG, None)

    assert await _break_off_batches(sqlite_figures, wait_for_the_writer) > 3


@dataclass(slots=True)
class Calls:
    """Counts the calls to all back ends of one course and has one of them fail."""

    failing: int
    acted: bool
    made: int = 0
    failed: list[str] = field(default_factory=list)

    def of(self, target: Any, error: type[EventStoreError]) -> Any:
        return _Counted(target, self, error)


class _Counted:
    def __init__(self, target: Any, calls: Calls, error: type[EventStoreError]) -> None:
        self._target = target
        self._calls = calls
        self._error = error

    def __getattr__(self, name: str) -> Any:
        if name == "wait_for_news":
            return self._target.wait_for_news

        async def call(*args: Any, **kwargs: Any) -> Any:
            calls = self._calls
            calls.made += 1
            fails = calls.made == calls.failing
            if fails:
                calls.failed.append(name)
            if fails and not calls.acted:
                raise self._error(f"call {calls.failing}, {name}")
            result = await getattr(self._target, name)(*args, **kwargs)
            if fails:
                raise self._error(f"call {calls.failing}, {name}, which acted")
            return result

        return call


async def _course(line: Line, calls: Calls) -> None:
    """A relay and a consumer live for two minutes; new events come meanwhile."""
    outbox = calls.of(line.outbox, StorageUnavailable)
    log = calls.of(line.log, LogUnavailable)
    figures = calls.of(line.read_model, StorageUnavailable)
    consumer = Consumer(
        log,
        calls.of(line.leases, StorageUnavailable),
        figures,
        lambda generation: Projector(figures, generation, True, PROJECTIONS, line.codec),
        ConsumerSettings("consumer", TOPICS, poll_s=20.0, renew_s=20.0, lease_ttl_s=60.0),
        line.observed,
        Backoff(0.5, 4.0),
        clock=line.clock,
    )
    _every(line)
    stop = asyncio.Event()
    relay = line.relay(outbox=outbox, log=log, poll_s=20.0, renew_s=20.0, lease_ttl_s=60.0, max_pass_rows=2)
    running = [asyncio.create_task(relay.run(stop)), asyncio.create_task(consumer.run(stop))]
    await asyncio.sleep(60.0)
    _every(line)
    await asyncio.sleep(60.0)
    stop.set()
    await asyncio.gather(*running)


@pytest.mark.parametrize("acted", [False, True], ids=["before it acts", "after it acted"])
def test_a_course_in_which_any_one_call_fails_comes_out_exactly(*, acted: bool) -> None:
    """For every single call of the course, once each."""
    failed: set[str] = set()
    for failing in range(1, 1000):
        calls = Calls(failing, acted)

        async def course(line: Line, calls: Calls = calls) -> None:
            await _course(line, calls)
            await _nothing_is_lost_or_out_of_order(line)
            await assert_figures(line.read_model, line.oracle())
            assert len(line.oracle().seen) == 16
            assert not await line.read_model.dead_letters(1)
            assert all(not one.holes for one in await line.read_model.progress(1))

        in_virtual_time(course)
        failed |= set(calls.failed)
        if not calls.failed:
            break
    assert 50 < failing < 999
    assert {"append", "claim", "acknowledge", "advance", "hold_lanes", "take", "read", "position", "serving"} <= failed
    assert "commit" in failed
