"""The PostgreSQL outbox where several transactions are under way at once, which a SQLite file never has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import asyncpg
import pytest

from event_store.errors import StorageUnavailable
from event_store.outbox import Acknowledgement, ClaimedRow
from event_store.outbox_statements import SELECT_WITH_WORK
from event_store.postgres_outbox import PostgresOutbox, partitions, write
from event_store.postgres_outbox_statements import DRAW, LOCK_EVERY_LANE, RESTART
from tests.contracts.conftest import LANES
from tests.contracts.outbox_rows import LONG_S, ORDERS, claimed, lane_of, numbered, paid, places, status_of
from tests.opened import closed_at_the_end

Open = Callable[[], PostgresOutbox]
BLOCKED_S = 0.2
MOMENTS = 60
LONGEST_S = 0.4
"""Half of it is more than a pass takes on a new connection."""
CUT_OFF = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@pytest.fixture
async def open_outbox(postgres_url: str) -> AsyncIterator[Open]:
    async with closed_at_the_end(lambda: PostgresOutbox(postgres_url, LANES)) as opening:
        yield opening


@pytest.fixture
def outbox(open_outbox: Open) -> PostgresOutbox:
    return open_outbox()


@pytest.fixture
async def writer(postgres_url: str, outbox: PostgresOutbox) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection of an application, as plain as any."""
    await outbox.source()
    connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    yield connection
    await connection.close()


async def test_a_row_that_commits_after_a_younger_one_was_claimed_is_sent_next(
    outbox: PostgresOutbox, writer: asyncpg.Connection[asyncpg.Record]
) -> None:
    (slow, quick) = (paid(), paid())
    lane = await lane_of(outbox)
    block = writer.transaction()
    await block.start()
    await write(writer, [slow], await partitions(writer))
    await outbox.write([quick])
    assert places(await claimed(outbox, lane)) == numbered([quick])
    await block.commit()
    assert places(await claimed(outbox, lane)) == numbered([quick, slow])
    assert (await status_of(outbox)).ready == 0


async def test_a_writer_that_takes_its_time_keeps_no_relay_waiting(
    outbox: PostgresOutbox, writer: asyncpg.Connection[asyncpg.Record]
) -> None:
    await outbox.write([paid()])
    async with writer.transaction(), asyncio.timeout(2):
        await write(writer, [paid()], await partitions(writer))
        lane = await lane_of(outbox)
        await claimed(outbox, lane)
        await outbox.acknowledge([Acknowledgement(lane, 1, 0)])
    assert (await status_of(outbox)).sent == 1


async def test_what_an_application_inserts_by_itself_waits_and_is_news(
    outbox: PostgresOutbox, writer: asyncpg.Connection[asyncpg.Record]
) -> None:
    await outbox.wait_for_news(0)
    await writer.execute("""
        INSERT INTO outbox (lane, event_id, key, payload, recorded_at_us)
        SELECT id, 'an id', 'a key', 'payload', 0 FROM outbox_lane WHERE topic = 'order-events'
    """)
    assert await outbox.wait_for_news(1)
    assert await claimed(outbox, await lane_of(outbox)) == [ClaimedRow(1, "an id", "a key", b"payload")]


async def test_rows_of_a_transaction_that_is_rolled_back_never_were(
    outbox: PostgresOutbox, writer: asyncpg.Connection[asyncpg.Record]
) -> None:
    block = writer.transaction()
    await block.start()
    await write(writer, [paid()], await partitions(writer))
    await block.rollback()
    await outbox.write([kept := paid()])
    assert places(await claimed(outbox, await lane_of(outbox))) == numbered([kept])


async def test_an_acknowledgement_that_waited_for_a_new_incarnation_counts_for_nothing_in_it(
    outbox: PostgresOutbox, writer: asyncpg.Connection[asyncpg.Record]
) -> None:
    await outbox.write([paid(), paid()])
    lane = await lane_of(outbox)
    await claimed(outbox, lane)
    async with writer.transaction():
        await writer.fetch(LOCK_EVERY_LANE)
        await writer.execute(RESTART)
        late = asyncio.create_task(outbox.acknowledge([Acknowledgement(lane, 2, 1)]))
        assert not (await asyncio.wait([late], timeout=BLOCKED_S))[0]
    await late
    status = await status_of(outbox)
    assert (status.ready, status.sent) == (2, 0)


async def test_a_claim_that_waited_for_the_lanes_next_owner_draws_nothing(
    outbox: PostgresOutbox, writer: asyncpg.Connection[asyncpg.Record]
) -> None:
    await outbox.write([paid()])
    lane = await lane_of(outbox)
    async with writer.transaction():
        await writer.execute("UPDATE lease SET owner = 'heir', epoch = epoch + 1")
        late = asyncio.create_task(outbox.claim([lane]))
        assert not (await asyncio.wait([late], timeout=BLOCKED_S))[0]
    assert await late == []
    assert (await status_of(outbox)).ready == 1


@pytest.mark.parametrize(
    ("statement", "values"),
    [(SELECT_WITH_WORK, []), (DRAW, [[1, 2, 3], [1, 1, 1], [2000, 2000, 2000]])],
    ids=["is there anything", "claim"],
)
async def test_looking_for_rows_and_claiming_them_reads_no_table_from_end_to_end(
    outbox: PostgresOutbox, writer: asyncpg.Connection[asyncpg.Record], statement: str, values: list[list[int]]
) -> None:
    await outbox.write([paid() for _ in range(3000)])
    await writer.execute("ANALYZE outbox; ANALYZE outbox_waiting; ANALYZE outbox_lane")
    plan = "\n".join(line for (line,) in await writer.fetch(f"EXPLAIN (COSTS OFF) {statement}", *values))
    assert "outbox_waiting" in plan
    assert "Seq Scan on outbox " not in f"{plan} "
    assert "Seq Scan on outbox_waiting" not in plan


@pytest.mark.parametrize("goes_on", [False, True], ids=["pass by pass", "going on"])
async def test_a_pass_broken_off_at_any_moment_draws_no_sequence_twice_and_loses_no_row(
    outbox: PostgresOutbox, writer: asyncpg.Connection[asyncpg.Record], *, goes_on: bool
) -> None:
    drafts = [paid() for _ in range(3 * MOMENTS)]
    lane = await lane_of(outbox)
    log: dict[int, str] = {}

    async def one_pass() -> None:
        rows: Sequence[ClaimedRow] = await claimed(outbox, lane, 2 if goes_on else 5)
        while rows:
            for sequence, event_id in places(rows):
                assert log.setdefault(sequence, event_id) == event_id
            done = Acknowledgement(lane, rows[-1].sequence, 0)
            if not goes_on:
                return await outbox.acknowledge([done])
            rows = await outbox.advance(done, 2)

    for moment in range(MOMENTS):
        await _patiently(outbox.write, drafts[3 * moment : 3 * moment + 3])
        task = asyncio.create_task(one_pass())
        await asyncio.sleep((moment // 2 / MOMENTS) ** 2 * LONGEST_S)
        if moment % 2:
            task.cancel()
        else:
            await writer.execute(CUT_OFF)
        [outcome] = await asyncio.gather(task, return_exceptions=True)
        assert outcome is None or isinstance(outcome, StorageUnavailable | asyncio.CancelledError)
    while len(log) < len(drafts):
        await _patiently(one_pass)
    assert sorted(log) == list(range(1, len(drafts) + 1))
    assert sorted(log.values()) == sorted(draft.event_id for draft in drafts)
    assert (await status_of(outbox)).sent == len(drafts)


async def _patiently(call: Callable[..., Awaitable[None]], *values: object) -> None:
    """Connections that were cut are noticed when they are used, before anything is done on them."""
    while True:
        try:
            return await call(*values)
        except StorageUnavailable:
            await asyncio.sleep(0.01)


async def test_who_claims_and_who_cleans_at_once_lose_no_row_and_draw_none_twice(
    outbox: PostgresOutbox, open_outbox: Open
) -> None:
    drafts = [paid() for _ in range(120)]
    (second, third) = (open_outbox(), open_outbox())
    lane = await lane_of(outbox)
    sent: dict[int, str] = {}

    async def relay(door: PostgresOutbox) -> None:
        while len(sent) < len(drafts):
            rows = places(await claimed(door, lane, 7))
            assert all(sent.setdefault(sequence, event_id) == event_id for sequence, event_id in rows)
            if rows:
                await door.acknowledge([Acknowledgement(lane, rows[-1][0], 0)])

    async def writing() -> None:
        await asyncio.gather(*(third.write(drafts[at : at + 3]) for at in range(0, len(drafts), 3)))

    async def cleaning(door: PostgresOutbox) -> int:
        return sum([await door.clean(0.0, most=5) for _ in range(20)])

    async with asyncio.timeout(30):
        *_, first, other = await asyncio.gather(
            relay(outbox), relay(second), writing(), cleaning(outbox), cleaning(second)
        )
    cleaned = first + other
    assert sorted(sent) == list(range(1, 121))
    assert set(sent.values()) == {draft.event_id for draft in drafts}
    assert len(await outbox.rows_between(lane, 1, 120)) == 120 - cleaned
    assert len(await outbox.hold_lanes("relay", LONG_S)) == len({lane.tp for lane in await outbox.lanes()})
    assert lane.tp == ORDERS
