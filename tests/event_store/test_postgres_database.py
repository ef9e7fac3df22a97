"""What a PostgreSQL database does when it is away, busy, or its connections are cut."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from event_store import postgres_database
from event_store.errors import StorageUnavailable, StorageUnusable
from event_store.postgres_address import dsn_and_place
from event_store.postgres_database import BEGIN, PAUSED_S, Connection, PostgresDatabase, connect, storable
from event_store.postgres_errors import translated
from tests.opened import closed_at_the_end
from tests.servers.postgres import PASSWORD, PostgresServer

TABLE = "CREATE TABLE fact (id BIGINT PRIMARY KEY, text TEXT NOT NULL DEFAULT '')"
Open = Callable[..., PostgresDatabase]


@pytest.fixture
async def open_database(empty_postgres_url: str) -> AsyncIterator[Open]:
    connection = await connect(empty_postgres_url)
    await connection.execute(TABLE)
    await connection.close()

    def open_one(url: str = empty_postgres_url, **options: Any) -> PostgresDatabase:
        return PostgresDatabase(url, **{"channel": "news", "notify": True, **options})

    async with closed_at_the_end(open_one) as opening:
        yield opening


@pytest.fixture
def database(open_database: Open) -> PostgresDatabase:
    return open_database()


def insert(number: int) -> Callable[[Connection], Awaitable[str]]:
    return lambda connection: connection.execute("INSERT INTO fact (id) VALUES ($1)", number)


async def facts(database: PostgresDatabase) -> list[int]:
    rows = await database.read(lambda connection: connection.fetch("SELECT id FROM fact ORDER BY id"))
    return [row["id"] for row in rows]


async def backend(connection: Connection) -> int:
    return int(await connection.fetchval("SELECT pg_backend_pid()"))


async def test_work_that_raises_leaves_nothing_behind(database: PostgresDatabase) -> None:
    async def fail(connection: Connection) -> None:
        await insert(1)(connection)
        raise LookupError("no such thing")

    with pytest.raises(LookupError):
        await database.transaction(fail)
    assert await facts(database) == []


async def test_a_fault_in_what_was_asked_comes_back_as_it_is(database: PostgresDatabase) -> None:
    await database.transaction(insert(1))
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.transaction(insert(1))


async def test_a_server_that_is_away_is_unavailable_and_named_without_its_password(open_database: Open) -> None:
    away = open_database("postgresql+asyncpg://shop:secret@127.0.0.1:1/figures")
    for call in (away.transaction(insert(1)), away.read(insert(1))):
        with pytest.raises(StorageUnavailable, match=r"127\.0\.0\.1:1/figures") as error:
            await call
        assert "secret" not in str(error.value)


async def test_waiting_for_news_of_a_server_that_is_away_takes_its_time_and_no_more(open_database: Open) -> None:
    away = open_database("postgresql+asyncpg://shop:secret@127.0.0.1:1/figures")
    started_s = time.monotonic()
    assert [await away.wait_for_news(0.05) for _ in range(3)] == [False] * 3
    assert 0.1 < time.monotonic() - started_s < 1.5


async def test_a_wrong_password_and_a_missing_database_stop_with_what_to_look_at(
    open_database: Open, postgres: PostgresServer, empty_postgres_url: str
) -> None:
    wrong = empty_postgres_url.replace(PASSWORD.replace(" ", "%20"), "a-guess")
    for url in (wrong, postgres.url("nowhere")):
        with pytest.raises(StorageUnusable, match=r"127\.0\.0\.1:\d+/\w+: .* Look at") as error:
            await open_database(url).read(backend)
        assert "a-guess" not in str(error.value)
        assert PASSWORD not in str(error.value)


async def test_a_connection_cut_inside_a_transaction_is_unavailable_and_the_next_one_works(
    database: PostgresDatabase, open_database: Open
) -> None:
    other = open_database()

    async def cut(connection: Connection) -> None:
        await insert(1)(connection)
        number = await backend(connection)
        await other.transaction(lambda c: c.execute("SELECT pg_terminate_backend($1, 5000)", number))
        await insert(2)(connection)

    with pytest.raises(StorageUnavailable):
        await database.transaction(cut)
    await database.transaction(insert(3))
    assert await facts(database) == [3]


async def test_a_commit_whose_answer_never_came_is_unavailable(open_database: Open) -> None:
    backends: list[int] = []

    async def work(connection: Connection) -> None:
        backends.append(await backend(connection))

    def cut() -> None:
        if backends:
            os.kill(backends.pop(), signal.SIGTERM)
            time.sleep(0.2)

    with pytest.raises(StorageUnavailable):
        await open_database(before_commit=cut).transaction(work)


async def test_of_two_transactions_that_wait_for_each_other_one_is_told_to_come_again(
    database: PostgresDatabase,
) -> None:
    await database.transaction(lambda c: c.execute("INSERT INTO fact VALUES (1), (2)"))
    both = asyncio.Barrier(2)

    async def lock(connection: Connection, first: int, second: int) -> None:
        await connection.execute("SELECT 1 FROM fact WHERE id = $1 FOR UPDATE", first)
        await both.wait()
        await connection.execute("SELECT 1 FROM fact WHERE id = $1 FOR UPDATE", second)

    outcomes = await asyncio.gather(
        database.transaction(lambda connection: lock(connection, 1, 2)),
        database.transaction(lambda connection: lock(connection, 2, 1)),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "StorageUnavailable"]


async def test_a_failed_statement_that_was_passed_over_is_not_taken_for_a_commit(open_database: Open) -> None:
    database = open_database(notify=False)

    async def careless(connection: Connection) -> None:
        await insert(1)(connection)
        with pytest.raises(asyncpg.UniqueViolationError):
            await insert(1)(connection)

    with pytest.raises(RuntimeError, match="passed over"):
        await database.transaction(careless)
    assert await facts(database) == []


async def test_a_caller_that_is_cancelled_leaves_no_transaction_and_no_connection_behind(open_database: Open) -> None:
    database = open_database(most_connections=1)
    begun = asyncio.Event()

    async def slow(connection: Connection) -> None:
        await insert(1)(connection)
        begun.set()
        await connection.execute("SELECT pg_sleep(600)")

    task = asyncio.create_task(database.transaction(slow))
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(60):  # The server hears of it after us, and may be slow to.
        while not await facts(database):
            with suppress(StorageUnavailable):
                await database.transaction(insert(1))
    assert await facts(database) == [1]


async def test_a_process_that_is_paused_within_a_statement_loses_its_transaction_and_its_locks(
    open_database: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has described the statement and waits for its values: it takes that for work, and not for idleness."""
    monkeypatch.setattr(postgres_database, "BEGIN", BEGIN.replace(f"'{PAUSED_S}s'", "'1s'"))
    (paused, other) = (open_database(), open_database())
    has_lock = asyncio.Event()

    async def pause(connection: Connection) -> None:
        await insert(1)(connection)
        await connection.prepare("SELECT 1")
        has_lock.set()
        await asyncio.sleep(5)
        await connection.fetchval("SELECT 1")

    pausing = asyncio.create_task(paused.transaction(pause, longest_s=2))
    await has_lock.wait()
    await other.transaction(insert(1))
    assert not pausing.done()
    with pytest.raises(StorageUnavailable):
        await pausing
    assert await facts(other) == [1]


KEPT = "SELECT count(*) FROM pg_prepared_statements WHERE name <> ''"


async def test_no_setting_and_no_lock_outlives_a_transaction_on_its_connection(open_database: Open) -> None:
    """So a pooler may give every transaction another one."""
    database = open_database(most_connections=1)
    await database.transaction(insert(1))
    left = """
        SELECT current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'),
            current_setting('jit'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')
    """
    row = await database.read(lambda connection: connection.fetchrow(left))
    assert tuple(row or ()) == ("0", "0", "on", 0)


async def test_statements_are_kept_where_the_server_itself_answers(open_database: Open) -> None:
    database = open_database(most_connections=1)
    for number in range(3):
        await database.transaction(insert(number))
    assert await database.read(lambda connection: connection.fetchval(KEPT)) == 2  # The insert, and this question.


async def test_nothing_is_kept_in_a_session_whose_process_is_not_the_one_that_was_told(
    open_database: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler tells its clients a number that it made up."""
    monkeypatch.setattr(asyncpg.Connection, "get_server_pid", lambda _: 2**31 - 1)
    database = open_database(most_connections=1)
    for number in range(3):
        await database.transaction(insert(number))
    assert await facts(database) == [0, 1, 2]
    assert await database.read(lambda connection: connection.fetchval(KEPT)) == 0


async def test_a_table_that_is_changed_under_a_kept_statement_is_unavailable_once(open_database: Open) -> None:
    database = open_database(most_connections=1)
    everything = "SELECT * FROM fact"
    await database.transaction(insert(1))
    await database.read(lambda connection: connection.fetch(everything))
    await database.transaction(lambda connection: connection.execute("ALTER TABLE fact ADD COLUMN more BIGINT"))
    with pytest.raises(StorageUnavailable, match="tried again"):
        await database.read(lambda connection: connection.fetch(everything))
    found = await database.read(lambda connection: connection.fetch(everything))
    assert [tuple(row) for row in found] == [(1, "", None)]


async def test_what_has_to_be_prepared_is_prepared_once_before_the_first_work(open_database: Open) -> None:
    database = open_database(prepare=insert(1))
    assert await asyncio.gather(*(facts(database) for _ in range(5))) == [[1]] * 5


async def test_a_database_without_its_tables_is_unavailable_until_somebody_migrates_it(
    database: PostgresDatabase,
) -> None:
    await database.transaction(lambda connection: connection.execute("ALTER TABLE fact RENAME TO elsewhere"))
    with pytest.raises(StorageUnavailable, match="run `countinghouse migrate`"):
        await facts(database)
    await database.transaction(lambda connection: connection.execute("ALTER TABLE elsewhere RENAME TO fact"))
    assert await facts(database) == []


async def test_a_commit_is_news_again_after_the_listening_connection_was_cut(
    database: PostgresDatabase, open_database: Open
) -> None:
    shown = open_database()
    await shown.wait_for_news(0)
    listening = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    await database.transaction(lambda connection: connection.execute(listening))
    assert await shown.wait_for_news(1)
    await shown.wait_for_news(0.05)
    assert not await shown.wait_for_news(0.01)
    waiting = asyncio.create_task(shown.wait_for_news(10))
    await asyncio.sleep(0.01)
    await database.transaction(insert(1))
    async with asyncio.timeout(1):
        assert await waiting


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (TimeoutError(), StorageUnavailable),
        (ConnectionRefusedError("refused"), StorageUnavailable),
        (asyncpg.InterfaceError("connection is closed"), StorageUnavailable),
        (asyncpg.ClientConfigurationError("no such option"), StorageUnusable),
        (asyncpg.TooManyConnectionsError("too many"), StorageUnavailable),
        (asyncpg.DiskFullError("full"), StorageUnavailable),
        (asyncpg.SerializationError("again"), StorageUnavailable),
        (asyncpg.LockNotAvailableError("busy"), StorageUnavailable),
        (asyncpg.AdminShutdownError("stopping"), StorageUnavailable),
        (asyncpg.CannotConnectNowError("starting"), StorageUnavailable),
        (asyncpg.ReadOnlySQLTransactionError("a standby"), StorageUnavailable),
        (asyncpg.IdleInTransactionSessionTimeoutError("paused"), StorageUnavailable),
        (asyncpg.InsufficientPrivilegeError("may not"), StorageUnusable),
        (asyncpg.UndefinedTableError("no such table"), StorageUnavailable),
        (asyncpg.UndefinedColumnError("no such column"), StorageUnavailable),
        (asyncpg.UndefinedFunctionError("no such function"), StorageUnavailable),
        (asyncpg.DataCorruptedError("damaged"), StorageUnusable),
        (asyncpg.UndefinedFileError("missing"), StorageUnusable),
        (asyncpg.NumericValueOutOfRangeError("too large"), asyncpg.NumericValueOutOfRangeError),
        (asyncpg.DataError("not an int"), asyncpg.DataError),
        (KeyError("ours"), KeyError),
    ],
)
def test_errors_say_whether_waiting_helps(error: Exception, seen: type[Exception]) -> None:
    assert type(translated(error, "host:5432/name")) is seen


def test_an_address_is_shown_without_user_and_password() -> None:
    (dsn, place) = dsn_and_place("postgresql+asyncpg://shop:p%40ss@db.example:6432/figures")
    assert (dsn, place) == ("postgresql://shop:p%40ss@db.example:6432/figures", "db.example:6432/figures")
    assert dsn_and_place("postgresql+asyncpg://shop@db.example/figures")[1] == "db.example:5432/figures"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret@h/d",
        "postgresql+asyncpg://u:secret@h",
        "postgresql+asyncpg://u:secret/d",
        "sqlite:///secret",
    ],
)
def test_what_is_no_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match="user:password@host:port/name") as error:
        dsn_and_place(url)
    assert "secret" not in str(error.value)


def test_what_postgresql_can_not_keep_of_a_text_is_replaced() -> None:
    assert storable("a\x00b\ud800c ä") == "a\ufffdb?c ä"
