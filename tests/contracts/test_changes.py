"""What every read model says of figures that changed since a version: enough to bring kept ones up to date."""

from __future__ import annotations

import pytest
from polars.testing import assert_frame_equal

from event_store.inbox import InboxEntry
from projections.catalogue import FIGURES
from projections.read_model import Changes, Effect, FiguresVersion, Increments, ReadModel
from projections.returns import RETURNS
from projections.sales import SALES

from .conftest import Elapse, Open
from .effects import NOON, OTHER, TP, Batch, commit, effect, listing, rows, sold, viewed

WITH_OLDER_SERVERS = True
DAY_S = 86_400
TODAY = NOON // DAY_S
MANY = 1_000_000


def on(day: int, product: str = "a") -> Increments:
    return sold(product, 100, bucket=NOON + (day - TODAY) * DAY_S)


async def changed(read_model: ReadModel, since: FiguresVersion | None) -> Changes:
    changes = await read_model.changes(since, MANY)
    assert changes is not None
    assert changes.version == await read_model.version()
    for one in FIGURES:
        rows = await read_model.rows(changes.version.generation, one.name)
        assert_frame_equal(changes.rows[one.name], rows.filter((rows["bucket"] // DAY_S).is_in(list(changes.days))))
    return changes


async def days_since(read_model: ReadModel, since: FiguresVersion) -> list[int]:
    return list((await changed(read_model, since)).days)


async def test_since_nothing_everything_has_changed(read_model: ReadModel) -> None:
    assert list((await changed(read_model, None)).days) == []
    await commit(read_model, await read_model.serving(), Batch(1, {**on(TODAY), **listing("a", 1, "A")}))
    await commit(read_model, await read_model.serving(), Batch(1, {**on(TODAY + 30), **viewed("b", 3)}))
    changes = await changed(read_model, None)
    assert list(changes.days) == list(range(TODAY, TODAY + 31))
    assert {name: rows.height for name, rows in changes.rows.items()} == {"sales": 2, "returns": 0, "interest": 1}


async def test_a_refund_changes_its_own_day_and_that_of_its_sale(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    for day in (TODAY - 40, TODAY - 1, TODAY):
        await commit(read_model, generation, Batch(1, on(day)))
    before = await read_model.version()
    (now, sale) = ({"product_id": "a", "bucket": NOON}, {"product_id": "a", "bucket": NOON - 40 * DAY_S})
    increments = {
        **rows(SALES, {**now, "refunds": 1, "refunded_minor": 70}),
        **rows(RETURNS, {**now, "traced_refunds": 1}, {**sale, "sale_refunds": 1, "sale_refunded_minor": 70}),
    }
    await commit(read_model, generation, Batch(1, increments))
    assert await days_since(read_model, before) == [TODAY - 40, TODAY]


async def test_only_the_days_that_were_counted_since_have_changed(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    for day in (TODAY, TODAY + 1, TODAY + 2):
        await commit(read_model, generation, Batch(1, on(day)))
    before = await read_model.version()
    assert await days_since(read_model, before) == []
    await commit(read_model, generation, Batch(1, on(TODAY + 1, "late")))
    between = await read_model.version()
    await commit(read_model, generation, Batch(1, on(TODAY + 3)))
    assert await days_since(read_model, before) == [TODAY + 1, TODAY + 3]
    assert await days_since(read_model, between) == [TODAY + 3]


async def test_a_batch_of_several_days_changes_each_of_them(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    before = await read_model.version()
    views = viewed("b", 1, bucket=NOON - 40 * DAY_S)
    both: Increments = {"sales": on(TODAY)["sales"].vstack(on(TODAY + 8)["sales"]), **views}
    await commit(read_model, generation, Batch(1, both))
    assert await days_since(read_model, before) == [TODAY - 40, TODAY, TODAY + 8]


async def test_what_changes_no_figure_changes_no_day(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    await commit(read_model, generation, Batch(1, on(TODAY)))
    before = await read_model.version()
    await commit(read_model, generation, Batch(5, duplicates=5))
    await commit(read_model, generation, Batch(1, listing("a", 2, "A")))
    assert await days_since(read_model, before) == []
    assert await read_model.version() != before


async def test_each_partition_changes_days_for_itself(read_model: ReadModel, open_read_model: Open[ReadModel]) -> None:
    generation = await read_model.serving()
    other = await open_read_model()
    await commit(read_model, generation, Batch(1000, on(TODAY)))
    before = await read_model.version()
    await commit(other, generation, Batch(1, on(TODAY + 1), tp=OTHER))
    await commit(read_model, generation, Batch(1, on(TODAY + 2)))
    assert await days_since(read_model, before) == [TODAY + 1, TODAY + 2]


@pytest.mark.parametrize("idle", [None, TP, OTHER])
async def test_batches_counted_together_change_their_days(read_model: ReadModel, idle: object) -> None:
    """Also where one of the partitions had nothing."""
    generation = await read_model.serving()
    for tp in (TP, OTHER):
        await commit(read_model, generation, Batch(7, on(TODAY), tp=tp))
    before = await read_model.version()
    entries: list[InboxEntry] = []
    for tp in (TP, OTHER):
        batch = Batch(0 if tp == idle else 1, tp=tp)
        entries += effect(generation, await read_model.position(generation, tp), batch).entries
    await read_model.commit(Effect(entries, on(TODAY + 5)), serving=True)
    assert await days_since(read_model, before) == [TODAY + 5]


async def test_what_is_more_than_asked_for_is_not_read(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    before = await read_model.version()
    for product in ("a", "b", "c"):
        await commit(read_model, generation, Batch(1, on(TODAY, product)))
    assert await read_model.changes(None, 2) is None
    assert await read_model.changes(before, 2) is None
    assert await read_model.changes(before, 3) is not None


async def test_nothing_is_said_of_a_version_of_another_generation(read_model: ReadModel, elapse: Elapse) -> None:
    generation = await read_model.serving()
    await commit(read_model, generation, Batch(1, on(TODAY)))
    before = await read_model.version()
    rebuilt = await read_model.begin_generation("rebuild")
    await commit(read_model, rebuilt, Batch(1, on(TODAY)), serving=False)
    assert await days_since(read_model, before) == []
    await read_model.switch(rebuilt, "rebuild")
    there = await read_model.version()
    assert await read_model.changes(before, MANY) is None
    await elapse(0.001)
    await read_model.switch(generation, "and back")
    assert await read_model.changes(before, MANY) is None
    assert await read_model.changes(there, MANY) is None
    assert await days_since(read_model, await read_model.version()) == []


async def test_a_generation_built_where_another_was_given_up_has_changed_only_its_own_days(
    read_model: ReadModel,
) -> None:
    generation = await read_model.serving()
    given_up = await read_model.begin_generation("rebuild")
    await commit(read_model, given_up, Batch(9, on(TODAY)), serving=False)
    await read_model.abandon(given_up, "refused")
    before = await read_model.version()
    await commit(read_model, generation, Batch(1, on(TODAY + 1)))
    assert await days_since(read_model, before) == [TODAY + 1]
