"""The PostgreSQL read model where several transactions are under way at once, which a SQLite file never has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import asyncpg
import pytest

from event_store.errors import GenerationChanged, StorageUnavailable
from event_store.inbox import Position
from event_store.record import TopicPartition
from projections.catalogue import PROJECTIONS
from projections.postgres_figures import schema
from projections.postgres_read_model import LOCK_GENERATIONS, SHARE_GENERATIONS, PostgresReadModel
from projections.read_model import Effect, State
from projections.sales import SALES
from tests.contracts.effects import TP, Batch, commit, effect, gross, letter, rows, sold
from tests.opened import closed_at_the_end

Open = Callable[[], PostgresReadModel]
Break = Callable[["asyncio.Task[None]", "asyncpg.Connection[asyncpg.Record]"], Awaitable[None]]
BLOCKED_S = 0.2
MOMENTS = 40
LONGEST_S = 0.2
"""More than a batch takes on a new connection."""


@pytest.fixture
async def open_read_model(postgres_url: str) -> AsyncIterator[Open]:
    async with closed_at_the_end(lambda: PostgresReadModel(postgres_url, PROJECTIONS)) as opening:
        yield opening


@pytest.fixture
def read_model(open_read_model: Open) -> PostgresReadModel:
    return open_read_model()


@pytest.fixture
async def other(postgres_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection of another process."""
    connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    yield connection
    await connection.close()


async def test_batches_of_many_partitions_with_the_same_products_wait_for_each_other_and_all_count(
    read_model: PostgresReadModel, open_read_model: Open
) -> None:
    generation = await read_model.serving()
    doors = [read_model, open_read_model(), open_read_model()]
    products = [f"product {number}" for number in range(200)]

    def batch(number: int) -> Effect:
        cells = [{"product_id": product, "orders": 1, "gross_minor": 1} for product in products[number % 7 :]]
        tp = TopicPartition("order-events", number)
        return effect(generation, Position(), Batch(2, rows(SALES, *cells), tp=tp))

    await asyncio.gather(*(doors[number % 3].commit(batch(number), serving=True) for number in range(30)))
    counted = await gross(read_model, generation)
    assert counted == {product: sum(number % 7 <= at for number in range(30)) for at, product in enumerate(products)}
    assert len(await read_model.progress(generation)) == 30


async def test_batches_of_several_partitions_given_in_any_order_wait_for_each_other(
    read_model: PostgresReadModel, open_read_model: Open
) -> None:
    generation = await read_model.serving()
    tps = [TopicPartition("order-events", number) for number in range(6)]

    async def count(door: PostgresReadModel, order: list[TopicPartition]) -> None:
        for _ in range(5):
            entries = [
                effect(generation, await door.position(generation, tp), Batch(1, tp=tp)).entries[0] for tp in order
            ]
            await door.commit(Effect(entries, {}), serving=True)

    forward = count(read_model, tps[:3])
    backward = count(open_read_model(), tps[:2:-1])
    await asyncio.gather(forward, backward)
    assert [one.next_offset for one in await read_model.progress(generation)] == [5] * 6


async def test_a_switch_waits_for_the_batch_under_way_and_later_batches_wait_for_the_switch(
    read_model: PostgresReadModel, open_read_model: Open, other: asyncpg.Connection[asyncpg.Record]
) -> None:
    first = await read_model.serving()
    second = await read_model.begin_generation("rebuild")
    async with other.transaction():
        await other.execute(SHARE_GENERATIONS)
        switching = asyncio.create_task(read_model.switch(second, "caught up"))
        assert not (await asyncio.wait([switching], timeout=BLOCKED_S))[0]
        late = effect(first, Position(), Batch(1, sold("a", 5)))
        counting = asyncio.create_task(open_read_model().commit(late, serving=True))
        assert not (await asyncio.wait([counting], timeout=BLOCKED_S))[0]
    await switching
    with pytest.raises(GenerationChanged):
        await counting
    assert await gross(read_model, first) == {}


async def _cancelled(task: asyncio.Task[None], _: asyncpg.Connection[asyncpg.Record]) -> None:
    task.cancel()


async def _cut_off(_: asyncio.Task[None], other: asyncpg.Connection[asyncpg.Record]) -> None:
    await other.execute("""
        SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
    """)


@pytest.mark.parametrize("breaks", [_cancelled, _cut_off])
async def test_a_batch_broken_off_at_any_moment_is_counted_whole_or_not_at_all(
    read_model: PostgresReadModel, other: asyncpg.Connection[asyncpg.Record], breaks: Break
) -> None:
    generation = await read_model.serving()
    for moment in range(MOMENTS):
        before = await patiently(lambda: read_model.position(generation, TP))
        batch = Batch(1, sold("a", 1), foreign_ids=[("shop", f"{moment}")], dead=[(before.next_offset, b"?")])
        task = asyncio.create_task(read_model.commit(effect(generation, before, batch), serving=True))
        await asyncio.sleep((moment / MOMENTS) ** 2 * LONGEST_S)
        await breaks(task, other)
        [outcome] = await asyncio.gather(task, return_exceptions=True)
        assert outcome is None or isinstance(outcome, StorageUnavailable | asyncio.CancelledError)
        after = await patiently(lambda: read_model.position(generation, TP))
        assert outcome is not None or after.next_offset == before.next_offset + 1
    counted = (await read_model.position(generation, TP)).next_offset
    assert await gross(read_model, generation) == {"a": counted}
    assert len(await read_model.dead_letters(generation)) == counted
    assert 0 < counted < MOMENTS


async def patiently(call: Callable[[], Awaitable[Position]]) -> Position:
    """Connections that were cut are noticed when they are used."""
    while True:
        try:
            return await call()
        except StorageUnavailable:
            await asyncio.sleep(0.01)


async def test_an_abandoned_generations_rows_are_deleted_while_batches_go_on(
    read_model: PostgresReadModel, open_read_model: Open, other: asyncpg.Connection[asyncpg.Record]
) -> None:
    first = await read_model.serving()
    second = await read_model.begin_generation("rebuild")
    await commit(read_model, second, Batch(1, sold("a", 5)), serving=False)
    async with other.transaction():
        await other.execute("SELECT 1 FROM sales WHERE generation = $1 FOR UPDATE", second)
        ending = asyncio.create_task(read_model.abandon(second, "refused"))
        assert not (await asyncio.wait([ending], timeout=BLOCKED_S))[0]
        await commit(open_read_model(), first, Batch(1, sold("a", 7)))
    await ending
    assert (await gross(read_model, first), await gross(read_model, second)) == ({"a": 7}, {})


async def test_rows_left_over_by_a_death_while_abandoning_are_deleted_by_the_next_rebuild(
    read_model: PostgresReadModel, other: asyncpg.Connection[asyncpg.Record]
) -> None:
    await read_model.serving()
    left = await read_model.begin_generation("rebuild")
    await commit(read_model, left, Batch(1, sold("a", 5)), serving=False)
    await other.execute("UPDATE generation SET state = 'abandoned' WHERE number = $1", left)
    await read_model.begin_generation("again")
    assert await gross(read_model, left) == {}
    assert await read_model.progress(left) == []


async def test_the_database_itself_refuses_a_second_serving_or_building_generation(
    read_model: PostgresReadModel, other: asyncpg.Connection[asyncpg.Record]
) -> None:
    await read_model.serving()
    await read_model.begin_generation("rebuild")
    for state in (State.SERVING, State.BUILDING):
        with pytest.raises(asyncpg.UniqueViolationError):
            await other.execute("INSERT INTO generation (state, created_at_us, note) VALUES ($1, 0, '')", state)


async def test_many_readers_of_an_empty_database_find_one_generation(open_read_model: Open) -> None:
    assert len(set(await asyncio.gather(*(open_read_model().serving() for _ in range(6))))) == 1


async def test_a_reader_does_not_wait_for_who_changes_generations(
    read_model: PostgresReadModel, other: asyncpg.Connection[asyncpg.Record]
) -> None:
    generation = await read_model.serving()
    async with other.transaction(), asyncio.timeout(2):
        await other.execute(LOCK_GENERATIONS)
        await read_model.snapshot(generation)
        assert await read_model.serving() == generation


async def test_a_reason_that_postgresql_can_not_keep_as_it_is_stops_no_partition(
    read_model: PostgresReadModel,
) -> None:
    generation = await read_model.serving()
    whole = effect(generation, Position(), Batch(3))
    dead = replace(letter(1, b"\x00"), detail="a\x00b\ud800c")
    entry = replace(whole.entries[0], dead_letters=[dead])
    await read_model.commit(replace(whole, entries=[entry]), serving=True)
    await read_model.note_stop(generation, TP, "a\x00b")
    [kept] = await read_model.dead_letters(generation)
    assert (kept.raw, kept.detail) == (b"\x00", "a\ufffdb?c")


async def test_a_figures_numbers_have_64_bits_and_its_texts_the_order_of_their_bytes() -> None:
    sales = schema([SALES])
    assert "INTEGER" not in sales
    assert 'product_id TEXT COLLATE "C" NOT NULL' in sales
    assert "PRIMARY KEY (generation, bucket, product_id, currency)" in sales
