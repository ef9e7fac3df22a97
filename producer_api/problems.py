"""What goes wrong, told to whoever asked: RFC 9457 problems, each with its stable type and the fields that are wrong.

The request's id stands in the answer and in the log line, where the rest is; no answer shows an exception of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from litestar import Response
from litestar.exceptions import HTTPException, ValidationException
from msgspec import Meta, Struct

from event_store.envelope import new_event_id
from event_store.errors import EventStoreError

from .http_call import REPLAYED, AnyRequest
from .refusals import (
    BAD_REQUEST,
    INTERNAL,
    INVALID_FIELD,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    STORAGE_UNAVAILABLE,
    UNAUTHENTICATED,
    FieldError,
    Refused,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1

log = structlog.get_logger()

ExceptionHandlers = dict[int | type[Exception], Callable[[AnyRequest, Exception], Response[Any]]]


class Problem(Struct, frozen=True):
    """RFC 9457."""

    type: Annotated[str, Meta(description="stable, one per kind of problem")]
    title: str
    status: int
    detail: str
    instance: Annotated[str, Meta(description="the request's id, as the log has it")]
    errors: Annotated[list[FieldError], Meta(description="the fields that are wrong, where there are any")]


def exception_handlers() -> ExceptionHandlers:
    return {Exception: answer, HTTPException: answer, HTTPStatus.INTERNAL_SERVER_ERROR: answer}


def answer(request: AnyRequest, error: Exception) -> Response[Problem]:
    """The answer to a request that raised `error`."""
    refused = _refused(error)
    instance = f"urn:uuid:{new_event_id()}"
    if refused.kind is INTERNAL:
        log.error(
            f"{request.method} {request.url.path} failed: {error}",
            action="request_failed",
            request_id=instance,
            exc_info=error,
        )
    kind = refused.kind
    problem = Problem(kind.urn, kind.title, kind.status, refused.detail, instance, refused.errors)
    return Response(problem, status_code=kind.status, media_type=MEDIA_TYPE, headers=_headers(error, refused))


def _refused(error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, EventStoreError):
        detail = "It is busy, full or out of reach; send the same request again."
        return Refused(STORAGE_UNAVAILABLE, detail, retry_after_s=RETRY_AFTER_S)
    if isinstance(error, ValidationException):
        return Refused(INVALID_FIELD, "A parameter is not valid.", _parameters(error))
    if isinstance(error, HTTPException):
        return _of_framework(error)
    return Refused(INTERNAL, "The fault is ours. The log has the rest, under this request's id.")


def _of_framework(error: HTTPException) -> Refused:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return Refused(NOT_FOUND, "/schema/openapi.json lists what there is.")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return Refused(METHOD_NOT_ALLOWED, "The Allow header lists the methods it takes.")
    if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Refused(BAD_REQUEST, error.detail)
    return Refused(INTERNAL, "The fault is ours. The log has the rest, under this request's id.")


def _parameters(error: ValidationException) -> list[FieldError]:
    extra: Any = error.extra or []
    return [FieldError(str(one.get("key", "")), str(one.get("message", "")).replace("`", "'")) for one in extra]


def _headers(error: Exception, refused: Refused) -> dict[str, str]:
    headers = {}
    if isinstance(error, HTTPException) and error.headers:
        headers.update({name: value for name, value in error.headers.items() if name.lower() == "allow"})
    if refused.kind is UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    if refused.retry_after_s is not None:
        headers["retry-after"] = str(refused.retry_after_s)
    if refused.replayed:
        headers[REPLAYED] = "true"
    return headers
