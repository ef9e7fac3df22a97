"""PostgreSQL stops, is cut off inside a COMMIT, or is kept busy by somebody else: batches are repeated whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from event_store import postgres_database, postgres_pool
from event_store.kafka_cluster import KafkaCluster
from event_store.postgres_database import BEGIN, LOCK_TIMEOUT_S, PAUSED_S
from tests.faults.shop import until
from tests.laws.line import Observed
from tests.servers.mock_kafka import MockKafka
from tests.servers.postgres import PostgresServer, running_postgres
from tests.servers.proxy import Break, Proxy

from .line import Engines, Line, at_work, open_line

EVENTS = 1500
SMALL = 25
"""Rows of a pass and records of a batch, so that there are many."""

Connection = asyncpg.Connection


@asynccontextmanager
async def _databases(server: PostgresServer) -> AsyncIterator[tuple[str, str]]:
    """Names of one for commerce and one for the figures."""
    names = (await server.create_migrated_database(), await server.create_migrated_database())
    yield names
    for name in names:
        await server.drop_database(name)


def _engines(mock: MockKafka, server: PostgresServer, names: tuple[str, str], port: int = 0) -> Engines:
    return Engines(KafkaCluster(mock.address), *(server.url(name, port=port) for name in names))


@pytest.fixture
async def proxy(postgres: PostgresServer) -> AsyncIterator[Proxy]:
    async with Proxy(postgres.port) as one:
        yield one


@pytest.fixture
async def line(mock: MockKafka, postgres: PostgresServer, proxy: Proxy) -> AsyncIterator[Line]:
    """Its relay and its consumer reach PostgreSQL through the proxy."""
    async with _databases(postgres) as names:
        through = _engines(mock, postgres, names, proxy.port)
        async with open_line(_engines(mock, postgres, names), through) as one:
            yield one


@pytest.fixture
async def outside(line: Line, postgres: PostgresServer) -> AsyncIterator[Connection]:
    """Somebody else, in the database of the figures."""
    [name] = [line.through.backoffice_url.rpartition("/")[2]]
    connection = await asyncpg.connect(postgres.url(name, "postgresql"))
    yield connection
    await connection.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks and statements are waited for a second each."""
    monkeypatch.setattr(postgres_database, "BEGIN", BEGIN.replace(f"'{LOCK_TIMEOUT_S}s'", "'1s'"))
    monkeypatch.setattr(postgres_pool, "STATEMENT_TIMEOUT_S", 1.5)
    for module in (postgres_database, postgres_pool):
        monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 1.5)


async def test_fault_25_a_server_stopped_at_once_in_the_middle_acknowledges_nothing_that_is_not_counted(
    mock: MockKafka,
) -> None:
    """Twice; outbox, leases and figures are all in it."""
    with running_postgres() as server:
        names = (await server.create_migrated_database(), await server.create_migrated_database())
        async with open_line(_engines(mock, server, names)) as line:
            await line.write(EVENTS)
            async with at_work(line.relay(max_pass_rows=SMALL), line.consumer(max_records=SMALL)):
                for share in (1, 3):
                    await until(lambda: line.observed.tally["records"] > share * EVENTS / 5)  # noqa: B023
                    server.stop_immediately()
                    assert line.observed.tally["records"] < EVENTS
                    await asyncio.sleep(2)
                    await server.start_again()
                await line.counted()
            assert line.observed.errors


@pytest.mark.parametrize("arrives", [True, False], ids=["which went through", "which did not"])
async def test_fault_26_a_commit_cut_off_is_read_back_and_repeated_only_where_it_did_not_go_through(
    line: Line, proxy: Proxy, arrives: bool
) -> None:
    await line.write(EVENTS)
    proxy.breaks = Break(lambda sent: b"COMMIT\x00" in sent, arrives=arrives, every=7)
    async with at_work(line.relay(max_pass_rows=SMALL), line.consumer(max_records=SMALL)):
        await line.counted()
    assert proxy.breaks.broken > 10
    assert line.observed.errors
    assert (line.observed.tally["resynced"] > 0) == arrives


async def test_a_way_to_the_server_that_holds_everything_up_is_given_up_and_taken_again(
    line: Line, proxy: Proxy, impatient: None
) -> None:
    async with at_work(line.relay(max_pass_rows=SMALL), line.consumer(max_records=SMALL)):
        for _ in range(2):
            await line.write(EVENTS // 5)
            await until(lambda: line.observed.tally["records"] > 0)
            proxy.stall()
            await asyncio.sleep(4)
            proxy.go_on()
            await line.counted()


async def test_fault_18_what_a_consumer_wanted_to_commit_before_others_took_its_partitions_is_refused(
    line: Line, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is held up inside its transactions, which the server ends after a while, so that the heir can go on."""
    monkeypatch.setattr(postgres_database, "BEGIN", BEGIN.replace(f"'{PAUSED_S}s'", "'1s'"))
    monkeypatch.setattr(postgres_database, "LONGEST_S", 4)
    async with at_work(line.relay()):
        await line.write(EVENTS)
        await line.sent()
    asleep = line.consumer("asleep", max_records=SMALL, renew_s=60.0)  # Else it may hear of the heir and leave first.
    await until(lambda: line.observed.tally["records"] > 0)
    proxy.stall()
    heard = Observed()
    async with at_work(asleep, line.consumer("heir", observed=heard, through=line.direct)):
        await line.counted()
        proxy.go_on()
        await until(lambda: line.observed.tally["resynced"] > 0)
        await line.counted()
        assert line.observed.tally["records"] + heard.tally["records"] == EVENTS


async def test_fault_27_a_batch_that_ends_in_a_deadlock_is_repeated_whole(line: Line, outside: Connection) -> None:
    """The other transaction takes the same rows in the opposite order, and is not the one to give way."""
    # Time enough for the other one to come into its way, and less than a lock is waited for.
    name = await outside.fetchval("SELECT current_database()")
    await outside.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '3s'")
    async with at_work(line.relay(), line.consumer()):
        await line.write(EVENTS // 5)
        await line.counted()
        async with outside.transaction():
            await outside.execute("SET LOCAL deadlock_timeout = '60s'")
            await outside.execute(f"{_ROWS} LIMIT 1 FOR UPDATE")
            await line.write(EVENTS // 5)
            await until(lambda: _is_waiting(outside))
            await outside.execute(f"{_ROWS} FOR UPDATE")
        await line.counted()
        assert any("deadlock detected" in str(error) for error in line.observed.errors)
    assert line.observed.tally["narrowed"] == 0


async def test_fault_27_locks_held_by_somebody_else_are_waited_for_again_and_again_and_make_no_dead_letter(
    line: Line, outside: Connection, impatient: None
) -> None:
    async with at_work(line.relay(), line.consumer()):
        await line.write(EVENTS // 5)
        before = await line.counted()
        async with outside.transaction():
            await outside.execute("SELECT 1 FROM inbox_position FOR UPDATE")
            await line.write(EVENTS // 5)
            await until(lambda: sum("lock timeout" in str(error) for error in line.observed.errors) > 3)
            after = await line.status()
            assert [one.position for one in after.partitions] == [one.position for one in before.partitions]
        await line.counted()
    assert line.observed.tally["narrowed"] == 0


_ROWS = "SELECT 1 FROM sales ORDER BY bucket DESC, product_id DESC, currency DESC"
"""From the last one that a batch writes to the first."""


async def _is_waiting(outside: Connection) -> bool:
    """Whether somebody waits for a lock of ours."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    return bool(await outside.fetchval(waiting))
