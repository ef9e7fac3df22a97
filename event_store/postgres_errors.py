"""PostgreSQL's errors in the house's classes, by SQLSTATE."""

from __future__ import annotations

import asyncpg

from .errors import StorageUnavailable, StorageUnusable

_TRANSIENT_CLASSES = ("08", "40", "53", "57", "58")
"""Connection, transaction rolled back (deadlock, serialization), resources (disk, connections), operator, system."""
_TRANSIENT_STATES = {
    "25006",  # a standby that a failover has not promoted yet
    "25P03",  # idle in a transaction for too long: this process was paused
    "25P04",
    "55006",
    "55P03",
}
_UNMIGRATED_STATES = {"42P01", "42703", "42883"}
"""No such table, column, function. Somebody migrates the database, or puts it back, and it is as it should be."""
_DAMAGED_STATES = {"58P01", "58P02"}
"""A file of the server's is missing or there twice: no wait mends that."""
_CALLERS_CLASSES = ("22", "23")
"""Data and integrity: a fault in what was asked, and whoever asked knows what it means."""

_TRY_AGAIN = "The work is tried again; see that the server runs, can be reached, and has room and connections left."
_MIGRATE = "The database isn't migrated: run `countinghouse migrate`. The work is tried again."
_LOOK = "Look at the address, the user's password and rights, and the database's tables."


def translated(error: BaseException, place: str) -> BaseException:
    """The error as a caller is to see it; `place` is host:port/database, as shown to an operator.

    What isn't the database's fault comes back as it is.
    """
    if isinstance(error, asyncpg.DataError) or not isinstance(error, _FAULTS):
        return error
    if isinstance(error, asyncpg.PostgresError) and _state(error)[:2] in _CALLERS_CLASSES:
        return error
    words = str(error) or type(error).__name__
    if not _is_transient(error):
        return StorageUnusable(f"{place}: {words}. {_LOOK}")
    is_unmigrated = isinstance(error, asyncpg.PostgresError) and _state(error) in _UNMIGRATED_STATES
    return StorageUnavailable(f"{place}: {words}. {_MIGRATE if is_unmigrated else _TRY_AGAIN}")


def is_contention(error: BaseException) -> bool:
    """Whether the transaction only met another one, as seen by `translated` or not: at once it may well succeed."""
    cause = error.__cause__ or error
    return isinstance(cause, asyncpg.UniqueViolationError | asyncpg.TransactionRollbackError)


_FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


def _is_transient(error: BaseException) -> bool:
    """The driver's own errors and the system's are about connections: refused, closed, out of time."""
    if not isinstance(error, asyncpg.PostgresError):
        return not isinstance(error, asyncpg.ClientConfigurationError)
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return True  # What a statement answers with was changed under it; the driver has forgotten it by now.
    state = _state(error)
    if state in _DAMAGED_STATES:
        return False
    return state in _TRANSIENT_STATES | _UNMIGRATED_STATES or state[:2] in _TRANSIENT_CLASSES


def _state(error: asyncpg.PostgresError) -> str:
    return str(error.sqlstate or "")
