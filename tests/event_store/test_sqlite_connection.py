"""Processes that begin together, each of which may be the one that makes the file."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from event_store import sqlite_connection
from event_store.errors import StorageUnavailable
from event_store.sqlite_connection import connect


def _being_made(path: Path) -> sqlite3.Connection:
    """Of somebody who is about to write into a file that is no WAL yet."""
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("CREATE TABLE made (a INTEGER)")
    holder.execute("BEGIN IMMEDIATE")
    return holder


def test_a_file_that_somebody_else_is_making_is_waited_for(tmp_path: Path) -> None:
    holder = _being_made(tmp_path / "new.db")
    release = threading.Timer(0.3, holder.execute, ["COMMIT"])
    release.start()
    connection = connect(tmp_path / "new.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    release.join()
    connection.close()
    holder.close()


def test_a_file_that_is_never_let_go_is_said_to_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_connection, "BUSY_TIMEOUT_S", 0.2)
    holder = _being_made(tmp_path / "new.db")
    with pytest.raises(StorageUnavailable, match=r"new\.db: database is locked"):
        connect(tmp_path / "new.db")
    holder.close()
