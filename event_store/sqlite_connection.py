"""A connection to a SQLite file, as all of ours are, and what its errors mean."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import StorageUnavailable, StorageUnusable

FileIdentity = tuple[int, int]
"""Device and inode."""

BUSY_TIMEOUT_S = 10.0
"""How long a transaction waits for another process's before it reports the database as busy."""
CACHE_KIB = 32_768
"""Pages a connection keeps at the most; with SQLite's own 2 MB a relay reads its backlog again and again."""
MMAP_BYTES = 1 << 32
"""How much of a file is read through the page cache of the system without copying."""

_TRANSIENT = ("locked", "busy", "disk i/o", "full", "unable to open", "out of memory")


class Connection(sqlite3.Connection):
    """A connection that can remember what it read and what never changes, such as the lanes of an outbox."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.memo: dict[str, Any] = {}
        self.file: FileIdentity | None = None


def connect(path: Path) -> Connection:
    """A connection as all of ours are: WAL, synchronous FULL, explicit transactions only."""
    try:
        connection = sqlite3.connect(
            path,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_TIMEOUT_S,
            cached_statements=256,
            factory=Connection,
        )
        # Where another process makes the same new file, SQLite refuses this at once instead of waiting for it.
        _once_free(connection, "PRAGMA journal_mode = WAL", BUSY_TIMEOUT_S)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute(f"PRAGMA mmap_size = {MMAP_BYTES}")
        connection.file = identity_of(path)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return connection


def begin_immediate(
    connection: sqlite3.Connection, timeout_s: float, is_given_up: Callable[[], bool] = lambda: False
) -> None:
    """BEGIN IMMEDIATE, trying again every millisecond or so while another process writes, until it is given up.

    SQLite's own busy handler sleeps up to 100 ms at a time, which shows in the latency of every event.
    """
    connection.execute("PRAGMA busy_timeout = 0")
    _once_free(connection, "BEGIN IMMEDIATE", timeout_s, is_given_up)


def _once_free(
    connection: sqlite3.Connection, sql: str, timeout_s: float, is_given_up: Callable[[], bool] = lambda: False
) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute(sql)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline or is_given_up():
                raise
        time.sleep(random.uniform(0.0003, 0.0015))


def identity_of(path: Path) -> FileIdentity | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - at every transaction, and half the cost
    except OSError:
        return None
    return found.st_dev, found.st_ino


def translated(error: BaseException, path: Path) -> Exception:
    text = str(error)
    if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
        return error
    if any(word in text.lower() for word in _TRANSIENT):
        return StorageUnavailable(f"{path}: {text}. The work is tried again; free the file, the disk or its lock.")
    return StorageUnusable(f"{path}: {text}. Check the file (PRAGMA integrity_check), its permissions and its -wal.")


NOW_US = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
"""SQL for the database's clock, in microseconds since 1970 UTC."""
