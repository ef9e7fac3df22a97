"""Where the accounts are kept, and what stands beside them in the back-office database."""

from __future__ import annotations

from collections.abc import Mapping

from backoffice import saved_views
from backoffice.revisions import SAVED_VIEWS, SIGN_IN
from event_store import audit_tables, pauses, tokens
from event_store.connect import open_transactions
from event_store.revisions import AUDIT, PAUSES, TOKENS, Revisions
from event_store.steps import Transactions

from . import account_tables

OFFICE: Mapping[Revisions, str] = {
    AUDIT: audit_tables.SQLITE,
    TOKENS: tokens.SQLITE,
    PAUSES: pauses.SQLITE,
    SIGN_IN: account_tables.SQLITE,
    SAVED_VIEWS: saved_views.SQLITE,
}


def open_office(url: str) -> Transactions:
    """`sqlite+aiosqlite:///path` or `postgresql+asyncpg://user:password@host:port/name`."""
    return open_transactions(url, OFFICE)


def memory_office() -> Transactions:
    """For tests: it is gone with the process."""
    from event_store.sqlite_transactions import MemoryTransactions

    return MemoryTransactions(OFFICE)
