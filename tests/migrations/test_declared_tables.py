"""The revisions make exactly the tables that the code declares beside its statements."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.dialects import postgresql

from backoffice import saved_views
from backoffice.revisions import SAVED_VIEWS, SIGN_IN
from backoffice.sign_in import account_tables
from backoffice.sign_in.connect import open_office
from event_store import audit_tables, pauses, postgres_leases, postgres_outbox, tokens
from event_store.revisions import AUDIT, LEASES, OUTBOX, PAUSES, TOKENS, Revisions
from event_store.sqlite_leases import SqliteLeases
from event_store.sqlite_outbox import SqliteOutbox
from producer_api.revisions import COMMERCE
from producer_api.sqlite_commerce import SqliteCommerce
from producer_api.tables import ddl
from projections import postgres_figures, postgres_read_model
from projections.catalogue import PROJECTIONS
from projections.revisions import FIGURES
from projections.sqlite_read_model import SqliteReadModel
from tests.servers.postgres import PostgresServer

from .places import Place
from .shape import Shape, postgres_shape, sqlite_shape

LANES = {"order-events": 1}


POSTGRES_DECLARED = {
    LEASES: postgres_leases.SCHEMA,
    OUTBOX: postgres_outbox.SCHEMA,
    COMMERCE: ddl(postgresql.dialect()),  # type: ignore[no-untyped-call]
    FIGURES: postgres_read_model.TABLES + postgres_figures.schema(PROJECTIONS),
    AUDIT: audit_tables.POSTGRES,
    TOKENS: tokens.POSTGRES,
    PAUSES: pauses.POSTGRES,
    SIGN_IN: account_tables.POSTGRES,
    SAVED_VIEWS: saved_views.POSTGRES,
}


def _without_revisions(shape: Shape) -> Shape:
    return {name: one for name, one in shape.items() if "alembic_version" not in name}


@pytest.mark.parametrize("revisions", POSTGRES_DECLARED, ids=lambda one: one.name)
async def test_a_migrated_postgresql_database_has_the_declared_tables(
    revisions: Revisions, empty_postgres_url: str, postgres: PostgresServer
) -> None:
    declared = postgres.url(await postgres.create_database())
    connection = await asyncpg.connect(declared.replace("+asyncpg", ""))
    await connection.execute(POSTGRES_DECLARED[revisions])
    await connection.close()
    await Place(empty_postgres_url).migrate(revisions)
    expected = await postgres_shape(declared)
    assert len(expected) > 4
    assert _without_revisions(await postgres_shape(empty_postgres_url)) == expected


async def test_a_migrated_commerce_file_is_as_one_that_the_api_made(tmp_path: Path) -> None:
    commerce = SqliteCommerce(tmp_path / "declared.db", LANES)
    await commerce.prepare()
    await commerce.close()
    migrated = Place(f"sqlite+aiosqlite:///{tmp_path / 'migrated.db'}")
    await migrated.migrate(LEASES, OUTBOX, COMMERCE)
    assert await migrated.shape() == sqlite_shape(tmp_path / "declared.db")


async def test_a_migrated_back_office_file_is_as_one_that_a_consumer_made(tmp_path: Path) -> None:
    path = tmp_path / "declared.db"
    for one in (SqliteLeases(path), SqliteReadModel(path, PROJECTIONS)):
        await one.close()
    migrated = Place(f"sqlite+aiosqlite:///{tmp_path / 'migrated.db'}")
    await migrated.migrate(LEASES, FIGURES)
    assert await migrated.shape() == sqlite_shape(path)


async def test_migrated_accounts_are_as_those_that_a_dashboard_made(tmp_path: Path) -> None:
    path = tmp_path / "declared.db"
    await open_office(f"sqlite+aiosqlite:///{path}").close()
    migrated = Place(f"sqlite+aiosqlite:///{tmp_path / 'migrated.db'}")
    await migrated.migrate(AUDIT, TOKENS, PAUSES, SIGN_IN, SAVED_VIEWS)
    assert await migrated.shape() == sqlite_shape(path)


async def test_a_file_that_a_process_made_is_at_head_and_never_migrated(tmp_path: Path) -> None:
    path = tmp_path / "commerce.db"
    await SqliteOutbox(path, LANES).close()
    made = Place(f"sqlite+aiosqlite:///{path}")
    assert await made.revisions(LEASES, OUTBOX, COMMERCE) == [LEASES.head, OUTBOX.head, None]
    assert [one.revision for one in await made.migrate(LEASES, OUTBOX, COMMERCE)] == COMMERCE.known


async def test_a_column_more_or_less_is_seen(place: Place) -> None:
    """So that the tests above can fail."""
    await place.migrate(LEASES)
    before = await place.shape()
    await place.run("ALTER TABLE lease ADD COLUMN more TEXT")
    after = await place.shape()
    assert after.keys() - before.keys() == {"column lease.more"}
    await place.run("ALTER TABLE lease DROP COLUMN more", "CREATE INDEX by_owner ON lease (owner)")
    assert (await place.shape()).keys() - before.keys() == {"index by_owner"}
