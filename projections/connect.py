"""The one place where the scheme of a URL chooses a back end of the read model."""

from __future__ import annotations

from event_store.connect import sqlite_path
from event_store.crash_points import NO_CRASH, CrashPoints
from event_store.postgres_address import is_postgres

from .catalogue import PROJECTIONS
from .read_model import ReadModel


def open_read_model(url: str, crash_points: CrashPoints = NO_CRASH) -> ReadModel:
    """The back office's database: `sqlite+aiosqlite:///path` or `postgresql+asyncpg://user:password@host:port/name`.

    Raises ValueError for another scheme.
    """
    if is_postgres(url):
        from .postgres_read_model import PostgresReadModel

        return PostgresReadModel(url, PROJECTIONS, crash_points)
    from .sqlite_read_model import SqliteReadModel

    return SqliteReadModel(sqlite_path(url, "sqlite+aiosqlite"), PROJECTIONS, crash_points)
