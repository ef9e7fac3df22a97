"""Batches counted together: one transaction where there can be one, and each counted once whatever the others do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_store.decoded_batch import DecodedBatch, decode_batch
from event_store.errors import PositionMoved, StorageUnavailable
from event_store.events import ProductView
from event_store.record import TopicPartition
from projections.catalogue import PROJECTIONS
from projections.gathering import Gathering
from projections.memory_read_model import MemoryReadModel
from projections.projector import Projector
from projections.read_model import Effect
from tests.simulation.oracle import oracle_of
from tests.simulation.virtual_time import VirtualTimeLoop, run_virtual

from .histories import Event, batch_of, codec
from .line import TPS, assert_figures

VIEW = Event(ProductView("lantern", "visitor", "GBP"), 0)


class Watched(MemoryReadModel):
    """Remembers how many batches each commit took; the first of them may fail, before or after they took effect."""

    def __init__(self, loop: VirtualTimeLoop, failing: Sequence[str | None] = ()) -> None:
        super().__init__(loop.now_us)
        self.sizes: list[int] = []
        self._failing = list(failing)

    async def commit(self, effect: Effect, *, serving: bool) -> None:
        failing = self._failing.pop(0) if self._failing else None
        await asyncio.sleep(0.003)
        if failing == "before":
            raise StorageUnavailable("the disk is away")
        await super().commit(effect, serving=serving)
        self.sizes.append(len(effect.entries))
        if failing == "after":
            raise StorageUnavailable("the answer is lost")


@dataclass(slots=True)
class Course:
    """Batches of each partition, and what they hold."""

    sizes: dict[TopicPartition, Sequence[int]]
    shown: list[bytes | None] = field(default_factory=list)

    def batches(self, tp: TopicPartition) -> list[DecodedBatch]:
        found: list[DecodedBatch] = []
        for size in self.sizes[tp]:
            first = found[-1].next_offset if found else 0
            values = [VIEW.placed(f"/{tp}", first + number) for number in range(1, size + 1)]
            self.shown += values
            found.append(decode_batch(codec(), batch_of(tp, first, values)))
        return found


def _gathering(figures: MemoryReadModel, at_a_time: int = 3, max_records: int = 3000) -> Gathering:
    return Gathering(Projector(figures, 1, True, PROJECTIONS, codec()), at_a_time, max_records)


def _at_rest(gathering: Gathering) -> bool:
    free = gathering._turns._value == gathering.at_a_time
    return free and not gathering._waiting and not gathering._gate.locked() and not len(gathering.projector.locks)


def test_what_several_partitions_have_at_the_same_moment_is_one_transaction() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        figures = Watched(loop)
        gathering = _gathering(figures)
        course = Course({tp: [5] for tp in TPS})
        applied = await asyncio.gather(*(gathering.apply(course.batches(tp)[0]) for tp in TPS))
        assert [(one.tp, one.records, one.next_offset) for one in applied] == [(tp, 5, 5) for tp in TPS]
        assert figures.sizes == [len(TPS)]
        await assert_figures(figures, oracle_of(course.shown))
        assert _at_rest(gathering)

    run_virtual(main)


def test_no_more_records_are_counted_together_than_a_batch_may_have() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        figures = Watched(loop)
        gathering = _gathering(figures, max_records=10)
        course = Course(dict(zip(TPS, ([6], [6], [4], [10]), strict=True)))
        await asyncio.gather(*(gathering.apply(course.batches(tp)[0]) for tp in TPS))
        assert sorted(figures.sizes) == [1, 1, 2]
        await assert_figures(figures, oracle_of(course.shown))

    run_virtual(main)


@pytest.mark.parametrize(("records", "waited_s"), [(4, 20.0), (6, 0.0), (10, 0.0)])
def test_only_a_batch_that_leaves_room_for_its_like_waits_for_others(records: int, waited_s: float) -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        gathering = _gathering(Watched(loop), max_records=10)
        gathering.wait_s = 20.0
        (batch,) = Course({TPS[0]: [records]}).batches(TPS[0])
        started_s = loop.time()
        await gathering.apply(batch)
        assert loop.time() - started_s == pytest.approx(waited_s, abs=1.0)

    run_virtual(main)


def test_a_batch_that_is_refused_leaves_the_others_counted_once() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        figures = Watched(loop)
        gathering = _gathering(figures)
        (stale, *sound) = TPS
        await _gathering(figures).apply(Course({stale: [3]}).batches(stale)[0])
        course = Course({tp: [3] for tp in TPS})
        await gathering.projector.position(sound[0])
        outcomes = await asyncio.gather(*(gathering.apply(course.batches(tp)[0]) for tp in TPS), return_exceptions=True)
        assert isinstance(outcomes[0], PositionMoved)
        assert outcomes[0].next_offset == 3
        assert not any(isinstance(outcome, BaseException) for outcome in outcomes[1:])
        await assert_figures(figures, oracle_of(course.shown))
        assert _at_rest(gathering)

    run_virtual(main)


def test_storage_that_is_away_is_reported_to_all_of_them_and_not_asked_once_for_each() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        figures = Watched(loop, ["before"])
        gathering = _gathering(figures)
        course = Course({tp: [3] for tp in TPS})
        batches = [course.batches(tp)[0] for tp in TPS]
        outcomes = await asyncio.gather(*map(gathering.apply, batches), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * len(TPS)
        assert figures.sizes == []
        await asyncio.gather(*map(gathering.apply, batches))
        await assert_figures(figures, oracle_of(course.shown))
        assert not loop.unhandled

    run_virtual(main)


async def _counted(gathering: Gathering, batches: Sequence[DecodedBatch], start: int, cancelled_at: int | None) -> None:
    """As a consumer does: after an error, or a cancellation and another start, it goes on where the table stands."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(start / 1000)
    for batch in batches:
        while (await gathering.projector.position(batch.tp)).next_offset < batch.next_offset:
            attempt = asyncio.create_task(gathering.apply(batch))
            if cancelled_at is not None:
                loop.call_later(cancelled_at / 1000, attempt.cancel)
                cancelled_at = None
            (outcome,) = await asyncio.gather(attempt, return_exceptions=True)
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, StorageUnavailable | PositionMoved | asyncio.CancelledError)
                gathering.projector.forget(batch.tp)


_tasks = st.lists(
    st.tuples(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(0, 9), st.none() | st.integers(0, 12)),
    min_size=len(TPS),
    max_size=len(TPS),
)


@given(_tasks, st.lists(st.sampled_from([None, "before", "after"]), max_size=8), st.integers(1, 3), st.integers(1, 12))
@settings(max_examples=150, deadline=None)
@pytest.mark.timeout(120)
def test_any_schedule_counts_every_batch_once_and_leaves_nothing_behind(
    tasks: list[tuple[list[int], int, int | None]], failing: list[str | None], at_a_time: int, max_records: int
) -> None:
    """Some fail, some are cancelled: while they wait for others, for a turn, or for the transaction."""

    async def main(loop: VirtualTimeLoop) -> None:
        figures = Watched(loop, failing)
        gathering = _gathering(figures, at_a_time, max_records)
        course = Course({tp: sizes for tp, (sizes, _, _) in zip(TPS, tasks, strict=True)})
        await asyncio.gather(
            *(
                _counted(gathering, course.batches(tp), start, cancelled_at)
                for tp, (_, start, cancelled_at) in zip(TPS, tasks, strict=True)
            )
        )
        await asyncio.sleep(1)
        await assert_figures(figures, oracle_of(course.shown))
        assert _at_rest(gathering)
        assert not loop.unhandled

    run_virtual(main)
