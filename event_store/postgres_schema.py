"""Where the tables of a PostgreSQL database stand among their revisions."""

from __future__ import annotations

from collections.abc import Iterable

from .postgres_address import dsn_and_place
from .postgres_database import connect
from .postgres_errors import translated
from .postgres_pool import CONNECT_TIMEOUT_S
from .revisions import Revisions

IS_THERE = "SELECT to_regclass($1) IS NOT NULL"


async def revisions_of(url: str, sets: Iterable[Revisions]) -> dict[str, str | None]:
    """Name of the set → its revision, or None. Raises StorageUnavailable and StorageUnusable."""
    found: dict[str, str | None] = {}
    try:
        connection = await connect(url)
        try:
            for one in sets:
                is_there = await connection.fetchval(IS_THERE, one.table)
                select = f"SELECT version_num FROM {one.table}"  # noqa: S608
                found[one.name] = await connection.fetchval(select) if is_there else None
        finally:
            await connection.close(timeout=CONNECT_TIMEOUT_S)
    except Exception as error:
        seen = translated(error, dsn_and_place(url)[1])
        if seen is error:
            raise
        raise seen from error
    return found
