"""A paused relay sends nothing and a paused consumer counts nothing; afterwards everything is there once, in order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backoffice.consumer import Consumer, ConsumerSettings
from event_store.backoff import Backoff
from event_store.errors import StorageUnavailable
from event_store.lease import owners_of
from event_store.pause_watch import PauseWatch
from event_store.pauses import Pause
from projections.catalogue import PROJECTIONS
from projections.pace import Pace
from projections.projector import Projector
from projections.read_model import State

from .line import TOPICS, Line, assert_figures, in_virtual_time, views

HELD = Pause("relay", "ada", "the broker moves", 0)
OBEYED_S = 1.5
"""In which a pause, and its end, has reached every process."""


@dataclass(slots=True)
class Sign:
    """What stands in the database, and what the processes said that they had learned of it."""

    pause: Pause | None = None
    is_away: bool = False
    heard: list[Pause | None] = field(default_factory=list)

    async def look(self) -> Pause | None:
        await asyncio.sleep(0.01)
        if self.is_away:
            raise StorageUnavailable("away")
        return self.pause

    def paused(self, pause: Pause) -> None:
        self.heard.append(pause)

    def resumed(self) -> None:
        self.heard.append(None)

    def watch(self) -> PauseWatch:
        return PauseWatch(self.look, self)


def _consumer(line: Line, sign: Sign, name: str = "consumer") -> Consumer:
    return Consumer(
        line.log,
        line.leases,
        line.read_model,
        lambda generation: Projector(line.read_model, generation, True, PROJECTIONS, line.codec),
        ConsumerSettings(name, TOPICS, max_records=3),
        line.observed,
        Backoff(0.1, 1.0),
        pause=sign.watch(),
        clock=line.clock,
    )


async def _positions(line: Line) -> dict[Any, int]:
    return {one.tp: one.next_offset for one in await line.read_model.progress(await line.read_model.serving())}


@dataclass(slots=True)
class Running:
    task: asyncio.Task[None]
    stop: asyncio.Event

    async def ends(self, within_s: float = 2.0) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, within_s)


def _started(process: Any) -> Running:
    stop = asyncio.Event()
    return Running(asyncio.create_task(process.run(stop)), stop)


def _relay(line: Line, sign: Sign, name: str = "relay") -> Any:
    relay = line.relay(name)
    relay.pause = sign.watch()
    return relay


def test_a_paused_relay_sends_nothing_keeps_its_leases_and_then_sends_everything_once() -> None:
    async def pause_and_resume(line: Line) -> None:
        sign = Sign()
        running = _started(_relay(line, sign))
        line.write(views(5))
        await asyncio.sleep(OBEYED_S)
        assert len(line.shown()) == 5
        sign.pause = HELD
        await asyncio.sleep(OBEYED_S)
        for _ in range(60):  # Much longer than its leases last.
            line.write(views(3))
            await asyncio.sleep(1.0)
        assert len(line.shown()) == 5
        assert {one.owner for one in await line.outbox.lanes()} == {"relay"}
        assert sum(one.claimed for one in await line.outbox.lanes()) == 0, "no sequence is drawn, either"
        sign.pause = None
        await asyncio.sleep(OBEYED_S)
        assert len(line.shown()) == 185
        assert sign.heard == [HELD, None]
        await running.ends()
        await line.count_all()
        await assert_figures(line.read_model, line.oracle())
        assert [one.duplicates for one in await line.read_model.progress(1)] == [0] * len(await _positions(line))

    in_virtual_time(pause_and_resume)


def test_a_paused_consumer_moves_no_position_keeps_its_leases_and_then_counts_everything_once() -> None:
    async def pause_and_resume(line: Line) -> None:
        sign = Sign()
        running = _started(_consumer(line, sign))
        line.write(views(5))
        await line.relay_all()
        await asyncio.sleep(OBEYED_S)
        before = await _positions(line)
        assert sum(before.values()) == 5
        sign.pause = HELD
        await asyncio.sleep(OBEYED_S)
        held = await line.leases.holdings("")
        for _ in range(60):
            line.write(views(3))
            await line.relay_all()
            await asyncio.sleep(1.0)
        assert await _positions(line) == before
        assert await line.leases.holdings("") == held, "nobody has to take over from it"
        assert set(owners_of(held).values()) == {"consumer"}
        sign.pause = None
        await asyncio.sleep(OBEYED_S)
        assert sum((await _positions(line)).values()) == 185
        await running.ends()
        await assert_figures(line.read_model, line.oracle())
        assert sum(one.duplicates for one in await line.read_model.progress(1)) == 0

    in_virtual_time(pause_and_resume)


def test_a_batch_that_waits_for_its_database_is_not_counted_when_it_comes_back_during_a_pause() -> None:
    async def away_then_paused(line: Line) -> None:
        sign = Sign()
        running = _started(_consumer(line, sign))
        await asyncio.sleep(OBEYED_S)
        commit = line.read_model.commit

        async def fails(*args: Any, **kwargs: Any) -> None:
            raise StorageUnavailable("away")

        line.read_model.commit = fails  # type: ignore[method-assign]
        line.write(views(4))
        await line.relay_all()
        await asyncio.sleep(5.0)
        sign.pause = HELD
        await asyncio.sleep(OBEYED_S)
        line.read_model.commit = commit  # type: ignore[method-assign]
        await asyncio.sleep(20.0)
        assert sum((await _positions(line)).values()) == 0
        sign.pause = None
        await asyncio.sleep(OBEYED_S)
        assert sum((await _positions(line)).values()) == 4
        await running.ends()

    in_virtual_time(away_then_paused)


@pytest.mark.parametrize("made", [_relay, _consumer])
def test_what_comes_up_during_a_pause_works_nothing_and_ends_when_told(made: Any) -> None:
    async def start_paused(line: Line) -> None:
        sign = Sign(HELD)
        line.write(views(5))
        if made is _consumer:
            await line.relay_all()
        running = _started(made(line, sign))
        await asyncio.sleep(40.0)
        assert len(line.shown()) == (5 if made is _consumer else 0)
        assert sum((await _positions(line)).values()) == 0
        await running.ends(within_s=0.5)

    in_virtual_time(start_paused)


@pytest.mark.parametrize("pause", [HELD, None])
def test_where_the_database_can_not_be_asked_the_last_answer_holds(pause: Pause | None) -> None:
    async def go_away(line: Line) -> None:
        sign = Sign(pause)
        running = _started(_relay(line, sign))
        await asyncio.sleep(OBEYED_S)
        sign.is_away = True
        sign.pause = None if pause else HELD
        await asyncio.sleep(30.0)
        line.write(views(5))
        await asyncio.sleep(OBEYED_S)
        assert len(line.shown()) == (0 if pause else 5)
        sign.is_away = False
        await asyncio.sleep(OBEYED_S)
        line.write(views(5))
        await asyncio.sleep(OBEYED_S)
        assert len(line.shown()) == (10 if pause else 5)
        await running.ends()

    in_virtual_time(go_away)


def test_a_paused_rebuild_counts_nothing_keeps_its_lease_and_then_comes_out_equal() -> None:
    async def hold_a_rebuild(line: Line) -> None:
        line.write(views(40))
        await line.relay_all()
        await line.count_all()
        sign = Sign(HELD)
        watch = sign.watch()
        async with watch.watched():
            running = asyncio.create_task(line.rebuild(pace=Pace(pause=watch)).run("again"))
            await asyncio.sleep(60.0)
            assert not running.done()
            assert sum(one.next_offset for one in await line.read_model.progress(2)) == 0
            assert owners_of(await line.leases.holdings("")) == {"rebuild": "rebuild"}
            sign.pause = None
            done = await asyncio.wait_for(running, 10.0)
        assert done.comparison is not None
        assert done.comparison.equal
        await assert_figures(line.read_model, line.oracle())

    in_virtual_time(hold_a_rebuild)


def test_a_paused_rebuild_can_be_cancelled() -> None:
    async def cancel_it(line: Line) -> None:
        line.write(views(40))
        await line.relay_all()
        await line.count_all()
        watch = Sign(HELD).watch()
        running = asyncio.create_task(line.rebuild(pace=Pace(pause=watch)).run("again"))
        await asyncio.sleep(5.0)
        running.cancel()
        await asyncio.wait([running])
        assert [one.state for one in await line.read_model.generations()] == [State.SERVING, State.ABANDONED]
        assert owners_of(await line.leases.holdings("")) == {}

    in_virtual_time(cancel_it)


def test_who_never_heard_an_answer_stands_still() -> None:
    async def never_told(line: Line) -> None:
        sign = Sign(is_away=True)
        line.write(views(5))
        running = _started(_relay(line, sign))
        await asyncio.sleep(30.0)
        assert line.shown() == []
        sign.is_away = False
        await asyncio.sleep(OBEYED_S)
        assert len(line.shown()) == 5
        await running.ends()

    in_virtual_time(never_told)


@dataclass(slots=True)
class House:
    """A relay and a consumer, and what an operator, a shopper and a bad day do to them."""

    line: Line
    signs: dict[str, Sign] = field(default_factory=lambda: {"relay": Sign(), "consumer": Sign()})
    running: list[Running] = field(default_factory=list)

    def start(self) -> None:
        made = {"relay": _relay, "consumer": _consumer}
        self.running = [_started(made[part](self.line, sign)) for part, sign in self.signs.items()]

    async def act(self, act: str, number: int) -> None:
        (verb, _, part) = act.partition(" ")
        if verb == "write":
            self.line.write(views(4, f"product-{number}"))
        elif verb == "kill":
            for one in self.running:
                one.task.cancel()
            await asyncio.gather(*(one.task for one in self.running), return_exceptions=True)
            self.start()
        elif verb in ("pause", "resume"):
            self.signs[part].pause = HELD if verb == "pause" else None

    async def stands_still_where_it_should(self) -> None:
        before = (len(self.line.shown()), await _positions(self.line))
        await asyncio.sleep(OBEYED_S)
        after = (len(self.line.shown()), await _positions(self.line))
        for sign, was, comes in zip(self.signs.values(), before, after, strict=True):
            assert was == comes or not sign.pause


ACTS = st.sampled_from(["write", "pause relay", "resume relay", "pause consumer", "resume consumer", "kill", "wait"])


@settings(max_examples=25, deadline=None)
@given(st.lists(ACTS, max_size=25))
def test_whatever_is_paused_killed_and_written_is_counted_once_and_nothing_passes_a_pause(acts: list[str]) -> None:
    async def live(line: Line) -> None:
        house = House(line)
        house.start()
        for number, act in enumerate(acts):
            await house.act(act, number)
            await asyncio.sleep(OBEYED_S)
            await house.stands_still_where_it_should()
        for sign in house.signs.values():
            sign.pause = None
        await asyncio.sleep(10.0)
        assert len(line.shown()) == sum((await _positions(line)).values()) == 4 * acts.count("write")
        for one in house.running:
            await one.ends()
        await assert_figures(line.read_model, line.oracle())

    in_virtual_time(live)
