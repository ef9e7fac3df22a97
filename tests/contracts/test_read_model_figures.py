"""What every read model promises of its figures: merges, sums and order (projections/read_model.py)."""

from __future__ import annotations

import asyncio
from itertools import permutations

import polars as pl
import pytest

from event_store.inbox import Position
from projections.interest import INTEREST
from projections.read_model import Increments, Period, ReadModel, SumsAsked
from projections.returns import RETURNS
from projections.sales import SALES

from .effects import BUCKET, NOON, OTHER, TP, Batch, commit, effect, listing, rows, sold, viewed

MORNING = Period("morning", NOON - 4 * BUCKET, NOON)
AFTERNOON = Period("afternoon", NOON, NOON + 4 * BUCKET)


def both(*parts: Increments) -> Increments:
    return {name: frame for part in parts for name, frame in part.items()}


async def counted(read_model: ReadModel, *batches: Increments) -> int:
    generation = await read_model.serving()
    for increments in batches:
        await commit(read_model, generation, Batch(1, increments))
    return generation


async def sums_of(read_model: ReadModel, generation: int, asked: SumsAsked) -> pl.DataFrame:
    return (await read_model.sums(generation, ["sales"], asked)).rows["sales"]


async def test_without_a_batch_there_are_columns_and_no_rows(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    for projection in (SALES, INTEREST):
        frame = await read_model.rows(generation, projection.name)
        assert (frame.height, tuple(frame.columns)) == (0, projection.columns)
    assert frame.schema["bucket"] == pl.Int64
    assert frame.schema["product_id"] == pl.String


async def test_increments_of_one_cell_add_up(read_model: ReadModel) -> None:
    (lantern, stand) = ({"product_id": "85123A"}, {"product_id": "22423"})
    generation = await counted(
        read_model,
        rows(SALES, {**lantern, "orders": 1, "units_sold": 3}, {**stand, "orders": 1, "gross_minor": 100}),
        rows(SALES, {**lantern, "orders": 2, "units_sold": 4, "gross_minor": 700, "refunded_minor": 50}),
    )
    assert (await read_model.rows(generation, "sales")).equals(
        rows(
            SALES,
            {**stand, "orders": 1, "gross_minor": 100},
            {**lantern, "orders": 3, "units_sold": 7, "gross_minor": 700, "refunded_minor": 50},
        )["sales"]
    )


async def test_increments_may_be_negative(read_model: ReadModel) -> None:
    generation = await counted(read_model, viewed("22423", 0, 1), viewed("22423", 0, -3), viewed("22423", 2, 1))
    assert (await read_model.rows(generation, "interest")).equals(viewed("22423", 2, -1)["interest"])


async def test_figures_stay_exact_where_a_float_would_not(read_model: ReadModel) -> None:
    generation = await counted(read_model, sold("22423", 2**53), sold("22423", 1))
    assert (await read_model.rows(generation, "sales"))["gross_minor"].to_list() == [2**53 + 1]


async def test_rows_are_sorted_by_their_key(read_model: ReadModel) -> None:
    products = ["b", "B", "a", "ä", "10", "9"]
    parts = [sold(product, 1, bucket=at) for product in products for at in (NOON + BUCKET, NOON)]
    generation = await counted(read_model, *parts, sold("a", 1, currency="EUR"))
    keys = (await read_model.rows(generation, "sales")).select(SALES.key).rows()
    assert len(keys) == 13
    assert keys == sorted(keys)


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_latest_version_stays_whatever_the_order(read_model: ReadModel, order: tuple[int, ...]) -> None:
    versions = [listing("22423", 1, "Cakestand", 1275), listing("22423", 3, "Stand", 900), listing("22423", 2, "Z", 5)]
    generation = await counted(read_model, *(versions[index] for index in order))
    assert (await read_model.rows(generation, "listing")).rows() == [("22423", 3, "Stand", 900, "GBP")]


async def test_of_two_listings_with_one_version_the_same_stays_whatever_the_order(read_model: ReadModel) -> None:
    (one, two) = (listing("22423", 2, "Cakestand", 900), listing("22423", 2, "Stand", 100))
    generation = await counted(read_model, one, two)
    forward = (await read_model.rows(generation, "listing")).rows()
    second = await read_model.begin_generation("the other way round")
    for increments in (two, one):
        await commit(read_model, second, Batch(1, increments), serving=False)
    assert (await read_model.rows(second, "listing")).rows() == forward


@pytest.mark.parametrize("name", ["", "quote ' and \"", "tab\there", "äöü €", "100 %", "\\", "null", "1"])
async def test_text_comes_back_as_it_was(read_model: ReadModel, name: str) -> None:
    generation = await counted(read_model, listing(f"id {name}", 1, name))
    assert (await read_model.rows(generation, "listing")).rows() == [(f"id {name}", 1, name, 100, "GBP")]


async def test_one_batch_writes_several_projections(read_model: ReadModel) -> None:
    generation = await counted(read_model, both(sold("22423", 100), viewed("22423", 7), listing("22423", 1, "Stand")))
    heights = {name: (await read_model.rows(generation, name)).height for name in ("sales", "interest", "listing")}
    assert heights == {"sales": 1, "interest": 1, "listing": 1}


async def test_sums_by_product_are_per_period_and_currency(read_model: ReadModel) -> None:
    generation = await counted(
        read_model,
        sold("b", 10, bucket=NOON),
        sold("b", 5, bucket=NOON + BUCKET),
        sold("b", 7, bucket=NOON, currency="EUR"),
        sold("a", 3, bucket=NOON - BUCKET),
    )
    sums = await sums_of(read_model, generation, SumsAsked([MORNING, AFTERNOON], by_product=True))
    assert sums.columns == ["product_id", "period", "currency", *(metric.name for metric in SALES.metrics)]
    assert sums.select("product_id", "period", "currency", "orders", "gross_minor").rows() == [
        ("a", "morning", "GBP", 1, 3),
        ("b", "afternoon", "EUR", 1, 7),
        ("b", "afternoon", "GBP", 2, 15),
    ]


async def test_sums_over_all_products_are_per_period_and_currency(read_model: ReadModel) -> None:
    generation = await counted(
        read_model, sold("b", 10), sold("a", 5), sold("c", 7, currency="EUR"), sold("a", 3, bucket=NOON - BUCKET)
    )
    sums = await sums_of(read_model, generation, SumsAsked([MORNING, AFTERNOON]))
    assert sums.columns == ["period", "currency", *(metric.name for metric in SALES.metrics)]
    assert sums.select("period", "currency", "gross_minor").rows() == [
        ("afternoon", "EUR", 7),
        ("afternoon", "GBP", 15),
        ("morning", "GBP", 3),
    ]


async def test_a_period_has_its_first_bucket_and_not_its_end(read_model: ReadModel) -> None:
    buckets = range(NOON - 2 * BUCKET, NOON + 3 * BUCKET, BUCKET)
    generation = await counted(read_model, *(sold("a", 10**index, bucket=at) for index, at in enumerate(buckets)))
    period = Period("two buckets", NOON - BUCKET, NOON + BUCKET)
    sums = await sums_of(read_model, generation, SumsAsked([period]))
    assert sums["gross_minor"].to_list() == [110]


async def test_sums_of_some_products_leave_the_others_out(read_model: ReadModel) -> None:
    generation = await counted(read_model, sold("a", 1), sold("b", 2), sold("c", 4))
    wanted = await sums_of(read_model, generation, SumsAsked([AFTERNOON], ["c", "a", "none"], by_product=True))
    assert wanted["product_id"].to_list() == ["a", "c"]
    together = await sums_of(read_model, generation, SumsAsked([AFTERNOON], ["c", "a"]))
    assert together["gross_minor"].to_list() == [5]
    nothing = await sums_of(read_model, generation, SumsAsked([AFTERNOON], [], by_product=True))
    assert nothing.height == 0


async def test_sums_over_no_period_and_over_an_empty_one_have_no_rows(read_model: ReadModel) -> None:
    generation = await counted(read_model, sold("a", 1))
    for periods in ([], [MORNING], [Period("none", NOON, NOON)]):
        sums = await sums_of(read_model, generation, SumsAsked(periods, by_product=True))
        assert (sums.height, sums.columns[:3]) == (0, ["product_id", "period", "currency"])


async def test_periods_may_overlap(read_model: ReadModel) -> None:
    generation = await counted(read_model, sold("a", 1, bucket=NOON - BUCKET), sold("a", 2))
    whole = Period("whole", MORNING.start, AFTERNOON.end)
    sums = await sums_of(read_model, generation, SumsAsked([MORNING, AFTERNOON, whole]))
    assert sums.select("period", "gross_minor").rows() == [("afternoon", 2), ("morning", 1), ("whole", 3)]


async def test_the_extent_goes_from_the_first_to_the_last_bucket_of_any_figure(read_model: ReadModel) -> None:
    generation = await counted(read_model, listing("a", 1, "Stand"))
    assert await read_model.extent(generation) is None
    await commit(read_model, generation, Batch(1, sold("a", 1)))
    assert await read_model.extent(generation) == (NOON, NOON)
    await commit(read_model, generation, Batch(1, viewed("a", 1, bucket=NOON - BUCKET)))
    await commit(read_model, generation, Batch(1, viewed("a", 1, bucket=NOON + BUCKET)))
    assert await read_model.extent(generation) == (NOON - BUCKET, NOON + BUCKET)


async def test_sums_of_several_projections_come_together(read_model: ReadModel) -> None:
    back = {"product_id": "a", "sale_refunds": 1, "sale_refunded_minor": 70}
    generation = await counted(read_model, sold("a", 100), rows(RETURNS, back, {**back, "product_id": "b"}))
    found = (await read_model.sums(generation, ["returns", "sales"], SumsAsked([Period("", 0, 2**40)]))).rows
    names = [metric.name for metric in RETURNS.metrics]
    assert list(found) == ["returns", "sales"]
    assert found["returns"].rows(named=True) == [
        {"period": "", "currency": "GBP", **dict.fromkeys(names, 0), "sale_refunds": 2, "sale_refunded_minor": 140}
    ]
    assert found["sales"]["gross_minor"].to_list() == [100]


async def test_a_snapshot_has_positions_rows_and_dead_letters_together(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    await commit(read_model, generation, Batch(3, sold("a", 1), dead=[(1, b"?")]))
    await commit(read_model, generation, Batch(2, viewed("a", 1), tp=OTHER))
    snapshot = await read_model.snapshot(generation)
    assert {tp: position.next_offset for tp, position in snapshot.positions.items()} == {TP: 3, OTHER: 2}
    assert snapshot.positions[TP] == await read_model.position(generation, TP)
    for name in ("sales", "returns", "interest", "listing"):
        assert snapshot.rows[name].equals(await read_model.rows(generation, name))
    assert snapshot.dead == {(TP, 1)}


async def test_a_snapshot_does_not_change_with_what_is_counted_after_it(read_model: ReadModel) -> None:
    generation = await counted(read_model, sold("a", 1))
    snapshot = await read_model.snapshot(generation)
    await commit(read_model, generation, Batch(1, sold("a", 1), dead=[(1, b"?")]))
    assert (snapshot.positions[TP].next_offset, snapshot.rows["sales"]["gross_minor"].to_list()) == (1, [1])
    assert snapshot.dead == frozenset()


async def test_nobody_sees_half_a_batch(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    batch = effect(generation, Position(), Batch(7, both(sold("a", 7), viewed("a", 7)), dead=[(3, b"?")]))
    seen = []

    async def look() -> None:
        for _ in range(20):
            snapshot = await read_model.snapshot(generation)
            position = snapshot.positions.get(TP, Position()).next_offset
            gross = sum(snapshot.rows["sales"]["gross_minor"])
            seen.append((position, gross, sum(snapshot.rows["interest"]["views"]), len(snapshot.dead)))

    await asyncio.gather(look(), read_model.commit(batch, serving=True))
    assert set(seen) <= {(0, 0, 0, 0), (7, 7, 7, 1)}
    assert seen[-1] == (7, 7, 7, 1) or (await read_model.position(generation, TP)).next_offset == 7


async def test_a_sum_beyond_64_bits_is_refused_and_each_of_its_figures_still_reads(read_model: ReadModel) -> None:
    most = 2**63 - 1
    (first, second) = ({"product_id": "85123A", "gross_minor": most}, {"product_id": "22423", "gross_minor": 1})
    generation = await counted(read_model, rows(SALES, first), rows(SALES, second))
    with pytest.raises(OverflowError, match="sum of sales would go beyond 64 bits"):
        await sums_of(read_model, generation, SumsAsked([MORNING, AFTERNOON]))
    apart = await sums_of(read_model, generation, SumsAsked([MORNING, AFTERNOON], by_product=True))
    assert apart["gross_minor"].to_list() == [1, most]
