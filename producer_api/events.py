"""The intake: events that other services hand in, each judged for itself.

An event is taken in once for its `source` and `id`, for ever. It goes on in a lane of this shop under a new id and
says where it came from (`originsource`, `originid`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import post
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from event_store.codec import Codec, Decoded
from event_store.errors import UndecodableRecord
from event_store.foreign_draft import foreign_draft

from .backpressure import Backpressure
from .commerce import MAX_INTAKE_EVENTS, Commerce, IntakeReport, JudgedEvent, TakeIn
from .http_call import JSON, AnyRequest, Reply, perform, read_body, traceparent_of
from .openapi import Described
from .refusals import INVALID_FIELD, OUTBOX_BACKLOG, FieldError, Refused
from .strict_json import check_keys, parse

BATCH = "application/cloudevents-batch+json"
MEDIA_TYPES = frozenset({JSON, BATCH})
OURS = ("sequence", "originsource", "originid")
"""Attributes that an event gets here, whatever it came with."""


class CloudEvent(Struct, frozen=True):
    """CloudEvents 1.0. `data` is as `countinghouse events schema` says for its `type`."""

    specversion: str
    id: str
    source: str
    type: str
    time: str
    data: dict[str, Any]
    traceparent: str | None = None


TAKING_IN = Described(
    answers={200: IntakeReport},
    body=list[CloudEvent],
    media_types=(BATCH, JSON),
    keyed=True,
    problems=(OUTBOX_BACKLOG,),
)


def routes(commerce: Commerce, pressure: Backpressure) -> Sequence[HTTPRouteHandler]:
    batch_of = msgspec.json.Decoder(list[msgspec.Raw])
    codec = Codec()

    @post(
        "/v1/events",
        status_code=200,
        operation_class=TAKING_IN.operation(),
        operation_id="takeInEvents",
        tags=["events"],
    )
    async def take_in_events(request: AnyRequest) -> Reply:
        """Takes in a batch of CloudEvents; each is accepted, a duplicate, or refused with its reason."""
        pressure.check()
        raw = await read_body(request, MEDIA_TYPES)
        batch = parse(batch_of, raw)
        if len(batch) > MAX_INTAKE_EVENTS:
            detail = f"has {len(batch)} events; the most is {MAX_INTAKE_EVENTS}"
            raise Refused(INVALID_FIELD, f"The batch {detail}.", [FieldError("", detail)])
        now_us = time.time_ns() // 1000
        traceparent = traceparent_of(request)
        command = TakeIn([judge(codec, bytes(event), now_us, traceparent) for event in batch])
        return await perform(commerce, request, command, raw)

    return [take_in_events]


def judge(codec: Codec, event: bytes, now_us: int, traceparent: str | None = None) -> JudgedEvent:
    """The event's outbox row, or why it gets none. `traceparent` is that of the request, for an event without one."""
    head: dict[str, msgspec.Raw] = {}
    try:
        head = _attributes(event)
        for name in OURS:
            head.pop(name, None)
        decoded = codec.decode(msgspec.json.encode(head), now_us)
        return _accepted(codec, decoded, traceparent)
    except UndecodableRecord as error:
        return JudgedEvent(_text(head, "id"), _text(head, "source"), None, error.reason, error.detail)


def _attributes(event: bytes) -> dict[str, msgspec.Raw]:
    try:
        head = _OBJECT.decode(event)
        check_keys(event)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UndecodableRecord("NOT_A_CLOUDEVENT", f"the event is no JSON object: {error}") from error
    except Refused as refused:
        pointer = refused.errors[0].pointer
        raise UndecodableRecord("INVALID_EVENT", f"{refused.detail} {pointer}") from refused
    return head


def _accepted(codec: Codec, decoded: Decoded, traceparent: str | None = None) -> JudgedEvent:
    envelope = decoded.envelope
    draft = foreign_draft(
        codec,
        envelope,
        origin_source=envelope.source,
        origin_id=envelope.id,
        traceparent=envelope.traceparent or traceparent,
    )
    return JudgedEvent(envelope.id, envelope.source, draft)


def _text(head: dict[str, msgspec.Raw], name: str) -> str | None:
    """An attribute as it was given, for the sender to know his event by."""
    try:
        return _TEXT.decode(head[name])[:200]
    except (KeyError, msgspec.MsgspecError, UnicodeError):
        return None


_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
