"""The one place where the scheme of a URL chooses a back end of the event store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .crash_points import NO_CRASH, CrashPoints
from .lease import Leases
from .log import Log
from .outbox import Outbox


def open_log(url: str, crash_points: CrashPoints = NO_CRASH) -> Log:
    """`sqlite:///path`. Raises ValueError for another scheme."""
    from .sqlite_log import SqliteLog

    return SqliteLog(sqlite_path(url, "sqlite"), crash_points)


def open_outbox(url: str, topics: Mapping[str, int], crash_points: CrashPoints = NO_CRASH) -> Outbox:
    """`sqlite+aiosqlite:///path`: the commerce database. `topics` are the lanes it has."""
    from .sqlite_outbox import SqliteOutbox

    return SqliteOutbox(sqlite_path(url, "sqlite+aiosqlite"), topics, crash_points)


def open_leases(url: str) -> Leases:
    """`sqlite+aiosqlite:///path`: the leases of that database."""
    from .sqlite_leases import SqliteLeases

    return SqliteLeases(sqlite_path(url, "sqlite+aiosqlite"))


def sqlite_path(url: str, scheme: str) -> Path:
    """The file of a SQLite URL: `scheme:///relative` or `scheme:////absolute`."""
    parts = urlsplit(url)
    if parts.scheme != scheme or parts.netloc or len(parts.path) < 2:
        raise ValueError(f"{url!r} is no address this version can open; use {scheme}:///path/to/file.db")
    return Path(unquote(parts.path[1:]))
