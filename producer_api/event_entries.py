"""Events of other services, as they are entered in the books."""

from __future__ import annotations

from .books import Books
from .commerce import Answer, IntakeReport, IntakeResult, JudgedEvent, TakeIn, encode


def take_in(books: Books, command: TakeIn) -> Answer:
    """Each event that is new becomes an outbox row; the first of two with one source and id is the new one."""
    return Answer(200, encode(IntakeReport([_take_in_one(books, event) for event in command.events])))


def _take_in_one(books: Books, event: JudgedEvent) -> IntakeResult:
    if event.draft is None:
        return IntakeResult(event.id, event.source, "refused", event.reason, event.detail)
    if not books.taken_in.add(event.source or "", event.id or "", event.draft.event_id):
        return IntakeResult(event.id, event.source, "duplicate")
    books.recording.drafts.append(event.draft)
    return IntakeResult(event.id, event.source, "accepted")
