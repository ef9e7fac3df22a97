"""An answer of figures is of one moment, in every read model: whatever is committed while it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, TypeVar

import polars as pl
import pytest

from projections.catalogue import FIGURES
from projections.figures import Question, figures
from projections.read_model import FiguresReader, Increments, Period, ReadModel, SumsAsked

from .conftest import Open
from .effects import NOON, Batch, commit, sold, viewed

HOUR_S = 3600
READS = 25
Answer = TypeVar("Answer")


async def sell(read_model: ReadModel, number: int) -> None:
    """One unit and one view in the first hour, and as many in an hour of their own: the extent grows each time."""
    generation = await read_model.serving()
    for hour in (0, number):
        bucket = NOON + hour * HOUR_S
        increments: Increments = {**sold("a", 100, bucket=bucket), **viewed("a", 1, bucket=bucket)}
        await commit(read_model, generation, Batch(1, increments))


def is_of_one_moment(answer: pl.DataFrame) -> bool:
    """Sales and interest are equally far, and the first hour is one ahead of the others at the most."""
    (first, *others) = answer["units_sold"].to_list()
    return answer["views"].to_list() == [first, *others] and first - sum(others) in (0, 1)


class CountsBetween:
    """A reader under whose hands more is counted after each of its calls."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model
        self._numbers = count(1000)

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            answer = await getattr(self._read_model, name)(*args, **options)
            await sell(self._read_model, next(self._numbers))
            return answer

        return call


@pytest.mark.parametrize("by", [("hour",), ("product", "hour")], ids=",".join)
async def test_what_is_counted_between_two_reads_is_in_all_of_the_answer_or_in_none_of_it(
    read_model: ReadModel, by: tuple[str, ...]
) -> None:
    await sell(read_model, 1)
    reader: FiguresReader = CountsBetween(read_model)
    answer = await figures(reader, Question(by))
    assert answer.height > 1
    assert is_of_one_moment(answer), answer


@asynccontextmanager
async def others_count(open_read_model: Open[ReadModel]) -> AsyncIterator[None]:
    """For as long as the block lasts."""
    counting = await open_read_model()
    enough = asyncio.Event()

    async def count_on() -> None:
        for number in count(2):
            if enough.is_set():
                return
            await sell(counting, number)

    task = asyncio.create_task(count_on())
    try:
        yield
    finally:
        enough.set()
        await task


async def read_meanwhile(ask: Callable[[], Awaitable[Answer]], seen: Callable[[Answer], int]) -> list[Answer]:
    """Some answers, and more until the others were seen to count."""
    answers = [await ask() for _ in range(READS)]
    while seen(answers[-1]) == seen(answers[0]):
        answers.append(await ask())
    return answers


async def test_while_others_count_each_answer_is_of_one_moment(
    read_model: ReadModel, open_read_model: Open[ReadModel]
) -> None:
    await sell(read_model, 1)
    async with others_count(open_read_model):
        answers = await read_meanwhile(lambda: figures(read_model, Question(("hour",))), lambda answer: answer.height)
    assert [answer for answer in answers if not is_of_one_moment(answer)] == []


async def test_while_others_count_sums_come_with_the_positions_that_they_are_the_sums_of(
    read_model: ReadModel, open_read_model: Open[ReadModel]
) -> None:
    await sell(read_model, 1)
    generation = await read_model.serving()
    asked = SumsAsked([Period("ever", 0, 2**40)])
    async with others_count(open_read_model):
        found = await read_meanwhile(
            lambda: read_model.sums(generation, ["sales"], asked), lambda one: one.progress[0].next_offset
        )
    counted = [(one.rows["sales"]["orders"].to_list(), [part.next_offset for part in one.progress]) for one in found]
    assert [(orders, records) for orders, records in counted if orders != records] == []


async def test_without_a_figure_there_is_an_answer_without_rows(read_model: ReadModel) -> None:
    answer = await figures(read_model, Question(("product", "day")))
    assert answer.height == 0
    assert {"product_id", "day", "currency"} < set(answer.columns)
    assert {metric.name for one in FIGURES for metric in one.metrics} < set(answer.columns)
