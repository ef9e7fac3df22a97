"""Databases from before there were revisions are taken over; those of others are left alone."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from event_store import postgres_leases, sqlite_leases, sqlite_outbox
from event_store.errors import StorageUnusable
from event_store.revisions import LEASES, OUTBOX
from event_store.sqlite_outbox import SqliteOutbox
from event_store.sqlite_schema import create_schema
from producer_api.revisions import COMMERCE
from projections import postgres_figures, postgres_read_model
from projections.catalogue import PROJECTIONS
from projections.revisions import FIGURES

from .places import Place

LANES = {"order-events": 1}
OLD_TRIGGER = "BEGIN INSERT INTO outbox_waiting VALUES (new.lane, new.id); END;"


def _old_outbox(path: Path) -> None:
    """A file as version 0.1.0 made it before it had revisions."""
    script = sqlite_outbox.SCHEMA.replace("(lane, id) VALUES (new.lane, new.id)", "VALUES (new.lane, new.id)")
    assert OLD_TRIGGER in script
    create_schema(path, script + sqlite_leases.SCHEMA, lambda connection: sqlite_outbox.prepare(connection, LANES))


async def test_a_file_from_before_there_were_revisions_is_taken_over_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "commerce.db"
    _old_outbox(path)
    old = Place(f"sqlite+aiosqlite:///{path}")
    assert await old.revisions(LEASES, OUTBOX) == [None, None]
    outbox = SqliteOutbox(path, LANES)
    source = await outbox.source()
    await outbox.close()
    assert await old.revisions(LEASES, OUTBOX) == [LEASES.head, OUTBOX.head]
    await SqliteOutbox(tmp_path / "new.db", LANES).close()
    assert await old.shape() == await Place(f"sqlite+aiosqlite:///{tmp_path / 'new.db'}").shape()
    again = SqliteOutbox(path, LANES)
    assert await again.source() == source
    await again.close()


async def test_migrating_takes_over_what_is_there_makes_what_is_not_and_says_which_is_which(tmp_path: Path) -> None:
    _old_outbox(tmp_path / "commerce.db")
    old = Place(f"sqlite+aiosqlite:///{tmp_path / 'commerce.db'}")
    applied = {one.revision: one.is_adopted for one in await old.migrate(LEASES, OUTBOX, COMMERCE)}
    assert applied == {"lease_0001": True, "outbox_0001": True, "outbox_0002": False, "commerce_0001": False}
    assert await old.migrate(LEASES, OUTBOX, COMMERCE) == []


async def test_a_postgresql_database_from_before_there_were_revisions_keeps_its_rows(empty_postgres_url: str) -> None:
    place = Place(empty_postgres_url)
    connection = await asyncpg.connect(empty_postgres_url.replace("+asyncpg", ""))
    await connection.execute(postgres_read_model.TABLES)
    await connection.execute(postgres_figures.schema(PROJECTIONS) + postgres_leases.SCHEMA)
    await connection.execute("INSERT INTO lease VALUES ('partition/a', 'somebody', 7, 0)")
    assert [one.is_adopted for one in await place.migrate(LEASES, FIGURES)] == [True, True, *[False] * 4]
    assert await connection.fetchval("SELECT epoch FROM lease") == 7
    await connection.close()


async def test_a_table_of_ours_by_name_alone_is_refused_and_nothing_is_changed(place: Place) -> None:
    await place.run("CREATE TABLE products (sku TEXT PRIMARY KEY, price NUMERIC)")
    with pytest.raises(StorageUnusable, match=r"its table products has other columns than this program's\. Name"):
        await place.migrate(COMMERCE)
    assert await place.revisions(COMMERCE) == [None]
    assert "products" in await place.tables()
    assert "orders" not in await place.tables()


async def test_a_database_with_other_contents_is_refused(place: Place) -> None:
    await place.run("CREATE TABLE blog (id INTEGER PRIMARY KEY)")
    with pytest.raises(StorageUnusable, match="tables that aren't for it, such as blog, and none that are"):
        await place.migrate(LEASES, FIGURES)
    assert await place.tables() == {"blog"}


async def test_the_other_one_of_the_two_databases_is_refused(place: Place) -> None:
    """Two addresses that were mixed up."""
    await place.migrate(LEASES, FIGURES)
    before = await place.shape()
    with pytest.raises(StorageUnusable, match="tables that aren't for it, such as alembic_version_figures"):
        await place.migrate(LEASES, OUTBOX, COMMERCE)
    assert await place.shape() == before


async def test_a_table_that_an_operator_added_is_nobody_elses_business(place: Place) -> None:
    await place.migrate(LEASES, FIGURES)
    await place.run("CREATE TABLE notes (id INTEGER PRIMARY KEY)", "DROP TABLE alembic_version_lease")
    assert [one.is_adopted for one in await place.migrate(LEASES, FIGURES)] == [True]


async def test_a_revision_that_nobody_knows_is_refused(place: Place) -> None:
    await place.migrate(OUTBOX)
    await place.run("UPDATE alembic_version_outbox SET version_num = 'ae1027a6acf'")
    with pytest.raises(StorageUnusable, match="alembic_version_outbox says 'ae1027a6acf', which is no revision"):
        await place.migrate(OUTBOX)
