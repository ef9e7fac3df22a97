"""The envelope: CloudEvents 1.0 in JSON structured mode, so that one record explains itself.

An outbox row keeps the envelope without its place in a lane. The relay, which alone draws sequences, adds
`source` and `sequence` when it claims the row. `sequence` is a zero-padded decimal string, because CloudEvents
integers end at 2^31 and the extension wants strings that sort (cloudevents/spec, extensions/sequence.md).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from uuid_utils import uuid7

from .traceparent import LENGTH as TRACEPARENT_LENGTH

CONTENT_TYPE = "application/cloudevents+json"
SEQUENCE_DIGITS = 16

EventId = Annotated[str, Meta(min_length=1, max_length=64)]
Source = Annotated[str, Meta(min_length=1, max_length=200)]
CanonicalTime = Annotated[str, Meta(min_length=27, max_length=27, description="2011-03-04T12:30:00.000000Z")]
Sequence = Annotated[str, Meta(min_length=SEQUENCE_DIGITS, max_length=SEQUENCE_DIGITS)]


class Envelope(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What every event says beside its data. `time` is business time in UTC, to the microsecond."""

    specversion: Literal["1.0"]
    id: EventId
    time: CanonicalTime
    subject: Annotated[str, Meta(max_length=200)] | None = None
    datacontenttype: Annotated[str, Meta(max_length=100)] | None = None
    dataschema: Annotated[str, Meta(max_length=200)] | None = None
    originsource: Source | None = None
    """The `source` under which another service handed the event in."""
    originid: EventId | None = None
    """The `id` that other service gave it."""
    traceparent: Annotated[str, Meta(max_length=TRACEPARENT_LENGTH)] | None = None
    """The request that it came with, for tracing; see traceparent.py."""
    data: Any
    source: Source = ""
    sequence: Sequence | None = None


def new_event_id() -> str:
    """A UUIDv7: ids of one process sort by time, which keeps their index narrow."""
    return str(uuid7())


def stamp(row_payload: bytes, source: str, sequence: int) -> bytes:
    """The record's value: the envelope of an outbox row with its place in the lane added at the end."""
    return stamper(source)(row_payload, sequence)


def stamper(source: str) -> Callable[[bytes, int], bytes]:
    """`stamp` for the many rows of one lane."""
    added = b',"source":"%b","sequence":"' % source.encode()
    return lambda row_payload, sequence: b'%b%b%016d"}' % (row_payload[:-1], added, sequence)


def format_time(instant: datetime) -> str:
    """The canonical text of an aware instant; a naive one has no place on the time line and is refused."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no time zone")
    return instant.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def parse_time(text: str) -> datetime:
    """An aware instant in UTC from RFC 3339 text; raises ValueError."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} is before the first or after the last year") from error
