"""What a SQLite file does when others hold it, replace it or take it away."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import time
from functools import partial
from pathlib import Path

import pytest

from event_store.errors import StorageUnavailable, StorageUnusable
from event_store.sqlite_connection import BUSY_TIMEOUT_S
from event_store.sqlite_file import SqliteFile
from event_store.sqlite_schema import create_schema

SCRIPT = """
CREATE TABLE IF NOT EXISTS fact (id INTEGER PRIMARY KEY) STRICT;
CREATE INDEX IF NOT EXISTS fact_by_id ON fact (id);
"""


def _insert(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO fact DEFAULT VALUES")


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM fact").fetchone()[0])


def test_a_file_whose_tables_are_there_is_opened_while_somebody_writes_to_it(tmp_path: Path) -> None:
    path = tmp_path / "facts.db"
    create_schema(path, SCRIPT)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    create_schema(path, SCRIPT, is_done=lambda connection: _count(connection) == 0)
    holder.close()


def test_what_a_newer_release_adds_is_made_in_a_file_of_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "facts.db"
    create_schema(path, SCRIPT)
    create_schema(path, SCRIPT + "CREATE TABLE IF NOT EXISTS more (id INTEGER PRIMARY KEY) STRICT;\n", _insert)
    assert sqlite3.connect(path).execute("SELECT count(*) FROM more").fetchone() == (0,)
    create_schema(path, SCRIPT, _insert, is_done=lambda connection: _count(connection) == 2)
    assert _count(sqlite3.connect(path)) == 2


def test_a_new_file_has_its_tables_without_its_write_ahead_log(tmp_path: Path) -> None:
    path = tmp_path / "facts.db"
    opened = sqlite3.connect(path)
    create_schema(path, SCRIPT, _insert)
    opened.execute("SELECT 1").fetchone()
    (tmp_path / "copy.db").write_bytes(path.read_bytes())
    assert _count(sqlite3.connect(tmp_path / "copy.db")) == 1
    opened.close()


@pytest.mark.parametrize("act", ["write", "read"])
async def test_a_file_that_was_replaced_while_in_use_is_named_once_and_then_opened_anew(
    tmp_path: Path, act: str
) -> None:
    path = tmp_path / "facts.db"
    create_schema(path, SCRIPT)
    create_schema(tmp_path / "other.db", SCRIPT)
    file = SqliteFile(path)
    work = _insert if act == "write" else _count
    for _ in range(8):  # readers have a few connections
        await getattr(file, act)(work)
    for rest in ("-wal", "-shm"):  # What stands there belongs to the old file.
        path.with_name(path.name + rest).unlink()
    (tmp_path / "other.db").rename(path)
    said = []
    for _ in range(40):
        try:
            await getattr(file, act)(work)
        except StorageUnusable as error:
            said.append(str(error))
    assert [f"{path} was replaced by another file" in one for one in said] == [True]
    await file.close()
    left = sqlite3.connect(path)
    assert _count(left) == (39 if act == "write" else 0)


async def test_callers_that_are_cancelled_before_their_call_fails_leave_no_complaint_behind(tmp_path: Path) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    path = tmp_path / "facts.db"
    create_schema(path, SCRIPT)
    file = SqliteFile(path)

    def fail(_: sqlite3.Connection) -> None:
        raise LookupError

    for _ in range(50):
        callers = [asyncio.create_task(file.write(fail)) for _ in range(4)]
        callers[0].add_done_callback(partial(_cancel, callers))
        await asyncio.gather(*callers, return_exceptions=True)
    gc.collect()
    assert complaints == []
    await file.close()


async def test_a_file_that_was_taken_away_is_not_made_anew_by_whoever_used_it(tmp_path: Path) -> None:
    path = tmp_path / "facts.db"
    create_schema(path, SCRIPT)
    file = SqliteFile(path)
    await file.write(_insert)
    path.unlink()
    for _ in range(3):
        with pytest.raises(StorageUnavailable, match="is gone"):
            await file.write(_insert)
        with pytest.raises(StorageUnavailable, match="is gone"):
            await file.read(_count)
    assert not path.exists()
    await file.close()


def _cancel(tasks: list[asyncio.Task[None]], _: object) -> None:
    for task in tasks:
        task.cancel()


async def test_a_file_that_others_keep_locked_is_closed_at_once_and_says_what_it_did_not_write(tmp_path: Path) -> None:
    path = tmp_path / "facts.db"
    create_schema(path, SCRIPT)
    file = SqliteFile(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    writing = [asyncio.create_task(file.write(_insert)) for _ in range(3)]
    await asyncio.sleep(0.1)
    begun_s = time.monotonic()
    await file.close()
    assert time.monotonic() - begun_s < BUSY_TIMEOUT_S / 2
    outcomes = await asyncio.gather(*writing, return_exceptions=True)
    assert [type(one) for one in outcomes] == [StorageUnavailable] * 3
    holder.close()
    assert _count(sqlite3.connect(path)) == 0


async def test_what_a_free_file_was_given_to_write_before_it_was_closed_is_written(tmp_path: Path) -> None:
    path = tmp_path / "facts.db"
    create_schema(path, SCRIPT)
    file = SqliteFile(path)
    writing = [asyncio.create_task(file.write(_insert)) for _ in range(3)]
    await asyncio.sleep(0)
    await file.close()
    await asyncio.gather(*writing)
    assert _count(sqlite3.connect(path)) == 3
