"""Duplicates, order, lateness and batch sizes change no figure; ranges, positions and memory are exact throughout."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_store.errors import ForeignIdTaken
from event_store.events import PaymentCompleted, ProductView
from event_store.handled import HandledRanges
from event_store.record import RecordBatch, TopicPartition
from projections.catalogue import PROJECTIONS
from projections.locks import ProductLocks
from projections.memory_read_model import MemoryReadModel
from projections.projector import Projector
from projections.read_model import ReadModel
from projections.sqlite_read_model import SqliteReadModel
from tests.simulation.oracle import Oracle, oracle_of
from tests.simulation.virtual_time import EPOCH_US

from .histories import Event, Values, arranged, batch_of, codec, events_of_every_kind, partitions, split
from .line import TPS, assert_figures

Batches = Sequence[RecordBatch]


@asynccontextmanager
async def _memory() -> AsyncIterator[ReadModel]:
    yield MemoryReadModel(lambda: EPOCH_US)


@asynccontextmanager
async def _sqlite() -> AsyncIterator[ReadModel]:
    with tempfile.TemporaryDirectory() as folder:
        figures = SqliteReadModel(Path(folder) / "backoffice.db", PROJECTIONS)
        yield figures
        await figures.close()


BACK_ENDS = {"memory": _memory, "sqlite": _sqlite}


def _places(values: Values) -> dict[str, set[int]]:
    """Source → the sequences that the records show."""
    shown: dict[str, set[int]] = {}
    for value in values:
        try:
            event = json.loads(value or b"")
            (source, sequence) = (event["source"], int(event["sequence"]))
        except (ValueError, KeyError, TypeError):
            continue
        shown.setdefault(source, set()).add(sequence)
    return shown


def _ranges(sequences: set[int]) -> tuple[tuple[int, int], ...]:
    firsts = sorted(one for one in sequences if one - 1 not in sequences)
    lasts = sorted(one for one in sequences if one + 1 not in sequences)
    return tuple(zip(firsts, lasts, strict=True))


async def _assert_exact(figures: ReadModel, projector: Projector, tp: TopicPartition, shown: Values) -> None:
    """The position of one partition, its ranges, and what memory makes of them."""
    position = await figures.position(projector.generation, tp)
    assert position.next_offset == len(shown)
    assert {source: handled.ranges for source, handled in position.handled.items()} == {
        source: _ranges(sequences) for source, sequences in _places(shown).items()
    }
    assert projector._positions[tp] == position


async def _count(figures: ReadModel, batches: Batches, *, locked: bool = True) -> Oracle:
    """Applies the batches in their order and looks after every commit."""
    oracle = Oracle()
    shown: dict[TopicPartition, list[bytes | None]] = {}
    locks = ProductLocks(enabled=locked)
    projector = Projector(figures, await figures.serving(), True, PROJECTIONS, codec(), locks, dead_letter_limit=None)
    for batch in batches:
        await projector.apply(batch)
        shown.setdefault(batch.tp, []).extend(batch.values)
        for value in batch.values:
            oracle.show(value)
        await _assert_exact(figures, projector, batch.tp, shown[batch.tp])
        await assert_figures(figures, oracle)
    assert len(locks) == 0
    return oracle


@st.composite
def _courses(draw: st.DrawFn) -> tuple[Oracle, Batches]:
    """What a log of events comes to, and the same events shown in another order, several times and in pieces."""
    log = draw(partitions())
    expected = oracle_of([value for values in log.values() for value in values])
    pieces = [draw(split(tp, draw(arranged(values)))) for tp, values in log.items()]
    turns = draw(st.permutations([number for number, batches in enumerate(pieces) for _ in batches]))
    waiting = [iter(batches) for batches in pieces]
    return expected, [next(waiting[number]) for number in turns]


def _check(back_end: str, course: tuple[Oracle, Batches], *, locked: bool) -> None:
    async def count() -> None:
        (expected, batches) = course
        async with BACK_ENDS[back_end]() as figures:
            await _count(figures, batches, locked=locked)
            await assert_figures(figures, expected)

    asyncio.run(count())


@given(_courses())
@settings(max_examples=60, deadline=None)
def test_order_duplicates_and_splits_change_no_figure_in_memory(course: tuple[Oracle, Batches]) -> None:
    _check("memory", course, locked=True)


@given(_courses())
@settings(max_examples=20, deadline=None)
def test_order_duplicates_and_splits_change_no_figure_in_sqlite(course: tuple[Oracle, Batches]) -> None:
    _check("sqlite", course, locked=True)


@given(_courses())
@settings(max_examples=20, deadline=None)
def test_figures_are_exact_with_the_locks_switched_off(course: tuple[Oracle, Batches]) -> None:
    _check("memory", course, locked=False)


@pytest.mark.parametrize("locked", [True, False])
@given(log=partitions(), data=st.data())
@settings(max_examples=25, deadline=None)
def test_partitions_counted_at_the_same_time_do_not_disturb_each_other(
    log: dict[TopicPartition, Values], data: Any, *, locked: bool
) -> None:
    """An event of another service may come in two partitions at once: then one of them has to look again."""
    pieces = [data.draw(split(tp, values)) for tp, values in log.items()]

    async def count() -> None:
        figures = MemoryReadModel(lambda: EPOCH_US)
        locks = ProductLocks(enabled=locked)
        projector = Projector(figures, 1, True, PROJECTIONS, codec(), locks, dead_letter_limit=None)
        await asyncio.gather(*(_count_patiently(projector, batches) for batches in pieces))
        assert len(locks) == 0
        await assert_figures(figures, oracle_of([value for values in log.values() for value in values]))

    asyncio.run(count())


async def _count_patiently(projector: Projector, batches: Batches) -> None:
    for batch in batches:
        while True:
            try:
                await projector.apply(batch)
                break
            except ForeignIdTaken:
                continue


def test_what_was_handled_stays_one_range_a_lane_however_much_it_is() -> None:
    """And so does the memory of it: nothing grows with the number of events."""

    async def count() -> None:
        figures = MemoryReadModel(lambda: EPOCH_US)
        projector = Projector(figures, 1, True, PROJECTIONS, codec())
        view = Event(ProductView("lantern", "v", "GBP"), 0)
        for first in range(0, 3000, 1000):
            values = [view.placed("/a", number) for number in range(first + 1, first + 1001)]
            await projector.apply(batch_of(TPS[0], first, values))
        assert projector._positions[TPS[0]].handled == {"/a": HandledRanges(((1, 3000),))}
        assert not figures._cells[1].inbox.foreign_ids

    asyncio.run(count())


def test_two_batches_that_meet_in_a_product_are_both_counted_whole() -> None:
    """One waits for the other's lock; it does not go without what is locked."""

    async def count() -> None:
        figures = MemoryReadModel(lambda: EPOCH_US)
        projector = Projector(figures, 1, True, PROJECTIONS, codec())
        order = next(event for event in events_of_every_kind() if isinstance(event.payload, PaymentCompleted))
        values = {tp: order.placed(f"/{tp}", 1) for tp in TPS}
        await asyncio.gather(*(projector.apply(batch_of(tp, 0, [value])) for tp, value in values.items()))
        await assert_figures(figures, oracle_of(list(values.values())))

    asyncio.run(count())
