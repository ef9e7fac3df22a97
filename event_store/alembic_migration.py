"""Brings a database's tables to the newest revision, by alembic: SQLite files and PostgreSQL databases alike.

Each revision is a transaction of its own, which begins with a lock that only one migration can have and looks under
it where the database stands. So several may run at once, and one that was killed is gone on with by the same call.

Tables that an earlier version of the program made, when there were no revisions, are taken over: the first revision
makes only what is missing, after a look at the columns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alembic import op
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from . import postgres_database, postgres_errors, sqlite_connection
from .errors import StorageUnusable
from .postgres_address import dsn_and_place
from .revisions import SHARED, Applied, Revisions
from .sqlite_connection import BUSY_TIMEOUT_S

BUSY_S = 60.0
"""How long a revision is tried again that other transactions' locks keep from its tables."""
LOCK_TIMEOUT_S = 3
"""How long it waits for one of these at a time: whoever comes after it waits behind it for as long."""
PAUSE_S = 0.5
LOCKED_STATE = "55P03"

Columns = Mapping[str, set[str]]
"""Table → the names of its columns."""


async def migrate_postgres(url: str, sets: Sequence[Revisions]) -> list[Applied]:
    """What was applied to the database at `url`, all of whose sets are named.

    Raises StorageUnavailable and StorageUnusable; the latter, too, for one that holds other tables and none of theirs.
    """
    (_, place) = dsn_and_place(url)
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: postgres_database.connect(url),
        # Unnamed statements, as a transaction pooler can do with.
        connect_args={"prepared_statement_cache_size": 0, "prepared_statement_name_func": lambda: ""},
        poolclass=NullPool,
    )
    done: list[Applied] = []
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_refuse_others, sets, place)
        for revisions in sets:
            while (applied := await _next_in_postgres(engine, revisions, place)) is not None:
                done.append(applied)
    except DBAPIError as error:
        raise postgres_errors.translated(_cause(error), place) from _cause(error)
    except (OSError, TimeoutError) as error:
        raise postgres_errors.translated(error, place) from error
    finally:
        await engine.dispose()
    return done


def migrate_sqlite(path: Path, sets: Sequence[Revisions], *, are_all: bool = False) -> list[Applied]:
    """What was applied to the file, which is made where it is missing. Raises StorageUnavailable and StorageUnusable.

    Where these `are_all` sets of the file, one that holds other tables and none of theirs is refused.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine("sqlite+pysqlite://", creator=lambda: sqlite_connection.connect(path), poolclass=NullPool)
    event.listen(engine, "begin", lambda connection: _begin_immediate(connection, path))
    done: list[Applied] = []
    try:
        if are_all:
            with engine.connect() as connection:
                _refuse_others(connection, sets, str(path))
        for revisions in sets:
            while (applied := _next_in_sqlite(engine, revisions, str(path))) is not None:
                done.append(applied)
    except DBAPIError as error:
        raise sqlite_connection.translated(_cause(error), path) from _cause(error)
    finally:
        engine.dispose()
    return done


def run_sql_beside(file: str) -> None:
    """For a revision's `upgrade`: runs the statements of the file beside it that bears its name and the dialect's.

    An empty line stands between two statements, and none inside of one.
    """
    connection = op.get_bind()
    script = Path(file).with_suffix(f".{connection.dialect.name}.sql").read_text(encoding="utf-8")
    for statement in script.split("\n\n"):
        connection.exec_driver_sql(statement)


async def _next_in_postgres(engine: AsyncEngine, revisions: Revisions, place: str) -> Applied | None:
    """Waits for other migrations for as long as they take, but for the shop's transactions only for a moment."""
    deadline_s = time.monotonic() + BUSY_S
    while True:
        try:
            async with engine.begin() as connection:
                await connection.execute(text(postgres_database.SCHEMA_LOCK))
                await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'"))
                return await connection.run_sync(_apply_next, revisions, place)
        except DBAPIError as error:
            if getattr(_cause(error), "sqlstate", "") != LOCKED_STATE or time.monotonic() > deadline_s:
                raise
        await asyncio.sleep(PAUSE_S)


def _next_in_sqlite(engine: Engine, revisions: Revisions, place: str) -> Applied | None:
    with engine.begin() as connection:
        return _apply_next(connection, revisions, place)


def _begin_immediate(connection: Connection, path: Path) -> None:
    """SQLAlchemy wraps no error of what it calls here."""
    driver: Any = connection.connection.driver_connection
    try:
        sqlite_connection.begin_immediate(driver, BUSY_TIMEOUT_S)
    except Exception as error:
        raise sqlite_connection.translated(error, path) from error


def _cause(error: DBAPIError) -> BaseException:
    """The driver's own error: SQLAlchemy wraps what asyncpg raises twice."""
    wrapped = error.orig or error
    return wrapped.__cause__ or wrapped


def _apply_next(connection: Connection, revisions: Revisions, place: str) -> Applied | None:
    """Applies the revision that comes next, inside the caller's transaction; None where there is none."""
    steps: list[MigrationStep] = []
    context = MigrationContext.configure(connection, opts={"version_table": revisions.table, "fn": lambda *_: steps})
    current = context.get_current_revision()
    if not revisions.is_behind(current, place):
        return None
    scripts = _scripts(revisions)
    following = _following(scripts, revisions, current)
    steps.append(MigrationStep.upgrade_from_script(scripts.revision_map, following))
    is_adopted = current is None and _is_adoptable(_columns(connection), _columns_made_by(following), place)
    with Operations.context(context):
        context.run_migrations()
    return Applied(following.revision, is_adopted)


def _refuse_others(connection: Connection, sets: Sequence[Revisions], place: str) -> None:
    """Raises StorageUnusable for a database that is another's: the other one of ours, say."""
    found = set(inspect(connection).get_table_names())
    made = {one: {one.table, *_columns_made_by(_following(_scripts(one), one, None))} for one in sets}
    own = set[str]().union(*(tables for one, tables in made.items() if one not in SHARED))
    others = sorted(found.difference(*made.values()))
    if others and found.isdisjoint(own):
        raise StorageUnusable(
            f"{place}: it holds tables that aren't for it, such as {others[0]}, and none that are. "
            "Name an empty database."
        )


def _scripts(revisions: Revisions) -> ScriptDirectory:
    return ScriptDirectory(str(revisions.folder), version_locations=[str(revisions.folder)])


def _following(scripts: ScriptDirectory, revisions: Revisions, current: str | None) -> Script:
    (*_, following) = scripts.iterate_revisions(revisions.head, current or "base")
    return following


def _is_adoptable(found: Columns, made: Columns, place: str) -> bool:
    """Whether an earlier version of the program made the tables, or some. Raises StorageUnusable for another's."""
    present = found.keys() & made.keys()
    foreign = sorted(table for table in present if found[table] != made[table])
    if foreign:
        raise StorageUnusable(
            f"{place}: its table {foreign[0]} has other columns than this program's. "
            "Name an empty database, or one that this program made."
        )
    return bool(present)


def _columns(connection: Connection) -> Columns:
    seen = inspect(connection)
    return {table: {str(column["name"]) for column in seen.get_columns(table)} for table in seen.get_table_names()}


def _columns_made_by(first: Script) -> Columns:
    """By a set's first revision. Names are the same in every dialect, so SQLite in memory shows them."""
    with create_engine("sqlite://").begin() as connection, Operations.context(MigrationContext.configure(connection)):
        first.module.upgrade()
        return _columns(connection)
