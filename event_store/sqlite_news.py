"""Notices the commits of other processes to a SQLite file.

`PRAGMA data_version` is exact and costs microseconds, but somebody has to look. On Linux the kernel says when the
file's write-ahead log is written, and looking is needed only for the moment between that write and its commit; so
an idle process sleeps, and a busy one sees a commit within `BUSY_PAUSE_S`. While nothing happens the intervals grow to
`IDLE_PAUSE_S`: that is also how it looks where the kernel doesn't say.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import StorageUnavailable

if TYPE_CHECKING:
    from .inotify_watch import InotifyWatch

BUSY_PAUSE_S = 0.002
IDLE_PAUSE_S = 0.02
COMMIT_FOLLOWS_S = 0.1
"""How long after a write its commit is looked for; a slower one is found by the caller's own poll."""


class SqliteNews:
    """Not for several waiters at once: the first to look has seen it."""

    def __init__(self, path: Path, connect: Callable[[Path], sqlite3.Connection]) -> None:
        self._path = path
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._version = -1
        self._watch: InotifyWatch | None = None
        self._watchable = sys.platform == "linux"
        self._written_s = float("-inf")
        self._pause_s = BUSY_PAUSE_S

    async def wait(self, timeout_s: float) -> bool:
        """True soon after any connection of any process committed since the last call, False after `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        while not self._changed():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            await self._pause(left_s)
        self._pause_s = BUSY_PAUSE_S
        return True

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._watch is not None:
            self._watch.close()
        (self._connection, self._watch) = (None, None)

    def _changed(self) -> bool:
        try:
            if self._connection is None:
                self._connection = self._connect(self._path)
            version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        except (sqlite3.Error, StorageUnavailable):
            self._connection = None
            return True  # The caller looks for itself, and meets the error where it can be reported.
        changed = version != self._version
        self._version = version
        return changed

    async def _pause(self, left_s: float) -> None:
        watch = self._opened_watch()
        if watch is not None and time.monotonic() - self._written_s > COMMIT_FOLLOWS_S:
            if await watch.wait(left_s):
                self._written_s = time.monotonic()
                self._pause_s = BUSY_PAUSE_S
            return
        await asyncio.sleep(min(self._pause_s, left_s))
        self._pause_s = min(self._pause_s * 1.2, IDLE_PAUSE_S)

    def _opened_watch(self) -> InotifyWatch | None:
        if self._watch is None and self._watchable:
            try:
                from .inotify_watch import InotifyWatch  # noqa: PLC0415 - exists on Linux alone

                self._watch = InotifyWatch(self._path.parent, f"{self._path.name}-wal")
            except (OSError, ImportError):
                self._watchable = False  # No watches left, or not this kernel: looking does it too.
        return self._watch
