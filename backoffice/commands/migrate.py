"""`countinghouse migrate`: brings the tables of both databases to what this version of the program needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from backoffice.databases import Database, Stand, stands, unusable
from backoffice.failures import CommandFailed
from event_store.connect import migrate
from event_store.errors import EventStoreError
from event_store.revisions import Applied, Standing

Say = Callable[[str], None]


async def migrate_all(databases: Sequence[Database], say: Say) -> None:
    """Says of each database what was done. Raises CommandFailed, and the databases before it are done."""
    for database in databases:
        try:
            applied = await migrate(database.url, database.sets)
            found = await stands(database)
        except EventStoreError as error:
            raise CommandFailed(unusable(database, error), 2) from error
        say(f"{_named(database)}: {_account(applied) or _standing(found)}.")


async def check_all(databases: Sequence[Database], say: Say) -> bool:
    """Says of each database where it stands, and changes nothing. Whether none has a revision to come."""
    is_done = True
    for database in databases:
        try:
            found = await stands(database)
        except EventStoreError as error:
            raise CommandFailed(unusable(database, error), 2) from error
        say(f"{_named(database)}: {_standing(found)}.")
        is_done &= not any(one.is_behind for one in found)
    return is_done


def _named(database: Database) -> str:
    return f"{database.title} {database.shown}"


def _account(applied: Sequence[Applied]) -> str:
    made = [one.revision for one in applied if not one.is_adopted]
    adopted = [one.revision for one in applied if one.is_adopted]
    parts = [f"{', '.join(made)} applied"] if made else []
    parts += [f"tables of an earlier version taken over as {', '.join(adopted)}"] if adopted else []
    return "; ".join(parts)


def _standing(found: Sequence[Stand]) -> str:
    behind = [one.revisions.head for one in found if one.is_behind]
    if behind:
        return f"to be migrated to {', '.join(behind)}"
    ahead = [str(one.revision) for one in found if one.standing is Standing.AHEAD]
    if ahead:
        return f"at {', '.join(ahead)} of a newer version of this program, on which this one works; left as it is"
    return f"at head ({', '.join(one.revisions.head for one in found)})"
