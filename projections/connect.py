"""The one place where the scheme of a URL chooses a back end of the read model."""

from __future__ import annotations

from event_store.connect import sqlite_path
from event_store.crash_points import NO_CRASH, CrashPoints

from .catalogue import PROJECTIONS
from .read_model import ReadModel


def open_read_model(url: str, crash_points: CrashPoints = NO_CRASH) -> ReadModel:
    """`sqlite+aiosqlite:///path`: the back office's database. Raises ValueError for another scheme."""
    from .sqlite_read_model import SqliteReadModel

    return SqliteReadModel(sqlite_path(url, "sqlite+aiosqlite"), PROJECTIONS, crash_points)
