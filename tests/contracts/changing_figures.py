"""A shop whose figures change in every way there is, for readers that keep what they have read."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import polars as pl

from event_store.inbox import InboxEntry
from projections.figures import Question, figures
from projections.interest import INTEREST
from projections.periods import QuestionError, Range
from projections.read_model import Effect, FiguresReader, Increments, ReadModel
from projections.returns import RETURNS
from projections.sales import SALES

from .effects import NOON, OTHER, TP, Batch, effect, listing, rows

DAY_S = 86_400
BUCKET_S = 900
FIRST_DAY = date(2011, 3, 4)
PRODUCTS = ("a", "b", "b ", "85123A", "a product with a long id", "ä\u4e2d")
CURRENCIES = ("GBP", "GBP", "GBP", "EUR", "JPY")
HUGE = 1 << 62
"""Two of them fit into no figure, nor into a sum."""
ZONES = ("UTC", "Europe/London", "Asia/Kolkata", "Asia/Kathmandu")
GROUPINGS = ((), ("product",), ("day",), ("hour",), ("product", "day"), ("product", "hour"))


@dataclass(slots=True)
class ChangingFigures:
    read_model: ReadModel
    chance: random.Random
    huge: bool = False
    """Whether sums may leave 64 bits."""
    _history: list[Sequence[Batch]] = field(default_factory=list)
    """What was counted; batches that were counted together stand together."""
    _counted: dict[int, int] = field(default_factory=dict)
    """Generation → how much of that it has."""

    async def change(self) -> None:
        kind = self.chance.random()
        if kind < 0.1 and self._history:
            await self._switch()
        elif kind < 0.2:
            await self._count([Batch(3, duplicates=3)])
        elif kind < 0.3:
            await self._count([Batch(1, self._increments()), Batch(self.chance.choice((0, 1)), tp=OTHER)])
        else:
            await self._count(
                [Batch(self.chance.choice((1, 2)), self._increments(), tp=self.chance.choice((TP, OTHER)))]
            )

    def question(self) -> Question:
        (first, last) = (self._day(), self._day())
        asked = Range(first, last) if first is None or last is None or first <= last else Range(last, first)
        known = self.chance.choice((None, None, self.chance.sample(PRODUCTS, 2), ["nobody's"], []))
        products = None if known is None else tuple(known)
        return Question(self.chance.choice(GROUPINGS), self.chance.choice(ZONES), asked, products, ratios=True)

    def _day(self) -> date | None:
        return self.chance.choice((None, FIRST_DAY + timedelta(days=self.chance.randint(-3, 30))))

    def _increments(self) -> Increments:
        places = [(bucket, product) for bucket in self._buckets() for product in self.chance.sample(PRODUCTS, 2)]
        keys = [
            {"bucket": bucket, "product_id": product, "currency": self.chance.choice(CURRENCIES)}
            for bucket, product in sorted(set(places))
        ]
        sold = [{**key, "orders": 1, "gross_minor": self._amount(), "refunded_minor": 1} for key in keys]
        seen = [{**key, "views": self.chance.randint(0, 9), "likes": self.chance.randint(-2, 2)} for key in keys]
        back = [{**key, "sale_refunds": 1, "sale_refunded_minor": self._amount()} for key in keys]
        figures = {**rows(SALES, *sold), **rows(RETURNS, *back), **rows(INTEREST, *seen)}
        every = {**figures, **listing(self.chance.choice(PRODUCTS), 1, "Name")}
        return {name: every[name] for name in self.chance.sample(sorted(every), self.chance.randint(1, 3))}

    def _buckets(self) -> list[int]:
        """Mostly of one day, and often of the same."""
        days = self.chance.sample(
            (0, 0, 0, 1, 2, 22, 23, 24, self.chance.randint(-3, 30)), self.chance.choice((1, 1, 2))
        )
        return [NOON + day * DAY_S + self.chance.randint(-47, 47) * BUCKET_S for day in days]

    def _amount(self) -> int:
        return HUGE if self.huge and self.chance.random() < 0.3 else self.chance.randint(0, 500)

    async def _count(self, batches: Sequence[Batch]) -> None:
        generation = await self.read_model.serving()
        try:
            await self._commit(generation, batches, serving=True)
        except OverflowError:
            return
        self._history.append(batches)
        self._counted[generation] = len(self._history)

    async def _switch(self) -> None:
        """To a generation that comes out otherwise, or back to one that served."""
        retired = [number for number in self._counted if number != await self.read_model.serving()]
        generation = retired[-1] if retired and self.chance.random() < 0.7 else await self._begun()
        for batches in self._history[self._counted[generation] :]:
            await self._commit(generation, batches, serving=False)
        self._counted[generation] = len(self._history)
        await self.read_model.switch(generation, "another")

    async def _begun(self) -> int:
        generation = await self.read_model.begin_generation("rebuild")
        self._counted[generation] = 1
        await self._commit(generation, [replace(one, increments={}) for one in self._history[0]], serving=False)
        return generation

    async def _commit(self, generation: int, batches: Sequence[Batch], *, serving: bool) -> None:
        entries: list[InboxEntry] = []
        for batch in batches:
            entries += effect(generation, await self.read_model.position(generation, batch.tp), batch).entries
        increments = {name: rows for batch in batches for name, rows in batch.increments.items()}
        await self.read_model.commit(Effect(entries, increments), serving=serving)


async def outcome(reader: FiguresReader, question: Question) -> pl.DataFrame | str:
    """The answer, or why there is none."""
    try:
        return await figures(reader, question)
    except QuestionError as error:
        return str(error)


def same(one: pl.DataFrame | str, other: pl.DataFrame | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return isinstance(one, str) and isinstance(other, str) and one == other
    return one.schema == other.schema and one.equals(other)
