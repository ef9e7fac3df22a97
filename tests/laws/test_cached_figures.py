"""Figures through a cache are the database's, whatever the cache has kept, lost, mixed up, held back or made up."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backoffice import cached_figures
from backoffice.cache import Cache, CacheUnavailable
from backoffice.cached_figures import CachedFigures, rank_of
from backoffice.guarded_cache import GuardedCache
from backoffice.memory_cache import MemoryCache
from event_store.memory_news import News
from projections.figures import Question, figures
from projections.memory_read_model import MemoryReadModel
from projections.read_model import Changes, FiguresReader, FiguresVersion
from tests.contracts.effects import Batch, commit, sold
from tests.simulation.virtual_time import VirtualTimeLoop, run_virtual

T = TypeVar("T")

PAUSES_S = (0, 0, 0, 0.002, 0.01, 0.3)
Figures = dict[str, int]
"""Product → gross."""


@dataclass(slots=True)
class History:
    """Every version of the figures that readers could see, with the figures, noted as it came about."""

    seen: list[tuple[FiguresVersion, Figures]] = field(default_factory=list)

    def note(self, read_model: MemoryReadModel) -> None:
        version = at_once(MemoryReadModel.version(read_model))
        answer = MemoryReadModel.figures(read_model, version.generation, Question(("product",)))
        self.seen.append((version, gross_of(at_once(answer))))


def at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that only gives way."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value


class Noted(News):
    """Hears of each change in the moment in which it is made."""

    def __init__(self, history: History, read_model: MemoryReadModel) -> None:
        super().__init__()
        self._history = history
        self._read_model = read_model

    def tell(self) -> None:
        super().tell()
        self._history.note(self._read_model)


class SlowReadModel(MemoryReadModel):
    """Takes its time before and after each answer, so that anything may happen in between."""

    def __init__(self, loop: VirtualTimeLoop, chance: random.Random, history: History) -> None:
        super().__init__(loop.now_us)
        self._chance = chance
        self.pauses_s: Sequence[float] = PAUSES_S
        self.figures_asked = 0
        history.note(self)
        self._news = Noted(history, self)

    async def serving(self) -> int:
        return await self._slowly(super().serving)

    async def version(self) -> FiguresVersion:
        return await self._slowly(super().version)

    async def figures(self, generation: int, question: Question) -> pl.DataFrame:
        self.figures_asked += 1
        return await self._slowly(partial(super().figures, generation, question))

    async def changes(self, since: FiguresVersion | None, most_rows: int) -> Changes | None:
        return await self._slowly(partial(super().changes, since, most_rows))

    async def _slowly(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        await asyncio.sleep(self._chance.choice(self.pauses_s))
        answer = await call()
        await asyncio.sleep(self._chance.choice(self.pauses_s))
        return answer


class LyingCache:
    """A server that does as it likes: it forgets, repeats what it was given under any key, damages, stalls, fails."""

    address = "lying://"

    def __init__(self, chance: random.Random, honesty: float) -> None:
        self._honest = MemoryCache()
        self._given: list[bytes] = []
        self._chance = chance
        self._honesty = honesty

    async def get(self, key: str) -> bytes | None:
        await asyncio.sleep(0.001)
        found = await self._honest.get(key)
        if self._chance.random() < self._honesty:
            return found
        some = self._chance.choice(self._given) if self._given else b"garbage"
        at = self._chance.randrange(len(some) + 1)
        match self._chance.randrange(7):
            case 0:
                raise CacheUnavailable("garbage")
            case 1:
                await asyncio.sleep(5)
                return found
            case 2:
                return self._chance.randbytes(100)
            case 3:
                return some[:at]
            case 4:
                return some[:at] + self._chance.randbytes(1) + some[at + 1 :]
            case 5:
                return None
        return some

    async def put(self, key: str, rank: int, value: bytes) -> bool:
        self._given.append(value)
        await asyncio.sleep(0.001 if self._chance.random() < self._honesty else self._chance.uniform(0, 0.09))
        return await self._honest.put(key, rank, value)

    async def drop(self, key: str) -> None:
        await self._honest.drop(key)

    async def hint(self) -> None:
        await self._honest.hint()

    async def wait_for_hint(self, timeout_s: float) -> bool:
        return await self._honest.wait_for_hint(timeout_s)

    async def check(self) -> None:
        """It seems to be all right."""

    async def close(self) -> None:
        await self._honest.close()


@dataclass(slots=True)
class Observed:
    tally: Counter[str] = field(default_factory=Counter)

    def asked(self, outcome: str) -> None:
        self.tally[outcome] += 1

    def wrote(self, outcome: str) -> None:
        self.tally[f"wrote {outcome}"] += 1

    def broke(self, why: str) -> None:
        self.tally["broke"] += 1

    def mended(self) -> None:
        self.tally["mended"] += 1


def gross_of(rows: pl.DataFrame) -> Figures:
    return dict(zip(rows["product_id"].to_list(), rows["gross_minor"].to_list(), strict=True))


async def asked(reader: FiguresReader, products: tuple[str, ...] | None = None) -> Figures:
    return gross_of(await figures(reader, Question(("product",), products=products)))


@dataclass(slots=True)
class World:
    loop: VirtualTimeLoop
    chance: random.Random
    history: History = field(default_factory=History)
    observed: Observed = field(default_factory=Observed)
    batches: list[tuple[str, int]] = field(default_factory=list)
    read_model: SlowReadModel = field(init=False)

    def __post_init__(self) -> None:
        self.read_model = SlowReadModel(self.loop, self.chance, self.history)

    async def write(self, steps: int) -> None:
        """Batches, now and then a rebuild that comes out otherwise, or the way back from it."""
        retired: int | None = None
        for _ in range(steps):
            await asyncio.sleep(self.chance.choice((0, 0.002, 0.1, 2)))
            serving = await self.read_model.serving()
            self.batches.append((self.chance.choice("ab"), self.chance.randint(1, 9)))
            await commit(self.read_model, serving, self._batch(serving, *self.batches[-1]))
            if self.chance.random() < 0.2:
                if retired is None or self.chance.random() < 0.3:
                    retired = await self.read_model.begin_generation("rebuild")
                await self._catch_up(retired)
                await self.read_model.switch(retired, "and back")
                retired = serving

    async def _catch_up(self, generation: int) -> None:
        counted = sum(one.next_offset for one in await self.read_model.progress(generation))
        for product, amount in self.batches[counted:]:
            await commit(self.read_model, generation, self._batch(generation, product, amount), serving=False)

    def _batch(self, generation: int, product: str, amount: int) -> Batch:
        """The same batch is worth something else in each generation, so that they can't be taken for each other."""
        return Batch(1, sold(product, amount * 10**generation))

    def reader(self, cache: Cache) -> CachedFigures:
        return CachedFigures(self.read_model, GuardedCache(cache, self.observed))

    async def read(self, reader: FiguresReader, times: int) -> None:
        """Each answer is that of a version between the question and the answer, so none goes back behind another."""
        for _ in range(times):
            first = len(self.history.seen) - 1
            products = self.chance.choice((None, ("a",), ("b",)))
            answer = await asked(reader, products)
            possible = [_of(figures, products) for _, figures in self.history.seen[first:]]
            assert answer in possible, (products, answer, possible)
            await asyncio.sleep(self.chance.choice((0, 0.001, 0.05, 1)))


def _of(figures: Figures, products: Sequence[str] | None) -> Figures:
    return {product: gross for product, gross in figures.items() if products is None or product in products}


def lived(seed: int, honesty: float, readers: int) -> Counter[str]:
    """A shop in which some write and some read; what their caches did."""

    async def main(loop: VirtualTimeLoop) -> Counter[str]:
        chance = random.Random(seed)
        world = World(loop, chance)
        shared = LyingCache(chance, honesty)
        dashboards = [world.reader(shared) for _ in range(readers)]
        reading = [world.read(dashboard, 20) for dashboard in dashboards for _ in range(2)]
        await asyncio.gather(world.write(25), *reading)
        for dashboard in dashboards:
            await dashboard.cache.close()
        assert not loop.unhandled, loop.unhandled
        return world.observed.tally

    return run_virtual(main)


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.5, 0.9]), st.integers(1, 4))
def test_every_answer_is_the_databases_whatever_the_cache_says(seed: int, honesty: float, readers: int) -> None:
    lived(seed, honesty, readers)


def test_the_histories_that_are_tried_have_every_outcome_in_them() -> None:
    tally = sum((lived(seed, 0.6, 3) for seed in range(12)), Counter[str]())
    assert {"hit", "miss", "stale", "invalid", "failed", "bypassed", "broke", "mended"} <= tally.keys()
    assert {"wrote kept", "wrote older"} <= tally.keys(), tally


def test_an_honest_cache_spares_the_database_its_additions() -> None:
    async def main(loop: VirtualTimeLoop) -> tuple[int, Counter[str]]:
        world = World(loop, random.Random(1))
        await world.write(3)
        before = world.read_model.figures_asked
        shared = MemoryCache()
        readers = [world.reader(shared) for _ in range(3)]
        for reader in readers:
            await asked(reader)
            await asyncio.sleep(0.1)
            await asked(reader)
        return world.read_model.figures_asked - before, world.observed.tally

    (figures_asked, tally) = run_virtual(main)
    assert figures_asked == 1
    assert (tally["hit"], tally["miss"]) == (5, 1)


@pytest.mark.parametrize("leaving", [0, 1, 19])
def test_those_who_ask_the_same_at_the_same_time_share_one_addition(leaving: int) -> None:
    """Even where some of them go away before it is done."""

    async def main(loop: VirtualTimeLoop) -> tuple[int, list[Figures]]:
        world = World(loop, random.Random(2))
        await world.write(3)
        world.read_model.pauses_s = (0.01,)
        before = world.read_model.figures_asked
        reader = world.reader(MemoryCache())
        asking = [asyncio.create_task(asked(reader)) for _ in range(20)]
        await asyncio.sleep(0.05)
        for task in asking[:leaving]:
            task.cancel()
        answers = await asyncio.gather(*asking[leaving:])
        assert all(answer == world.history.seen[-1][1] for answer in answers)
        assert not loop.unhandled
        return world.read_model.figures_asked - before, answers

    (figures_asked, answers) = run_virtual(main)
    assert figures_asked == 1
    assert len(answers) == 20 - leaving


def test_what_was_counted_while_it_was_added_up_is_not_kept() -> None:
    async def main(loop: VirtualTimeLoop) -> Counter[str]:
        world = World(loop, random.Random(3))
        await world.write(2)
        world.read_model.pauses_s = (0.1,)

        async def counted_meanwhile() -> None:
            while not world.read_model.figures_asked:
                await asyncio.sleep(0.01)
            await commit(world.read_model, await world.read_model.serving(), world._batch(1, "a", 1))

        reader = world.reader(MemoryCache())
        await asyncio.gather(asked(reader), counted_meanwhile())
        await asyncio.sleep(1)
        return world.observed.tally

    assert run_virtual(main)["wrote kept"] == 0


@pytest.mark.parametrize("bound", ["MOST_BYTES", "MOST_UNPACKED_BYTES"])
def test_what_is_too_long_is_answered_and_not_kept(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(cached_figures, bound, 10)

    async def main(loop: VirtualTimeLoop) -> tuple[Figures, Counter[str]]:
        world = World(loop, random.Random(6))
        await commit(world.read_model, 1, Batch(1, sold("a", 7)))
        reader = world.reader(MemoryCache())
        await asked(reader)
        await asyncio.sleep(1)
        return await asked(reader), world.observed.tally

    assert run_virtual(main) == ({"a": 7}, {"miss": 2})


def test_two_shops_on_one_server_never_meet() -> None:
    """With the same products, generation and positions, and other figures."""

    async def main(loop: VirtualTimeLoop) -> list[Figures]:
        shared = MemoryCache()
        answers = []
        for amount in (3, 5):
            world = World(loop, random.Random(4))
            await commit(world.read_model, 1, Batch(1, sold("a", amount)))
            reader = world.reader(shared)
            answers += [await asked(reader), await asked(reader)]
            await asyncio.sleep(1)
        return answers

    assert run_virtual(main) == [{"a": 3}, {"a": 3}, {"a": 5}, {"a": 5}]


def test_a_rank_follows_the_order_in_which_versions_came() -> None:
    async def main(loop: VirtualTimeLoop) -> list[int]:
        world = World(loop, random.Random(5))
        await world.write(60)
        return [rank_of(version) for version, _ in world.history.seen]

    ranks = run_virtual(main)
    assert len(ranks) > 60
    assert ranks == sorted(ranks)
