"""An event in somebody else's words as a row of our outbox."""

from __future__ import annotations

from .codec import Codec, Draft
from .envelope import Envelope, parse_time
from .errors import UndecodableRecord
from .events import RecordWithheld


def foreign_draft(
    codec: Codec,
    envelope: Envelope,
    *,
    event_id: str | None = None,
    origin_source: str | None = None,
    origin_id: str | None = None,
    traceparent: str | None = None,
) -> Draft:
    """Raises UndecodableRecord for what only a relay may say, and for what is too large."""
    if isinstance(envelope.data, RecordWithheld):
        raise UndecodableRecord("NOT_ACCEPTED", "this event is only written by a relay of ours")
    try:
        return codec.draft(
            envelope.data,
            parse_time(envelope.time),
            event_id=event_id,
            origin_source=origin_source,
            origin_id=origin_id,
            traceparent=traceparent,
        )
    except ValueError as error:
        raise UndecodableRecord("TOO_LARGE", str(error)) from error
