"""Which back end an address means."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from event_store.connect import sqlite_path

from .commerce import Commerce
from .sqlite_commerce import SqliteCommerce


async def open_commerce(
    url: str,
    topics: Mapping[str, int],
    *,
    before_commit: Callable[[], None] = lambda: None,
    after_commit: Callable[[], None] = lambda: None,
    committed: Callable[[int, float], None] = lambda size, seconds: None,
) -> Commerce:
    """`sqlite+aiosqlite:///path`. Makes the file, its tables and its lanes where they are missing."""
    commerce = SqliteCommerce(
        sqlite_path(url, "sqlite+aiosqlite"),
        topics,
        before_commit=before_commit,
        after_commit=after_commit,
        committed=committed,
    )
    await commerce.prepare()
    return commerce
