"""The intake of other services' events in SQLite: a part of one transaction."""

from __future__ import annotations

import sqlite3

from .commerce import Answer, IntakeReport, IntakeResult, JudgedEvent, TakeIn, encode
from .recording import Recording

INSERT_ACCEPTED = "INSERT INTO accepted_events (source, id, event_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"


def take_in(connection: sqlite3.Connection, command: TakeIn, recording: Recording) -> Answer:
    """Each event that is new becomes an outbox row; the first of two with one source and id is the new one."""
    results = [_take_in_one(connection, event, recording) for event in command.events]
    return Answer(200, encode(IntakeReport(results)))


def _take_in_one(connection: sqlite3.Connection, event: JudgedEvent, recording: Recording) -> IntakeResult:
    if event.draft is None:
        return IntakeResult(event.id, event.source, "refused", event.reason, event.detail)
    values = (event.source, event.id, event.draft.event_id)
    if connection.execute(INSERT_ACCEPTED, values).rowcount == 0:
        return IntakeResult(event.id, event.source, "duplicate")
    recording.drafts.append(event.draft)
    return IntakeResult(event.id, event.source, "accepted")
