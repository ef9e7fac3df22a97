"""The tables of a SQLite file, made at its first opening and found ready at every other.

Whoever finds them ready writes nothing: a file that somebody else is writing to can be opened, and a shop can be
looked at while it is busy.
"""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path

from .errors import StorageUnusable
from .sqlite_file import BUSY_TIMEOUT_S, Work, begin_immediate, connect, translated

_MADE = re.compile(r'CREATE (?:UNIQUE )?(?:TABLE|INDEX|TRIGGER) IF NOT EXISTS "?(\w+)')


def create_schema(
    path: Path, script: str, then: Work[None] = lambda _: None, *, is_done: Work[bool] = lambda _: True
) -> None:
    """Makes the file where it is missing and runs `script`, and `then`, in one transaction.

    The script is statements that may run again (`CREATE … IF NOT EXISTS`), each ended by a semicolon at a line's end.
    Nothing is written where all it makes is there and `is_done`. Raises StorageUnavailable and StorageUnusable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise StorageUnusable(f"{path}: this user may not write to it. Check its permissions and its owner.")
    connection = connect(path)
    try:
        if not (_has_all(connection, script) and is_done(connection)):
            _create(connection, script, then)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        connection.close()


def _has_all(connection: sqlite3.Connection, script: str) -> bool:
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    return present.issuperset(_MADE.findall(script))


def _create(connection: sqlite3.Connection, script: str, then: Work[None]) -> None:
    begin_immediate(connection, BUSY_TIMEOUT_S)
    for statement in script.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    then(connection)
    connection.execute("COMMIT")
    # A file that loses its -wal then is an older copy of itself, which is noticed, and not another, empty one.
    connection.execute("PRAGMA wal_checkpoint")
