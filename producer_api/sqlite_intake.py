"""The events that other services handed in, in SQLite, as one transaction sees them."""

from __future__ import annotations

import sqlite3

INSERT_ACCEPTED = "INSERT INTO accepted_events (source, id, event_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"


class SqliteTakenIn:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, source: str, id_: str, event_id: str) -> bool:
        return self._connection.execute(INSERT_ACCEPTED, (source, id_, event_id)).rowcount > 0
