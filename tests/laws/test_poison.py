"""Records that can't be read: kept as dead letters beside their good neighbours, until there are too many of them."""

from __future__ import annotations

import pytest

from event_store.errors import TooManyDeadLetters
from event_store.events import ProductView
from projections.catalogue import PROJECTIONS
from projections.projector import Projector
from projections.read_model import ReadModel

from .histories import Event
from .line import CATALOG, Line, assert_figures

POISON = b"not JSON"


def _good(count: int, first: int = 1) -> list[bytes | None]:
    return [Event(ProductView("lantern", "v", "GBP"), 0).placed("/a", first + number) for number in range(count)]


async def _projector(line: Line, figures: ReadModel, limit: int | None = 100) -> Projector:
    return Projector(figures, await figures.serving(), True, PROJECTIONS, line.codec, dead_letter_limit=limit)


@pytest.mark.parametrize("max_records", [1, 50, 3000])
async def test_a_hundred_among_ten_thousand_are_buried_and_their_neighbours_counted(
    line: Line, figures: ReadModel, max_records: int
) -> None:
    values = _good(150)
    for at in range(100):
        values.insert(at * 2, POISON)
    await line.append(CATALOG, values)
    await line.count_live(CATALOG, await _projector(line, figures), max_records)
    await assert_figures(figures, line.oracle())
    letters = await figures.dead_letters(1)
    assert sorted(letter.offset for letter in letters) == list(range(0, 200, 2))
    assert {(letter.raw, letter.reason) for letter in letters} == {(POISON, "NOT_JSON")}


@pytest.mark.parametrize("max_records", [1, 7, 3000])
async def test_nothing_but_poison_stops_the_partition_and_nothing_is_skipped(
    line: Line, figures: ReadModel, max_records: int
) -> None:
    await line.append(CATALOG, [*_good(10), *[POISON] * 500, *_good(10, 11)])
    with pytest.raises(TooManyDeadLetters, match="catalog-events/0"):
        await line.count_live(CATALOG, await _projector(line, figures), max_records)
    position = await figures.position(1, CATALOG)
    letters = await figures.dead_letters(1)
    assert len(letters) <= 100
    assert position.next_offset <= 10 + 100
    assert len(letters) == max(0, position.next_offset - 10)
    with pytest.raises(TooManyDeadLetters):
        await line.count_live(CATALOG, await _projector(line, figures, limit=0), max_records)
    assert await figures.position(1, CATALOG) == position


async def test_a_stopped_partition_goes_on_where_it_stood_once_an_operator_lets_it(
    line: Line, figures: ReadModel
) -> None:
    await line.append(CATALOG, [*_good(10), *[POISON] * 500, *_good(10, 11)])
    with pytest.raises(TooManyDeadLetters):
        await line.count_live(CATALOG, await _projector(line, figures), 50)
    await line.count_live(CATALOG, await _projector(line, figures, limit=1000), 50)
    await assert_figures(figures, line.oracle())
    assert len(await figures.dead_letters(1)) == 500


async def test_poison_long_ago_is_forgotten(line: Line) -> None:
    """The limit is for the last ten thousand records, not for ever."""
    projector = await _projector(line, line.read_model, limit=10)
    for round_ in range(3):
        await line.append(CATALOG, [*[POISON] * 8, *_good(10_000, 1 + round_ * 10_000)])
        await line.count_live(CATALOG, projector)
    assert len(await line.read_model.dead_letters(1)) == 24
