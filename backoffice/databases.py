"""The two databases: what each is to hold, and whether it does, before a process begins and while it runs.

SQLite files are made and brought up to date by whoever opens them. A server's database is migrated by
`countinghouse migrate` alone, since several machines use it and its user need not be allowed to change tables.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import structlog

from event_store.connect import file_of, revisions_of
from event_store.errors import EventStoreError, StorageUnavailable
from event_store.revisions import AUDIT, LEASES, OUTBOX, PAUSES, TOKENS, Revisions, Standing
from projections.revisions import FIGURES

from .failures import CommandFailed
from .redaction import redacted
from .revisions import SAVED_VIEWS, SIGN_IN
from .settings import Settings, variable
from .troubles import Troubles

SCHEMA = "schema"
"""What is in trouble where a database is behind."""
LOOK_EVERY_S = 15.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Database:
    title: str
    setting: str
    """The environment variable that names it."""
    url: str
    sets: tuple[Revisions, ...]
    """What is used of it."""

    @property
    def shown(self) -> str:
        """Its address, which may be told to anybody."""
        return redacted(self.url)

    @property
    def is_file(self) -> bool:
        return file_of(self.url) is not None


def commerce_database(settings: Settings, *more: Revisions) -> Database:
    """With the outbox, and what more it holds for its caller."""
    sets = (LEASES, PAUSES, OUTBOX, *more)
    return Database("commerce database", variable("commerce_db_url"), settings.commerce_db_url, sets)


def backoffice_database(settings: Settings, *more: Revisions) -> Database:
    url = settings.backoffice_db_url
    return Database("back-office database", variable("backoffice_db_url"), url, (LEASES, PAUSES, FIGURES, *more))


def databases_of_dashboard(settings: Settings) -> tuple[Database, Database]:
    """With accounts, tokens, the audit and more of people, which the processes of the pipeline can do without."""
    people = (AUDIT, TOKENS, SIGN_IN, SAVED_VIEWS)
    return commerce_database(settings, AUDIT, TOKENS), backoffice_database(settings, *people)


@dataclass(frozen=True, slots=True)
class Stand:
    """Where one set of tables is among its revisions."""

    revisions: Revisions
    revision: str | None
    standing: Standing

    @property
    def is_behind(self) -> bool:
        return self.standing in (Standing.UNMIGRATED, Standing.BEHIND)


async def stands(database: Database) -> list[Stand]:
    """Raises StorageUnavailable and StorageUnusable."""
    found = await revisions_of(database.url, database.sets)
    return [Stand(one, found[one.name], one.standing(found[one.name], database.shown)) for one in database.sets]


def lacking(found: Sequence[Stand]) -> str:
    """What the program needs and the database doesn't have yet, and what to do; empty where it has everything."""
    behind = [one for one in found if one.is_behind]
    if not behind:
        return ""
    has = ", ".join(one.revision or f"nothing of {one.revisions.name}" for one in behind)
    return f"it has {has}, and {', '.join(one.revisions.head for one in behind)} is needed; run `countinghouse migrate`"


async def require_head(databases: Sequence[Database]) -> list[str]:
    """What is remarkable about the databases. A file that is behind is brought to its head by whoever opens it.

    Raises CommandFailed, one line, where a server is out of reach or its database has still to be migrated.
    """
    remarks = []
    for database in databases:
        found = await (stands(database) if database.is_file else _stands_on_server(database))
        missing = lacking(found)
        if missing and not database.is_file:
            raise CommandFailed(f"{database.setting}: {database.shown} isn't migrated: {missing}.", 2)
        ahead = [str(one.revision) for one in found if one.standing is Standing.AHEAD]
        if ahead:
            remarks.append(f"The {database.title} has {', '.join(ahead)} of a newer version; this one works on.")
    return remarks


async def _stands_on_server(database: Database) -> list[Stand]:
    try:
        return await stands(database)
    except EventStoreError as error:
        raise CommandFailed(unusable(database, error), 2) from error


def unusable(database: Database, error: EventStoreError) -> str:
    """One line for an address that doesn't lead to a database which can be worked with."""
    cause = error.__cause__
    if cause is None or database.is_file:
        return f"{database.setting}: {error}"
    is_away = isinstance(error, StorageUnavailable)
    do = "Start the server, or correct the address" if is_away else "Correct the address, the password or the rights"
    why = (str(cause) or type(cause).__name__).rstrip(".")
    return f"{database.setting}: {database.shown} can't be used: {why}. {do}."


@contextlib.asynccontextmanager
async def watched(databases: Sequence[Database], troubles: Troubles) -> AsyncIterator[None]:
    """While the block runs, a database that falls behind (put back from an older copy, say) is a trouble."""
    watching = asyncio.create_task(_watch(databases, troubles))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(databases: Sequence[Database], troubles: Troubles) -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        for database in databases:
            where = f"{SCHEMA} of the {database.title}"
            try:
                missing = lacking(await stands(database))
            except EventStoreError:
                continue  # It is away, as whoever works with it says.
            if not missing:
                troubles.over(where)
            elif troubles.note(where, missing, LOOK_EVERY_S):
                log.error(f"The {database.title} isn't migrated: {missing}.", action="schema.behind")
