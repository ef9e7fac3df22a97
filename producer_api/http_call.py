"""One HTTP call as our handlers read it: its media type, its bounded body, its ids and its idempotency key.

Handlers take the bare request and read what they need from here: the framework's own conversion is lax (it takes "5"
for 5), and would be a third of the cost of an accepted view.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from event_store.envelope import parse_time
from event_store.event_time import EARLIEST, FUTURE_TOLERANCE
from event_store.traceparent import sampled

from .commerce import ID_PATTERN, PATTERNS, Answer, Command, Commerce, Once
from .refusals import (
    BAD_REQUEST,
    BODY_TOO_LARGE,
    INVALID_FIELD,
    INVALID_KEY,
    UNSUPPORTED_MEDIA_TYPE,
    FieldError,
    Refused,
)
from .strict_json import decode

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]

MAX_BODY_BYTES = 1_048_576
JSON = "application/json"
JSON_TYPES = frozenset({JSON})
MAX_KEY_LENGTH = 255

_EARLIEST = parse_time(EARLIEST)
_ID = re.compile(ID_PATTERN)
_KEY = re.compile(rb"[\x21-\x7e]{1,255}")
REPLAYED = "idempotent-replayed"
_JSON = (b"content-type", JSON.encode())


async def read_body(request: AnyRequest, media_types: Collection[str] = JSON_TYPES) -> bytes:
    """The whole body. Raises Refused for another media type or more than MAX_BODY_BYTES, announced or not."""
    _check_media_type(request, media_types)
    body = b""
    more = True
    while more:
        message = await request.receive()
        if message["type"] != "http.request":
            raise Refused(BAD_REQUEST, "The connection was closed before the body was complete.")
        body += message["body"]
        more = message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
    return body


def _check_media_type(request: AnyRequest, media_types: Collection[str]) -> None:
    media_type = ""
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            media_type = value.decode("latin-1")
        elif name == b"content-encoding" and value != b"identity":
            raise Refused(UNSUPPORTED_MEDIA_TYPE, "The body is compressed; send it as it is.")
        elif name == b"content-length" and value.isdigit() and int(value[:20]) > MAX_BODY_BYTES:
            raise _too_large()
    if media_type not in media_types and not _is_utf_8_of(media_type, media_types):
        wanted = " or ".join(sorted(media_types))
        raise Refused(UNSUPPORTED_MEDIA_TYPE, f"The body is {media_type or 'of no media type'}; send {wanted}.")


def _is_utf_8_of(media_type: str, media_types: Collection[str]) -> bool:
    """True for another spelling of one of `media_types`; a charset other than UTF-8 is another type."""
    (essence, _, parameters) = media_type.lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    return essence.strip() in media_types and charset in ("", "charset=utf-8")


def _too_large() -> Refused:
    return Refused(BODY_TOO_LARGE, f"A body has at most {MAX_BODY_BYTES} bytes.")


async def read_json(request: AnyRequest, decoder: msgspec.json.Decoder[T]) -> tuple[T, bytes]:
    """The body as `decoder` declares it, and its bytes."""
    body = await read_body(request)
    return decode(decoder, body), body


def path_id(request: AnyRequest, name: str) -> str:
    """An id from the path, within the same bounds as in a body."""
    text: str = request.scope["path_params"][name]
    if len(text) > 64 or not _ID.search(text):
        detail = f"1 to 64 characters: {PATTERNS[ID_PATTERN]}"
        raise Refused(INVALID_FIELD, f"The {name} in the path is not one: {detail}.", [FieldError(name, detail)])
    return text


def business_time(at: datetime | None, now: datetime) -> datetime:
    """`at`, or now. Raises Refused where it is older than the oldest event or further ahead than clocks differ."""
    if at is None:
        return now
    if not _EARLIEST <= at <= now + FUTURE_TOLERANCE:
        detail = f"must not be before {EARLIEST} nor more than {FUTURE_TOLERANCE} ahead of {now.isoformat()}"
        raise Refused(INVALID_FIELD, f"The time of the event {detail}.", [FieldError("/at", detail)])
    return at.astimezone(UTC)


def once(request: AnyRequest, body: bytes) -> Once | None:
    """What makes this call the same call again, where it carries an Idempotency-Key."""
    keys = [value for name, value in request.scope["headers"] if name == b"idempotency-key"]
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        detail = f"must stand once, as 1 to {MAX_KEY_LENGTH} visible ASCII characters"
        raise Refused(INVALID_KEY, f"Idempotency-Key {detail}.", [FieldError("Idempotency-Key", detail)])
    endpoint = f"{request.scope['method']} {request.scope['path'].rstrip('/')}"
    return Once(keys[0].decode(), endpoint, hashlib.sha256(body).digest())


async def perform(commerce: Commerce, request: AnyRequest, command: Command, body: bytes) -> Reply:
    """Performs a command of a POST, once for its idempotency key, and answers after the commit."""
    return respond(await commerce.perform(traced(request, command), once(request, body)))


def traced(request: AnyRequest, command: Command) -> Command:
    """The command with the request's trace context, where it carries one that somebody records."""
    found = traceparent_of(request)
    return command if found is None else msgspec.structs.replace(command, traceparent=found)


def traceparent_of(request: AnyRequest) -> str | None:
    contexts = [value for name, value in request.scope["headers"] if name == b"traceparent"]
    return sampled(contexts[0].decode("latin-1")) if len(contexts) == 1 else None


class Reply(ASGIResponse):
    """JSON and a few headers, and so little of the framework's response that it costs a tenth of one."""

    __slots__ = ("_body", "_start")

    def __init__(self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        length = (b"content-length", b"%d" % len(body))
        self._start: Any = {"type": "http.response.start", "status": status, "headers": [_JSON, length, *headers]}
        self._body: Any = {"type": "http.response.body", "body": body, "more_body": False}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(self._start)
        await send(self._body)


def respond(answer: Answer) -> Reply:
    if answer.location is None and not answer.replayed:
        return Reply(answer.status, answer.body)
    headers = []
    if answer.location is not None:
        headers.append((b"location", answer.location.encode()))
    if answer.replayed:
        headers.append((REPLAYED.encode(), b"true"))
    return Reply(answer.status, answer.body, headers)


def utc_now() -> datetime:
    return datetime.now(UTC)
