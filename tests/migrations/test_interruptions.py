"""Migrations that meet, die, or find the shop at work."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from event_store import alembic_migration
from event_store.alembic_migration import migrate_sqlite
from event_store.errors import StorageUnavailable, StorageUnusable
from event_store.revisions import LEASES, Revisions

from .places import Place, with_more

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, sys
from pathlib import Path
from event_store.connect import migrate
from event_store.revisions import Revisions
done = asyncio.run(migrate(sys.argv[1], [Revisions("lease", Path(sys.argv[2]))]))
print(*(one.revision for one in done))
"""


def _start(place: Place, revisions: Revisions, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, place.url, str(revisions.folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def newer(tmp_path: Path) -> Revisions:
    """Two more revisions of the leases, the second of which has two statements."""
    return with_more(
        LEASES,
        tmp_path / "newer",
        ["ALTER TABLE lease ADD COLUMN place TEXT"],
        ["CREATE TABLE lease_history (id INTEGER PRIMARY KEY)", "ALTER TABLE lease ADD COLUMN taken_at_us INTEGER"],
    )


async def test_migrations_that_meet_apply_everything_once(place: Place, newer: Revisions) -> None:
    running = [_start(place, newer) for _ in range(3)]
    answers = [one.communicate(timeout=90) for one in running]
    assert [one.returncode for one in running] == [0, 0, 0], answers
    applied = [revision for said, _ in answers for revision in said.split()]
    assert sorted(applied) == newer.known
    assert await place.revisions(newer) == [newer.head]


@pytest.mark.parametrize("at", [1, 2])
async def test_a_migration_that_is_killed_is_gone_on_with_by_the_next_one(
    place: Place, newer: Revisions, at: int
) -> None:
    dying = _start(place, newer, DIES_IN=newer.known[at])
    (_, said) = dying.communicate(timeout=90)
    assert dying.returncode == -signal.SIGKILL, said
    assert await place.revisions(newer) == [newer.known[at - 1]]
    shape = await place.shape()
    assert ("column lease.place" in shape) == (at == 2)
    assert "table lease_history" not in shape
    assert [one.revision for one in await place.migrate(newer)] == newer.known[at:]
    assert {"column lease.place", "column lease.taken_at_us", "table lease_history"} <= (await place.shape()).keys()


@pytest.fixture
async def busy(empty_postgres_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A transaction of the shop's that has written to the table and stays open."""
    await Place(empty_postgres_url).migrate(LEASES)
    connection = await asyncpg.connect(empty_postgres_url.replace("+asyncpg", ""))
    await connection.execute("BEGIN; INSERT INTO lease VALUES ('a', 'me', 1, 0)")
    yield connection
    await connection.close()


async def test_a_revision_waits_for_the_shop_and_the_shop_for_it_but_a_moment(
    busy: asyncpg.Connection[asyncpg.Record],
    empty_postgres_url: str,
    newer: Revisions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alembic_migration, "LOCK_TIMEOUT_S", 0.2)
    place = Place(empty_postgres_url)
    other = await asyncpg.connect(empty_postgres_url.replace("+asyncpg", ""))
    migrating = asyncio.create_task(place.migrate(newer))
    async with asyncio.timeout(30):
        for _ in range(5):
            await asyncio.sleep(0.2)
            await other.execute("UPDATE lease SET epoch = epoch + 1")
    assert not migrating.done()
    await busy.execute("COMMIT")
    assert [one.revision for one in await migrating] == newer.known[1:]
    await other.close()


@pytest.mark.usefixtures("busy")
async def test_a_table_that_stays_locked_is_reported_and_the_migration_can_be_repeated(
    empty_postgres_url: str, newer: Revisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alembic_migration, "LOCK_TIMEOUT_S", 0.1)
    monkeypatch.setattr(alembic_migration, "BUSY_S", 0.5)
    with pytest.raises(StorageUnavailable, match="lock timeout"):
        await Place(empty_postgres_url).migrate(newer)


async def test_a_server_that_is_away_and_a_wrong_password_are_reported_without_the_password(
    empty_postgres_url: str,
) -> None:
    away = "postgresql+asyncpg://shop:guess@127.0.0.1:1/commerce"
    wrong = empty_postgres_url.replace("no%20secret", "guess")
    for url, kind in ((away, StorageUnavailable), (wrong, StorageUnusable)):
        with pytest.raises(kind, match=r"127\.0\.0\.1:\d+/\w+: ") as error:
            await Place(url).migrate(LEASES)
        assert "guess" not in str(error.value)


async def test_a_file_that_somebody_writes_to_is_migrated_after_that(tmp_path: Path, newer: Revisions) -> None:
    place = Place(f"sqlite+aiosqlite:///{tmp_path / 'shop.db'}")
    await place.migrate(LEASES)
    writer = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    migrating = asyncio.create_task(asyncio.to_thread(migrate_sqlite, tmp_path / "shop.db", [newer]))
    await asyncio.sleep(0.5)
    assert not migrating.done()
    writer.execute("COMMIT")
    assert [one.revision for one in await migrating] == newer.known[1:]
    writer.close()


async def test_a_file_that_stays_locked_is_reported_and_the_migration_can_be_repeated(
    tmp_path: Path, newer: Revisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alembic_migration, "BUSY_TIMEOUT_S", 0.2)
    place = Place(f"sqlite+aiosqlite:///{tmp_path / 'shop.db'}")
    await place.migrate(LEASES)
    writer = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailable, match=r"shop\.db: database is locked"):
        await place.migrate(newer)
    writer.execute("COMMIT")
    writer.close()
    assert len(await place.migrate(newer)) == 2
