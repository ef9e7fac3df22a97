"""What a process says and does that meets a database which isn't migrated, and `countinghouse migrate` itself."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backoffice import databases
from backoffice.databases import Database, commerce_database, require_head, watched
from backoffice.failures import CommandFailed
from backoffice.settings import Settings
from backoffice.troubles import Troubles
from event_store.revisions import LEASES, OUTBOX, PAUSES
from event_store.sqlite_log import SqliteLog
from event_store.sqlite_outbox import SqliteOutbox
from producer_api.revisions import COMMERCE
from projections.revisions import FIGURES
from tests.faults.shop import Shop, until
from tests.servers.postgres import PASSWORD

from .places import Place

SETTING = "COUNTINGHOUSE_BACKOFFICE_DB_URL"


HEADS = "lease_0001, pause_0001, figures_0005, audit_0001, token_0001, sign_in_0001, saved_view_0001"
APPLIED = HEADS.replace("figures_0005", ", ".join(f"figures_000{number}" for number in range(1, 6)))
COMMERCE_APPLIED = "pause_0001, audit_0001, token_0001, commerce_0001"
NEWEST = {"figures": 5, "outbox": 2}
"""Revisions of those that have more than one."""


@pytest.fixture
async def shop(tmp_path: Path, empty_postgres_url: str) -> AsyncIterator[Shop]:
    """Its figures are to be in a server's database, in which there is nothing yet."""
    one = Shop(tmp_path, {SETTING: empty_postgres_url})
    one.data.mkdir()
    await SqliteOutbox(one.commerce_db, {"order-events": 1}).close()
    await SqliteLog(one.log_db).close()
    yield one
    one.close()
    assert one.complaints() == []


@pytest.mark.processes
@pytest.mark.parametrize(
    "command",
    [
        ["consumer"],
        ["dashboard"],
        ["figures"],
        ["status"],
        ["drain"],
        ["rebuild"],
        ["outbox", "dead"],
        ["explain", "--product", "a", "--day", "2011-03-27", "--metric", "views"],
    ],
    ids=lambda command: command[0],
)
async def test_a_command_refuses_a_server_database_that_is_not_migrated_in_one_line(
    shop: Shop, empty_postgres_url: str, command: list[str]
) -> None:
    refused = shop.run(*command)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    shown = empty_postgres_url.replace(PASSWORD.replace(" ", "%20"), "***")
    sets = [
        "lease",
        "pause",
        "figures",
        *(["audit", "token", "sign_in", "saved_view"] if command == ["dashboard"] else []),
    ]
    assert line == (
        f"{SETTING}: {shown} isn't migrated: it has {', '.join(f'nothing of {one}' for one in sets)}, and "
        f"{', '.join(f'{one}_{NEWEST.get(one, 1):04}' for one in sets)} is needed; run `countinghouse migrate`."
    )
    assert await Place(empty_postgres_url).tables() == set()


@pytest.mark.processes
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("postgresql+asyncpg://shop:guess@127.0.0.1:1/figures", "Connect call failed"),
        ("postgresql+asyncpg://postgres:guess@{server}/figures", "password authentication failed"),
    ],
)
@pytest.mark.parametrize("command", ["consumer", "status", "migrate", "up"])
async def test_a_server_out_of_reach_and_a_wrong_password_are_told_in_one_line(
    shop: Shop, empty_postgres_url: str, command: str, wrong: str, words: str
) -> None:
    server = empty_postgres_url.rpartition("@")[2].partition("/")[0]
    url = wrong.format(server=server)
    refused = shop.run(command, **{SETTING: url})
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"{SETTING}: {url.replace('guess', '***')} can't be used: ")
    assert words in line


@pytest.mark.processes
async def test_migrate_says_what_it_did_and_then_that_there_is_nothing_to_do(
    shop: Shop, empty_postgres_url: str
) -> None:
    unchecked = shop.run("migrate", "--check")
    assert unchecked.returncode == 1
    assert "to be migrated to pause_0001, audit_0001, token_0001, commerce_0001" in unchecked.stdout
    assert f"to be migrated to {HEADS}" in unchecked.stdout
    assert await Place(empty_postgres_url).tables() == set()
    (commerce, backoffice) = shop.ok("migrate").splitlines()
    assert commerce == f"commerce database sqlite+aiosqlite:///{shop.commerce_db}: {COMMERCE_APPLIED} applied."
    assert backoffice.startswith("back-office database postgresql+asyncpg://postgres:***@127.0.0.1:")
    assert backoffice.endswith(f": {APPLIED} applied.")
    (commerce, backoffice) = shop.ok("migrate").splitlines()
    assert commerce.endswith(": at head (lease_0001, pause_0001, outbox_0002, audit_0001, token_0001, commerce_0001).")
    assert shop.ok("migrate", "--check").splitlines() == [commerce, backoffice]
    assert shop.ok("status").startswith("Complete up to")


@pytest.mark.processes
async def test_migrate_makes_files_where_there_are_none_and_checking_makes_none(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    assert shop.run("migrate", "--check").returncode == 1
    assert not shop.data.exists()
    assert shop.ok("migrate").count("applied") == 2
    assert shop.sql(shop.commerce_db, "SELECT count(*) FROM orders") == [(0,)]
    assert shop.sql(shop.backoffice_db, "SELECT count(*) FROM sales") == [(0,)]


@pytest.mark.processes
async def test_addresses_that_were_mixed_up_are_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.ok("migrate")
    mixed_up = {
        "COUNTINGHOUSE_COMMERCE_DB_URL": f"sqlite+aiosqlite:///{shop.backoffice_db}",
        "COUNTINGHOUSE_BACKOFFICE_DB_URL": f"sqlite+aiosqlite:///{shop.commerce_db}",
    }
    refused = shop.run("migrate", **mixed_up)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line == (
        f"COUNTINGHOUSE_COMMERCE_DB_URL: {shop.backoffice_db}: it holds tables that aren't for it, such as "
        "account, and none that are. Name an empty database."
    )
    assert shop.sql(shop.backoffice_db, "SELECT name FROM sqlite_master WHERE name = 'orders'") == []


@pytest.mark.processes
@pytest.mark.timeout(240)
async def test_up_migrates_a_servers_database_itself(shop: Shop, empty_postgres_url: str) -> None:
    up = shop.start("up")

    async def is_migrated() -> bool:
        return await Place(empty_postgres_url).revisions(LEASES, FIGURES) == [LEASES.head, FIGURES.head]

    await until(is_migrated, up)
    await shop.send()
    await shop.counted_exactly()
    assert up.stop() == 0


def _settings(url: str) -> Settings:
    """A database of a server for commerce, too, whichever addresses the settings take."""
    return Settings().model_copy(update={"commerce_db_url": url})


async def test_what_the_api_and_the_relay_need_of_a_server_is_checked(empty_postgres_url: str) -> None:
    settings = _settings(empty_postgres_url)
    for database in (commerce_database(settings), commerce_database(settings, COMMERCE)):
        with pytest.raises(CommandFailed, match=r"COUNTINGHOUSE_COMMERCE_DB_URL: .* nothing of outbox") as refused:
            await require_head([database])
        assert refused.value.code == 2
    await Place(empty_postgres_url).migrate(LEASES, PAUSES, OUTBOX)
    assert await require_head([commerce_database(settings)]) == []
    with pytest.raises(CommandFailed, match="it has nothing of commerce, and commerce_0001 is needed"):
        await require_head([commerce_database(settings, COMMERCE)])


async def test_a_database_that_falls_behind_is_a_trouble_until_it_is_migrated(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "LOOK_EVERY_S", 0.05)
    await place.migrate(LEASES)
    troubles = Troubles()
    async with watched([Database("commerce database", "COMMERCE", place.url, (LEASES,))], troubles):
        await asyncio.sleep(0.3)
        assert troubles.sentence() == ""
        await place.run("DELETE FROM alembic_version_lease")
        await until(troubles.sentence)
        assert troubles.sentence() == (
            "schema of the commerce database: it has nothing of lease, and lease_0001 is needed; "
            "run `countinghouse migrate`"
        )
        await place.migrate(LEASES)
        await until(lambda: not troubles.sentence())


async def test_a_log_of_a_newer_format_is_refused_and_one_without_a_number_is_read(tmp_path: Path) -> None:
    from event_store.errors import StorageUnusable

    path = tmp_path / "log.db"
    await SqliteLog(path).close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.execute("PRAGMA user_version = 0")
    await SqliteLog(path).close()
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(StorageUnusable, match=r"log\.db: it has format 2, and this version reads formats up to 1\."):
        SqliteLog(path)
