"""Figures kept in memory are never older than the question, and never of two moments, however many ask and count."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backoffice.cached_figures import CachedFigures
from event_store.errors import StorageUnavailable
from projections.catalogue import PROJECTIONS
from projections.kept_figures import KeptFigures
from projections.memory_read_model import MemoryReadModel
from projections.read_model import Changes, FiguresVersion, ReadModel
from projections.sqlite_read_model import SqliteReadModel
from tests.contracts.changing_figures import ChangingFigures, outcome, same
from tests.simulation.virtual_time import VirtualTimeLoop, run_virtual

from .test_cached_figures import LyingCache, World, asked

SEEDS = st.integers(0, 2**32)


async def check_that_kept_is_counted(read_model: ReadModel, seed: int) -> None:
    shop = ChangingFigures(read_model, random.Random(seed), huge=seed % 3 == 0)
    kept = KeptFigures(read_model, most_rows=shop.chance.choice((30, 10_000)), clock=lambda: 0.0)
    for _ in range(8):
        for _ in range(shop.chance.choice((0, 1, 1, 3))):
            await shop.change()
        for _ in range(2):
            question = shop.question()
            (found, expected) = (await outcome(kept, question), await outcome(read_model, question))
            assert same(found, expected), (question, found, expected)
        await kept.read_everything()


@settings(max_examples=8)
@given(SEEDS)
def test_what_is_kept_is_what_was_counted_in_memory(seed: int) -> None:
    times = iter(range(1, 1_000_000))
    asyncio.run(check_that_kept_is_counted(MemoryReadModel(lambda: next(times)), seed))


@settings(max_examples=15)
@given(SEEDS)
def test_what_is_kept_is_what_was_counted_in_a_file(seed: int) -> None:
    async def main(folder: str) -> None:
        read_model = SqliteReadModel(Path(folder) / "backoffice.db", PROJECTIONS)
        try:
            await check_that_kept_is_counted(read_model, seed)
        finally:
            await read_model.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(folder))


def test_a_batch_that_changes_one_day_is_seen_in_what_is_kept() -> None:
    """One history out of those above, which takes no time."""
    times = iter(range(1, 1_000_000))
    asyncio.run(check_that_kept_is_counted(MemoryReadModel(lambda: next(times)), 1))


def lived(seed: int, readers: int, *, is_cached: bool) -> int:
    """A shop in which some write and some read what is kept; how often an answer could come from memory."""

    async def main(loop: VirtualTimeLoop) -> int:
        world = World(loop, random.Random(seed))
        kept = KeptFigures(world.read_model, clock=lambda: 0.0)
        cached = world.reader(LyingCache(world.chance, 0.5))
        cached.read_model = kept
        reader: CachedFigures | KeptFigures = cached if is_cached else kept
        await asyncio.gather(world.write(25), *(world.read(reader, 20) for _ in range(readers)))
        await cached.cache.close()
        await kept.close()
        assert not loop.unhandled, loop.unhandled
        return readers * 20 - world.read_model.figures_asked

    return run_virtual(main)


@settings(max_examples=15)
@given(SEEDS, st.integers(1, 8), st.booleans())
def test_every_answer_is_of_a_version_between_the_question_and_the_answer(
    seed: int, readers: int, is_cached: bool
) -> None:
    lived(seed, readers, is_cached=is_cached)


def test_the_histories_that_are_tried_are_answered_from_memory() -> None:
    assert sum(lived(seed, 4, is_cached=False) for seed in range(8)) > 8 * 80 // 2


class Watched(MemoryReadModel):
    """Notes who looks for changes, and answers when it is let to."""

    def __init__(self) -> None:
        super().__init__(lambda: 1)
        self.looks: list[FiguresVersion | None] = []
        self.is_let = asyncio.Event()
        self.is_let.set()
        self.is_away = False

    async def changes(self, since: FiguresVersion | None, most_rows: int) -> Changes | None:
        self.looks.append(since)
        await self.is_let.wait()
        if self.is_away:
            raise StorageUnavailable("away")
        return await super().changes(since, most_rows)


async def asking_at_once(kept: KeptFigures, read_model: Watched, count: int) -> list[asyncio.Task[dict[str, int]]]:
    """They ask while the first of them is looking."""
    await kept.read_everything()
    read_model.looks.clear()
    read_model.is_let.clear()
    asking = [asyncio.create_task(asked(kept))]
    while not read_model.looks:
        await asyncio.sleep(0)
    asking += [asyncio.create_task(asked(kept)) for _ in range(count - 1)]
    for _ in range(10):
        await asyncio.sleep(0)
    return asking


@pytest.mark.parametrize("leaving", [0, 1, 3])
async def test_all_who_ask_at_the_same_time_share_a_look_at_what_changed(leaving: int) -> None:
    """Who goes away costs the others nothing."""
    read_model = Watched()
    kept = KeptFigures(read_model)
    asking = await asking_at_once(kept, read_model, 20)
    for task in asking[:leaving]:
        task.cancel()
    read_model.is_let.set()
    assert await asyncio.gather(*asking[leaving:]) == [{}] * (20 - leaving)
    assert len(read_model.looks) == 2
    assert kept.keeps is not None


async def test_a_look_that_fails_is_each_ones_own_failure_and_nothing_is_lost() -> None:
    read_model = Watched()
    kept = KeptFigures(read_model)
    asking = await asking_at_once(kept, read_model, 3)
    read_model.is_away = True
    read_model.is_let.set()
    failed = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(one) for one in failed] == [StorageUnavailable] * 3
    read_model.is_away = False
    assert await asked(kept) == {}
    assert kept.keeps is not None


async def test_everything_is_read_again_only_after_a_rest() -> None:
    read_model = Watched()
    now_s = 0.0
    kept = KeptFigures(read_model, clock=lambda: now_s)
    read_model.is_away = True
    read_model.is_let.clear()
    reading = asyncio.create_task(kept.read_everything())
    while not read_model.looks:
        await asyncio.sleep(0)
    now_s = 1.0
    read_model.is_let.set()
    await reading
    read_model.is_away = False
    assert await asked(kept) == {}
    await kept.read_everything()
    assert (kept.keeps, len(read_model.looks)) == (None, 1)
    now_s = 21.0
    await kept.read_everything()
    assert kept.keeps == await read_model.version()


async def test_a_reader_that_is_closed_reads_no_more() -> None:
    read_model = Watched()
    read_model.is_let.clear()
    kept = KeptFigures(read_model)
    assert await asked(kept) == {}
    await kept.close()
    assert kept.keeps is None
    assert read_model.looks == [None]


async def test_what_is_begun_before_anybody_asks_is_there_for_the_first_question() -> None:
    read_model = Watched()
    kept = KeptFigures(read_model)
    kept.begin()
    await kept.read_everything()
    assert kept.keeps == await read_model.version()
    assert read_model.looks == [None]
    assert await asked(kept) == {}
    assert read_model.looks == [None, kept.keeps]
