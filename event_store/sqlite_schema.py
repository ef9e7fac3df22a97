"""The tables of a SQLite file, made at its first opening and found ready at every other.

Whoever finds them ready writes nothing: a file that somebody else is writing to can be opened, and a shop can be
looked at while it is busy. A new file's tables are those of the newest revision, and the file says so; those of an
older one are brought there by its revisions, which takes a library that only then is loaded.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .errors import StorageUnusable
from .revisions import Revisions
from .sqlite_connection import BUSY_TIMEOUT_S, begin_immediate, connect, translated
from .sqlite_file import Work

_MADE = re.compile(r'CREATE (?:UNIQUE )?(?:TABLE|INDEX|TRIGGER) IF NOT EXISTS "?(\w+)')
SELECT_FORMAT = "PRAGMA user_version"
SELECT_NAMES = "SELECT name FROM sqlite_master"


def open_tables(
    path: Path,
    tables: Mapping[Revisions, str],
    then: Work[None] = lambda _: None,
    *,
    is_done: Work[bool] = lambda _: True,
) -> None:
    """As `create_schema`, for sets of tables that have revisions: set → the script of its tables at the newest."""
    outdated = _outdated(path, tables) if path.exists() else []
    if outdated:
        from .alembic_migration import migrate_sqlite

        migrate_sqlite(path, outdated)
    script = "".join(script + _at_head(revisions) for revisions, script in tables.items())
    create_schema(path, script, then, is_done=is_done)


def create_schema(
    path: Path, script: str, then: Work[None] = lambda _: None, *, is_done: Work[bool] = lambda _: True
) -> None:
    """Makes the file where it is missing and runs `script`, and `then`, in one transaction.

    The script is statements that may run again (`CREATE … IF NOT EXISTS`), each ended by a semicolon at a line's end.
    Nothing is written where all it makes is there and `is_done`. Raises StorageUnavailable and StorageUnusable.
    """
    with _opened(path) as connection:
        if not (_names(connection).issuperset(_MADE.findall(script)) and is_done(connection)):
            _create(connection, script, then)


def revision_of(path: Path, revisions: Revisions) -> str | None:
    """The revision of a set of tables; None where there is none, or no file."""
    if not path.exists():
        return None
    with _opened(path) as connection:
        return _revision(connection, revisions) if revisions.table in _names(connection) else None


def check_format(path: Path, newest: int) -> None:
    """Raises StorageUnusable for a file whose header has a larger number: a newer version of the program made it."""
    if not path.exists():
        return
    with _opened(path) as connection:
        (found,) = connection.execute(SELECT_FORMAT).fetchone()
    if found > newest:
        raise StorageUnusable(
            f"{path}: it has format {found}, and this version reads formats up to {newest}. "
            "Use the version of the program that wrote it, or a newer one."
        )


def _outdated(path: Path, tables: Mapping[Revisions, str]) -> list[Revisions]:
    """The sets that are there, and not as the newest revision has them."""
    with _opened(path) as connection:
        names = _names(connection)
        found = {one: _revision(connection, one) for one in tables if one.table in names}
    made = {one for one, script in tables.items() if not names.isdisjoint(_MADE.findall(script))}
    return [one for one in tables if one.is_behind(found.get(one), str(path)) and (one in made or one in found)]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise StorageUnusable(f"{path}: this user may not write to it. Check its permissions and its owner.")
    connection = connect(path)
    try:
        yield connection
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        connection.close()


def _names(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute(SELECT_NAMES)}


def _revision(connection: sqlite3.Connection, revisions: Revisions) -> str | None:
    row = connection.execute(f"SELECT version_num FROM {revisions.table}").fetchone()  # noqa: S608
    return None if row is None else str(row[0])


def _at_head(revisions: Revisions) -> str:
    """Says in a new file what alembic says in one that it migrated."""
    (table, head) = (revisions.table, revisions.head)
    return f"""
CREATE TABLE IF NOT EXISTS {table} (
    version_num VARCHAR(32) NOT NULL, CONSTRAINT {table}_pkc PRIMARY KEY (version_num));
INSERT INTO {table} (version_num) SELECT '{head}' WHERE NOT EXISTS (SELECT 1 FROM {table});
"""  # noqa: S608


def _create(connection: sqlite3.Connection, script: str, then: Work[None]) -> None:
    begin_immediate(connection, BUSY_TIMEOUT_S)
    for statement in script.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    then(connection)
    connection.execute("COMMIT")
    # A file that loses its -wal then is an older copy of itself, which is noticed, and not another, empty one.
    connection.execute("PRAGMA wal_checkpoint")
