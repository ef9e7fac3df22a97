"""Where the accounts, the audit and the tokens of a database are kept: the one place that knows the kinds."""

from __future__ import annotations

from collections.abc import Mapping

from backoffice.revisions import SIGN_IN
from event_store import audit_tables, tokens
from event_store.connect import sqlite_path
from event_store.postgres_address import is_postgres
from event_store.revisions import AUDIT, TOKENS, Revisions
from event_store.steps import Transactions

from . import account_tables

SHARED: Mapping[Revisions, str] = {AUDIT: audit_tables.SQLITE, TOKENS: tokens.SQLITE}
OFFICE: Mapping[Revisions, str] = {**SHARED, SIGN_IN: account_tables.SQLITE}


def open_office(url: str) -> Transactions:
    """Of the back-office database: `sqlite+aiosqlite:///path` or `postgresql+asyncpg://user:password@host:port/name`."""
    return _opened(url, OFFICE)


def open_shared(url: str) -> Transactions:
    """Of the commerce database: its tokens, and its audit."""
    return _opened(url, SHARED)


def memory_office() -> Transactions:
    from event_store.sqlite_transactions import MemoryTransactions

    return MemoryTransactions(OFFICE)


def _opened(url: str, tables: Mapping[Revisions, str]) -> Transactions:
    if is_postgres(url):
        from event_store.postgres_transactions import PostgresTransactions

        return PostgresTransactions(url)
    from event_store.sqlite_transactions import SqliteTransactions

    return SqliteTransactions(sqlite_path(url, "sqlite+aiosqlite"), tables)
