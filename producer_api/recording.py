"""The events of one transaction: drafted as its commands are performed, written to the outbox once, at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from event_store.codec import Codec, Draft
from event_store.events import Payload

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class Recording:
    codec: Codec
    now: datetime
    """When the transaction began, by this process's clock; the time of what is told without one."""
    drafts: list[Draft] = field(default_factory=list)

    def add(self, payload: Payload, at: datetime, traceparent: str | None = None) -> str:
        """Drafts an event and returns its id."""
        draft = self.codec.draft(payload, at, traceparent=traceparent)
        self.drafts.append(draft)
        return draft.event_id


def microseconds(instant: datetime) -> int:
    """Since 1970 UTC."""
    return (instant - EPOCH) // _MICROSECOND


def instant_of(us: int) -> datetime:
    return EPOCH + us * _MICROSECOND
