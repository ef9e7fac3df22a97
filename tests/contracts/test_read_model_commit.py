"""What a batch's commit promises in every read model (projections/read_model.py, event_store/inbox.py)."""

from __future__ import annotations

import asyncio

import pytest

from event_store.errors import ForeignIdTaken, GenerationChanged, PositionMoved
from event_store.handled import HandledRanges
from event_store.inbox import Position
from projections.interest import INTEREST
from projections.read_model import Effect, PartitionProgress, ReadModel

from .conftest import Open
from .effects import APPENDED_AT_US, OTHER, SOURCE, TP, Batch, commit, effect, gross, letter, rows, sold

WITH_OLDER_SERVERS = True


async def test_before_the_first_batch_a_partition_stands_at_offset_zero(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    assert await read_model.position(generation, TP) == Position(0, None, {})
    assert await read_model.progress(generation) == []


async def test_a_batch_moves_position_fingerprint_and_handled_ranges_with_its_figures(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    await commit(read_model, generation, Batch(3, sold("85123A", 510)))
    assert await read_model.position(generation, TP) == Position(3, 21, {SOURCE: HandledRanges(((1, 3),))})
    assert await gross(read_model, generation) == {"85123A": 510}
    assert await read_model.position(generation, OTHER) == Position()


async def test_a_second_batch_from_the_same_position_is_refused_whole(
    read_model: ReadModel, open_read_model: Open[ReadModel]
) -> None:
    generation = await read_model.serving()
    paused = Batch(2, sold("85123A", 510), foreign_ids=[("shop", "a")], dead=[(1, b"?")])
    zombie = effect(generation, Position(), paused)
    await commit(await open_read_model(), generation, Batch(3, sold("85123A", 100)))
    with pytest.raises(PositionMoved) as moved:
        await read_model.commit(zombie, serving=True)
    assert moved.value.next_offset == 3
    assert await gross(read_model, generation) == {"85123A": 100}
    assert await read_model.dead_letters(generation) == []
    assert await read_model.known_ids(generation, [("shop", "a")]) == set()
    assert (await read_model.position(generation, TP)).next_offset == 3


async def test_a_batch_from_beyond_the_position_is_refused(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    with pytest.raises(PositionMoved):
        await read_model.commit(effect(generation, Position(5), Batch(1, sold("85123A", 510))), serving=True)
    assert await gross(read_model, generation) == {}
    assert await read_model.position(generation, TP) == Position()


async def test_of_many_that_commit_the_same_batch_one_is_counted(
    read_model: ReadModel, open_read_model: Open[ReadModel]
) -> None:
    generation = await read_model.serving()
    doors = [read_model, await open_read_model()] * 3
    batch = effect(generation, Position(), Batch(2, sold("85123A", 510)))
    outcomes = await asyncio.gather(*(door.commit(batch, serving=True) for door in doors), return_exceptions=True)
    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, PositionMoved) for outcome in outcomes) == 5
    assert await gross(read_model, generation) == {"85123A": 510}


async def test_partitions_are_counted_independently(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    await asyncio.gather(
        commit(read_model, generation, Batch(3, sold("85123A", 510))),
        commit(read_model, generation, Batch(5, sold("85123A", 90), tp=OTHER)),
    )
    assert await gross(read_model, generation) == {"85123A": 600}
    assert (await read_model.position(generation, TP)).next_offset == 3
    assert (await read_model.position(generation, OTHER)).next_offset == 5


async def test_batches_of_several_partitions_are_committed_together(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    await read_model.commit(_together(generation, Batch(3, sold("85123A", 600)), Batch(5, tp=OTHER)), serving=True)
    assert await gross(read_model, generation) == {"85123A": 600}
    assert [await read_model.position(generation, tp) for tp in (TP, OTHER)] == [
        Position(3, 21, {SOURCE: HandledRanges(((1, 3),))}),
        Position(5, 35, {SOURCE: HandledRanges(((1, 5),))}),
    ]


async def test_where_one_of_several_batches_is_refused_none_is_counted(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    together = _together(generation, Batch(3, sold("85123A", 600), foreign_ids=[("shop", "a")]), Batch(5, tp=OTHER))
    await commit(read_model, generation, Batch(1, tp=OTHER))
    with pytest.raises(PositionMoved) as moved:
        await read_model.commit(together, serving=True)
    assert moved.value.next_offset == 1
    assert await gross(read_model, generation) == {}
    assert await read_model.position(generation, TP) == Position()
    assert await read_model.known_ids(generation, [("shop", "a")]) == set()


async def test_an_id_that_two_batches_bring_together_is_refused(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    ids = [("shop", "a")]
    together = _together(generation, Batch(3, foreign_ids=ids), Batch(5, foreign_ids=ids, tp=OTHER))
    with pytest.raises(ForeignIdTaken):
        await read_model.commit(together, serving=True)
    assert await read_model.position(generation, TP) == Position()


def _together(generation: int, first: Batch, second: Batch) -> Effect:
    """Two batches, each the first of its partition; the figures are the first one's."""
    entries = [*effect(generation, Position(), first).entries, *effect(generation, Position(), second).entries]
    return Effect(entries, first.increments)


async def test_handled_ranges_come_back_exactly_with_their_holes(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    steps = [
        {SOURCE: HandledRanges(((1, 3), (7, 9), (12, 12)))},
        {SOURCE: HandledRanges(((1, 9), (12, 20))), "another/1": HandledRanges(((4, 4),))},
        {SOURCE: HandledRanges(((1, 20),)), "another/1": HandledRanges(((2, 2), (4, 4)))},
    ]
    for handled in steps:
        await commit(read_model, generation, Batch(handled=handled))
        assert dict((await read_model.position(generation, TP)).handled) == handled


async def test_holes_of_the_handled_ranges_are_shown_by_source(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    handled = {SOURCE: HandledRanges(((3, 4), (7, 9))), "whole/1": HandledRanges(((1, 5),))}
    await commit(read_model, generation, Batch(handled=handled))
    [progress] = await read_model.progress(generation)
    assert {source: list(holes) for source, holes in progress.holes.items()} == {SOURCE: [(1, 2), (5, 6)]}


async def test_progress_adds_up_duplicates_and_dead_letters(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    await commit(read_model, generation, Batch(3, dead=[(1, b"?")], duplicates=2))
    await commit(read_model, generation, Batch(4, dead=[(3, b"?"), (4, None)], duplicates=1))
    [progress] = await read_model.progress(generation)
    counted_at_us = progress.counted_at_us
    assert counted_at_us is not None
    assert counted_at_us > 1_600_000_000_000_000
    assert progress == PartitionProgress(TP, 7, APPENDED_AT_US + 7, counted_at_us, 3, 3, {}, None, 3)


async def test_the_reason_of_a_stop_is_shown_until_it_is_taken_back(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    await commit(read_model, generation, Batch(3))
    await read_model.note_stop(generation, TP, "the log was recreated")
    await read_model.note_stop(generation, OTHER, "history is lost")
    shown = {one.tp: (one.stopped, one.next_offset) for one in await read_model.progress(generation)}
    assert shown == {TP: ("the log was recreated", 3), OTHER: ("history is lost", 0)}
    await read_model.note_stop(generation, TP, None)
    assert {one.tp: one.stopped for one in await read_model.progress(generation)}[TP] is None
    await commit(read_model, generation, Batch(2, tp=OTHER))
    assert (await read_model.position(generation, OTHER)).next_offset == 2


@pytest.mark.parametrize("raw", [None, b"", b"\x00\xff\xfe", "{äöü".encode(), b"x" * 262_144])
async def test_a_dead_letter_keeps_the_raw_bytes(read_model: ReadModel, raw: bytes | None) -> None:
    generation = await read_model.serving()
    await commit(read_model, generation, Batch(3, sold("85123A", 510), dead=[(1, raw)]))
    assert list(await read_model.dead_letters(generation)) == [letter(1, raw)]
    assert await gross(read_model, generation) == {"85123A": 510}


async def test_the_newest_dead_letters_come_first(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    await commit(read_model, generation, Batch(5, dead=[(0, b"a"), (1, b"b")]))
    await commit(read_model, generation, Batch(5, dead=[(7, b"c")]))
    newest = await read_model.dead_letters(generation, 2)
    assert [one.offset for one in newest] == [7, 1]


async def test_foreign_ids_are_known_once_their_batch_is_committed(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    ids = [("shop", "a"), ("shop", "b"), ("till", "a")]
    await commit(read_model, generation, Batch(2, foreign_ids=ids[:2]))
    assert await read_model.known_ids(generation, ids) == set(ids[:2])
    assert await read_model.known_ids(generation, []) == set()


async def test_a_batch_with_a_foreign_id_handled_meanwhile_is_refused_whole(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    await commit(read_model, generation, Batch(1, foreign_ids=[("shop", "a")], tp=OTHER))
    with pytest.raises(ForeignIdTaken):
        await commit(read_model, generation, Batch(2, sold("85123A", 510), foreign_ids=[("shop", "b"), ("shop", "a")]))
    assert await gross(read_model, generation) == {}
    assert await read_model.position(generation, TP) == Position()
    assert await read_model.known_ids(generation, [("shop", "b")]) == set()


@pytest.mark.parametrize("sign", [1, -1])
async def test_a_batch_that_would_bring_a_figure_beyond_64_bits_is_refused_whole(
    read_model: ReadModel, sign: int
) -> None:
    generation = await read_model.serving()
    nearly = {"product_id": "85123A", "views": sign * 2**62}
    await commit(read_model, generation, Batch(1, rows(INTEREST, nearly)))
    before = await read_model.snapshot(generation)
    others = {**sold("22423", 510), **rows(INTEREST, {**nearly, "views": sign * 2**63 * 3 // 4})}
    with pytest.raises(OverflowError, match="interest"):
        await commit(read_model, generation, Batch(2, others, foreign_ids=[("shop", "a")], dead=[(1, b"?")]))
    after = await read_model.snapshot(generation)
    assert (after.positions, after.dead) == (before.positions, before.dead)
    assert {name: frame.rows() for name, frame in after.rows.items()} == {
        name: frame.rows() for name, frame in before.rows.items()
    }
    assert await read_model.known_ids(generation, [("shop", "a")]) == set()


async def test_figures_of_several_keys_may_be_larger_together_than_one_may_be(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    largest = 2**63 - 1
    await commit(read_model, generation, Batch(1, {**sold("85123A", largest - 1)}))
    await commit(read_model, generation, Batch(1, {**sold("22423", largest)}))
    await commit(read_model, generation, Batch(1, {**sold("85123A", 1)}))
    assert await gross(read_model, generation) == {"22423": largest, "85123A": largest}


async def test_a_batch_for_a_generation_that_is_not_there_is_refused(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    for serving in (True, False):
        with pytest.raises(GenerationChanged):
            await commit(read_model, generation + 1, Batch(1, sold("85123A", 510)), serving=serving)
    assert await read_model.progress(generation + 1) == []


async def test_a_batch_that_takes_the_serving_generation_for_another_is_refused(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    with pytest.raises(GenerationChanged):
        await commit(read_model, generation, Batch(1, sold("85123A", 510)), serving=False)
    assert await gross(read_model, generation) == {}


@pytest.mark.notified
async def test_a_commit_is_news_for_those_who_show_figures(
    read_model: ReadModel, open_read_model: Open[ReadModel]
) -> None:
    generation = await read_model.serving()
    shown = await open_read_model()
    await shown.wait_for_news(0)
    waiting = asyncio.create_task(shown.wait_for_news(10))
    await asyncio.sleep(0.01)
    await commit(read_model, generation, Batch(1, sold("85123A", 510)))
    async with asyncio.timeout(1):
        assert await waiting
    assert not await shown.wait_for_news(0.01)


async def test_what_is_committed_is_there_for_who_opens_it_next(
    read_model: ReadModel, open_read_model: Open[ReadModel]
) -> None:
    generation = await read_model.serving()
    await commit(read_model, generation, Batch(3, sold("85123A", 510), dead=[(1, b"?")]))
    next_one = await open_read_model()
    assert await next_one.serving() == generation
    assert await next_one.position(generation, TP) == await read_model.position(generation, TP)
    assert (await next_one.rows(generation, "sales")).equals(await read_model.rows(generation, "sales"))
    assert await next_one.dead_letters(generation) == await read_model.dead_letters(generation)
