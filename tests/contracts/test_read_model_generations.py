"""What every read model promises of generations: one serves, others are built, kept or given up."""

from __future__ import annotations

import asyncio

import pytest

from event_store.errors import GenerationChanged
from event_store.inbox import Position
from projections.read_model import Generation, ReadModel, State

from .conftest import Elapse, Open
from .effects import OTHER, TP, Batch, commit, effect, gross, sold


async def states(read_model: ReadModel) -> dict[int, State]:
    return {one.number: one.state for one in await read_model.generations()}


async def generation(read_model: ReadModel, number: int) -> Generation:
    return next(one for one in await read_model.generations() if one.number == number)


async def built(read_model: ReadModel, *batches: Batch) -> int:
    """A second generation that has counted `batches`."""
    number = await read_model.begin_generation("rebuild")
    for batch in batches:
        await commit(read_model, number, batch, serving=False)
    return number


async def test_there_is_always_one_serving_generation(read_model: ReadModel, open_read_model: Open[ReadModel]) -> None:
    doors = [read_model, await open_read_model(), await open_read_model()]
    (first, *others) = await asyncio.gather(*(door.serving() for door in doors))
    assert others == [first, first]
    assert await states(read_model) == {first: State.SERVING}


async def test_a_new_generation_begins_empty_beside_the_serving_one(read_model: ReadModel) -> None:
    first = await read_model.serving()
    await commit(read_model, first, Batch(3, sold("a", 1), foreign_ids=[("shop", "x")], dead=[(0, b"?")]))
    second = await read_model.begin_generation("a new metric")
    assert await states(read_model) == {first: State.SERVING, second: State.BUILDING}
    assert (await generation(read_model, second)).note == "a new metric"
    assert (await generation(read_model, second)).served_at_us is None
    assert await read_model.serving() == first
    assert await read_model.position(second, TP) == Position()
    assert (await read_model.rows(second, "sales")).height == 0
    assert await read_model.known_ids(second, [("shop", "x")]) == set()
    assert await read_model.dead_letters(second) == []


async def test_generations_count_the_same_records_each_for_itself(read_model: ReadModel) -> None:
    first = await read_model.serving()
    batch = Batch(3, sold("a", 5), foreign_ids=[("shop", "x")], dead=[(0, b"?")])
    await commit(read_model, first, batch)
    second = await built(read_model, batch)
    await commit(read_model, second, Batch(1, sold("a", 2)), serving=False)
    assert (await gross(read_model, first), await gross(read_model, second)) == ({"a": 5}, {"a": 7})
    assert (await read_model.position(first, TP)).next_offset == 3
    assert (await read_model.position(second, TP)).next_offset == 4


async def test_a_switch_makes_the_new_generation_serve_and_keeps_the_old(
    read_model: ReadModel, open_read_model: Open[ReadModel], elapse: Elapse
) -> None:
    first = await read_model.serving()
    await commit(read_model, first, Batch(3, sold("a", 5)))
    second = await built(read_model, Batch(3, sold("a", 6)))
    await elapse(0.01)
    await read_model.switch(second, "differences are explained")
    assert await (await open_read_model()).serving() == second
    assert await states(read_model) == {first: State.RETIRED, second: State.SERVING}
    now = await generation(read_model, second)
    assert now.note == "differences are explained"
    assert (now.served_at_us or 0) > now.created_at_us
    assert await gross(read_model, first) == {"a": 5}


async def test_a_generation_that_is_ahead_may_serve(read_model: ReadModel) -> None:
    first = await read_model.serving()
    await commit(read_model, first, Batch(3))
    second = await built(read_model, Batch(4), Batch(2, tp=OTHER))
    await read_model.switch(second, "ahead")
    assert await read_model.serving() == second


@pytest.mark.parametrize("batches", [[], [Batch(2)], [Batch(3)], [Batch(2), Batch(9, tp=OTHER)]])
async def test_a_generation_that_is_behind_in_any_partition_may_not_serve(
    read_model: ReadModel, batches: list[Batch]
) -> None:
    first = await read_model.serving()
    await commit(read_model, first, Batch(3))
    await commit(read_model, first, Batch(1, tp=OTHER))
    second = await built(read_model, *batches)
    with pytest.raises(GenerationChanged):
        await read_model.switch(second, "too early")
    assert await read_model.serving() == first
    assert await states(read_model) == {first: State.SERVING, second: State.BUILDING}


async def test_a_generation_that_is_not_there_or_was_given_up_may_not_serve(read_model: ReadModel) -> None:
    first = await read_model.serving()
    second = await built(read_model)
    await read_model.abandon(second, "refused")
    for number in (second, second + 1):
        with pytest.raises(GenerationChanged):
            await read_model.switch(number, "never")
    assert await read_model.serving() == first


async def test_after_a_switch_a_batch_made_for_the_old_state_is_refused(read_model: ReadModel) -> None:
    first = await read_model.serving()
    second = await built(read_model)
    for_readers = effect(first, Position(), Batch(1, sold("a", 5)))
    for_rebuild = effect(second, Position(), Batch(1, sold("a", 5)))
    await read_model.switch(second, "caught up")
    with pytest.raises(GenerationChanged):
        await read_model.commit(for_readers, serving=True)
    with pytest.raises(GenerationChanged):
        await read_model.commit(for_rebuild, serving=False)
    assert (await gross(read_model, first), await gross(read_model, second)) == ({}, {})
    await read_model.commit(for_rebuild, serving=True)
    assert await gross(read_model, second) == {"a": 5}


async def test_the_old_generation_can_catch_up_and_serve_again(read_model: ReadModel) -> None:
    first = await read_model.serving()
    second = await built(read_model)
    await read_model.switch(second, "forward")
    await commit(read_model, second, Batch(3, sold("a", 5)))
    with pytest.raises(GenerationChanged):
        await read_model.switch(first, "back too early")
    await commit(read_model, first, Batch(3, sold("a", 4)), serving=False)
    await read_model.switch(first, "back")
    assert await read_model.serving() == first
    assert await states(read_model) == {first: State.SERVING, second: State.RETIRED}
    assert await gross(read_model, first) == {"a": 4}


async def test_what_a_dead_rebuild_left_behind_is_emptied_by_the_next_one(read_model: ReadModel) -> None:
    await read_model.serving()
    left = await built(read_model, Batch(3, sold("a", 5), foreign_ids=[("shop", "x")], dead=[(0, b"?")]))
    next_one = await read_model.begin_generation("again")
    assert next_one > left
    assert (await states(read_model))[left] is State.ABANDONED
    assert await gross(read_model, left) == {}
    assert await gross(read_model, next_one) == {}


async def test_an_abandoned_generation_keeps_nothing_and_takes_nothing(read_model: ReadModel) -> None:
    first = await read_model.serving()
    await commit(read_model, first, Batch(3, sold("a", 5), foreign_ids=[("shop", "x")], dead=[(0, b"?")]))
    second = await built(read_model, Batch(3, sold("a", 6), foreign_ids=[("shop", "x")], dead=[(0, b"?")]))
    await read_model.abandon(second, "three differences")
    assert (await generation(read_model, second)).state is State.ABANDONED
    assert (await generation(read_model, second)).note == "three differences"
    assert await gross(read_model, second) == {}
    assert await read_model.dead_letters(second) == []
    assert await read_model.known_ids(second, [("shop", "x")]) == set()
    assert await read_model.position(second, TP) == Position()
    with pytest.raises(GenerationChanged):
        await read_model.commit(effect(second, Position(), Batch(1, sold("a", 5))), serving=False)
    assert await gross(read_model, first) == {"a": 5}
    assert len(await read_model.dead_letters(first)) == 1


async def test_the_serving_generation_can_not_be_abandoned(read_model: ReadModel) -> None:
    first = await read_model.serving()
    await commit(read_model, first, Batch(3, sold("a", 5)))
    with pytest.raises(GenerationChanged):
        await read_model.abandon(first, "by mistake")
    assert await states(read_model) == {first: State.SERVING}
    assert await gross(read_model, first) == {"a": 5}


async def test_a_switch_is_news_for_those_who_show_figures(
    read_model: ReadModel, open_read_model: Open[ReadModel]
) -> None:
    await read_model.serving()
    second = await built(read_model)
    shown = await open_read_model()
    await shown.wait_for_news(0)
    await read_model.switch(second, "caught up")
    async with asyncio.timeout(1):
        assert await shown.wait_for_news(10)


async def test_a_switch_and_a_batch_at_once_leave_no_batch_in_a_retired_generation(read_model: ReadModel) -> None:
    first = await read_model.serving()
    second = await built(read_model)
    outcomes = await asyncio.gather(
        read_model.commit(effect(first, Position(), Batch(1, sold("a", 5))), serving=True),
        read_model.switch(second, "at once"),
        return_exceptions=True,
    )
    assert [isinstance(outcome, GenerationChanged) for outcome in outcomes].count(True) == 1
    serving = await read_model.serving()
    assert await gross(read_model, serving) == ({"a": 5} if serving == first else {})
