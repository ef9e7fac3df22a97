"""Which back end an address means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

from event_store.connect import open_pauses, open_shared, sqlite_path
from event_store.pauses import Part, Pauses
from event_store.postgres_address import is_postgres
from event_store.tokens import COMMERCE_SCOPES, Tokens

from .backpressure import Backpressure
from .commerce import Commerce
from .token_gate import TokenGate


async def renew_functions(url: str) -> None:
    """Brings what other services call in a migrated commerce database to this version. A file has no such thing."""
    if is_postgres(url):
        from .postgres_emit import renew_emit

        await renew_emit(url)


@asynccontextmanager
async def open_gate(url: str, *, wants_tokens: bool, open_probes: bool) -> AsyncIterator[TokenGate]:
    """With the tokens of the database at that address."""
    transactions = open_shared(url)
    try:
        yield TokenGate(Tokens(transactions, COMMERCE_SCOPES), wants_tokens=wants_tokens, open_probes=open_probes)
    finally:
        await transactions.close()


@asynccontextmanager
async def open_pressure(url: str, max_rows: int, max_age_s: float) -> AsyncIterator[Backpressure]:
    """That knows of the relay's pause, which is in the database at that address."""
    transactions = open_pauses(url)
    try:
        yield Backpressure(max_rows, max_age_s, partial(Pauses(transactions).paused, Part.RELAY))
    finally:
        await transactions.close()


async def open_commerce(
    url: str,
    topics: Mapping[str, int],
    *,
    before_commit: Callable[[], None] = lambda: None,
    after_commit: Callable[[], None] = lambda: None,
    committed: Callable[[int, float], None] = lambda size, seconds: None,
) -> Commerce:
    """`sqlite+aiosqlite:///path` or `postgresql+asyncpg://user:password@host:port/name`.

    Makes the tables and lanes where they are missing.
    """
    commerce: Commerce
    if is_postgres(url):
        from .postgres_commerce import PostgresCommerce

        commerce = PostgresCommerce(
            url, topics, before_commit=before_commit, after_commit=after_commit, committed=committed
        )
    else:
        from .sqlite_commerce import SqliteCommerce

        path = sqlite_path(url, "sqlite+aiosqlite")
        commerce = SqliteCommerce(
            path, topics, before_commit=before_commit, after_commit=after_commit, committed=committed
        )
    await commerce.prepare()
    return commerce
