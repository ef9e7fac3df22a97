"""The events that other services handed in, in PostgreSQL, as one transaction sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from event_store.postgres_database import columns_of

from .commerce import Command, TakeIn

if TYPE_CHECKING:
    from event_store.postgres_database import Connection

SELECT_ACCEPTED = """
SELECT source, id FROM unnest($1::text[], $2::text[]) AS asked (source, id) JOIN accepted_events USING (source, id)
"""
INSERT_ACCEPTED = """
INSERT INTO accepted_events (source, id, event_id) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
"""


class PostgresTakenIn:
    def __init__(self, commands: Sequence[Command]) -> None:
        events = [event for one in commands if isinstance(one, TakeIn) for event in one.events]
        self._asked = {(one.source, one.id) for one in events if one.draft is not None}
        self._known: set[tuple[str, str]] = set()
        self._new: dict[tuple[str, str], str] = {}

    async def read(self, connection: Connection) -> None:
        if self._asked:
            rows = await connection.fetch(SELECT_ACCEPTED, *columns_of(self._asked))
            self._known = {(row[0], row[1]) for row in rows}

    async def write(self, connection: Connection) -> None:
        if self._new:
            rows = [(source, id_, event_id) for (source, id_), event_id in sorted(self._new.items())]
            await connection.execute(INSERT_ACCEPTED, *columns_of(rows))

    def add(self, source: str, id_: str, event_id: str) -> bool:
        if (source, id_) in self._known:
            return False
        self._known.add((source, id_))
        self._new[source, id_] = event_id
        return True
