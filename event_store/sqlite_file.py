"""One SQLite file: its one writing connection in a thread of its own, and connections that read.

Every write is a function of the connection, run whole inside `BEGIN IMMEDIATE … COMMIT`, so a caller that is
cancelled leaves no half transaction behind. With `grouped=True` functions waiting at the same time share one
transaction, each under a savepoint of its own: one that raises undoes only itself, and nobody is answered before
the common COMMIT.

After an error of the file (I/O, full, corrupt) SQLite may have rolled back by itself, and statements that follow
would commit one by one; so the connection is thrown away and the next call opens another.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from .errors import StorageUnavailable, StorageUnusable
from .sqlite_connection import (
    BUSY_TIMEOUT_S,
    Connection,
    FileIdentity,
    begin_immediate,
    connect,
    identity_of,
    translated,
)
from .sqlite_news import SqliteNews

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
MAX_GROUP = 512
"""The most functions that share one COMMIT: bounds how long the first of them waits."""


class SqliteFile:
    """The file at `path`, opened at the first call. Use it from one event loop; `close` ends its threads."""

    def __init__(
        self,
        path: Path,
        *,
        before_commit: Callable[[], None] = lambda: None,
        after_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self._before_commit = before_commit
        self._after_commit = after_commit
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._closing = threading.Event()
        self._readers = ThreadPoolExecutor(4, thread_name_prefix=f"read-{path.stem}")
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._news = SqliteNews(path, connect)
        self._known: FileIdentity | None = None

    async def write(self, work: Work[T], *, grouped: bool = False) -> T:
        """Runs `work` in a transaction and returns its result after COMMIT.

        Raises what `work` raises, after rolling it back, and StorageUnavailable when the file is busy, full or
        gone: nothing was kept, unless the COMMIT itself failed, whose outcome the caller must read back.
        """
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_loop, name=f"write-{self.path.stem}", daemon=True)
            self._writer.start()
        job = _Job(work, grouped)
        self._jobs.put(job)
        answer = asyncio.wrap_future(job.done)
        answer.add_done_callback(_seen)
        return await asyncio.shield(answer)

    async def read(self, work: Work[T], *, snapshot: bool = True) -> T:
        """Runs `work` on a reading connection; its statements see one moment unless it can do without `snapshot`."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work, snapshot)

    async def wait_for_news(self, timeout_s: float) -> bool:
        """True soon after any connection of any process committed since the last call, False after `timeout_s`."""
        return await self._news.wait(timeout_s)

    async def close(self) -> None:
        """Ends the threads. What is still to be written is written if the file is free, and fails at once if not."""
        if self._writer is not None:
            self._closing.set()
            self._jobs.put(None)
            await asyncio.get_running_loop().run_in_executor(None, self._writer.join)
            self._writer = None
            self._closing.clear()
        self._readers.shutdown(wait=True)
        for connection in self._opened:
            connection.close()
        self._opened.clear()
        self._news.close()

    def _read(self, work: Work[T], snapshot: bool) -> T:
        connection: Connection | None = getattr(self._local, "connection", None)
        present = self._present()
        if connection is None or connection.file != present:
            connection = self._local.connection = connect(self.path)
            self._opened.append(connection)
        try:
            if snapshot:
                connection.execute("BEGIN")
            return work(connection)
        except sqlite3.Error as error:
            raise translated(error, self.path) from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _present(self) -> FileIdentity:
        """What stands under our name now. SQLite itself would go on with a file that was moved away or deleted."""
        found = identity_of(self.path)
        if found is None:
            raise StorageUnavailable(f"{self.path} is gone. Put it back: nothing is made in its place.")
        (before, self._known) = (self._known, found)
        if before not in (None, found):
            raise StorageUnusable(
                f"{self.path} was replaced by another file while it was in use. What this process knew of it is void; "
                "started again, it checks what it finds."
            )
        return found

    def _write_loop(self) -> None:
        connection: Connection | None = None
        held: _Job | None = None
        while True:
            first = held or self._jobs.get()
            held = None
            if first is None:
                break
            group = [first]
            while first.grouped and len(group) < MAX_GROUP:
                try:
                    following = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if following is None or not following.grouped:
                    held = following
                    if following is None:
                        self._jobs.put(None)
                    break
                group.append(following)
            connection = self._run(connection, group)
        if connection is not None:
            connection.close()

    def _run(self, connection: Connection | None, group: list[_Job]) -> Connection | None:
        try:
            present = self._present()
            if connection is not None and connection.file != present:
                connection.close()
                connection = None
            connection = connection or connect(self.path)
            begin_immediate(connection, BUSY_TIMEOUT_S, self._closing.is_set)
            alone = len(group) == 1
            for job in group:
                job.run(connection, alone)
            if alone and group[0].error is not None:
                connection.execute("ROLLBACK")
            else:
                self._before_commit()
                connection.execute("COMMIT")
                self._after_commit()
        except BaseException as error:
            reported = translated(error, self.path) if isinstance(error, sqlite3.Error) else error
            for job in group:
                job.fail(reported)
            if connection is not None:
                connection.close()
            connection = None
        for job in group:
            job.answer()
        return connection


def _seen(answer: asyncio.Future[Any]) -> None:
    """A caller that was cancelled leaves the answer unread, which would be reported as a fault of ours."""
    if not answer.cancelled():
        answer.exception()


class _Job:
    """One function waiting for the writer, and its answer."""

    __slots__ = ("done", "error", "grouped", "result", "work")

    def __init__(self, work: Work[Any], grouped: bool) -> None:
        self.work = work
        self.grouped = grouped
        self.done: Future[Any] = Future()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self, connection: sqlite3.Connection, alone: bool) -> None:
        """Keeps what the function returns or raises; an error of the file itself is raised on, for the whole group."""
        if not alone:
            connection.execute("SAVEPOINT job")
        try:
            self.result = self.work(connection)
        except sqlite3.OperationalError:
            raise
        except Exception as error:
            self.error = error
            if not alone:
                connection.execute("ROLLBACK TO job")
        if not alone:
            connection.execute("RELEASE job")

    def fail(self, error: BaseException) -> None:
        self.error = error

    def answer(self) -> None:
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)
