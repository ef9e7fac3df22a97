"""What goes wrong, told to whoever asked: RFC 9457 problems for programs, a page with the same words for people.

The request id stands in the answer and in the log line, where the rest is; no answer shows an exception of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Template
from msgspec import Meta, Struct
from uuid_utils import uuid7

from backoffice.pages.navigation import plain_frame
from event_store.errors import EventStoreError, TransientError
from projections.periods import QuestionError

MEDIA_TYPE = "application/problem+json"

log = structlog.get_logger()


class Problem(Struct, frozen=True):
    """RFC 9457."""

    type: Annotated[str, Meta(description="stable, one per kind of problem")]
    title: str
    status: int
    detail: str
    instance: Annotated[str, Meta(description="the request's id, as the log has it")]


RESPONSES = {
    400: ResponseSpec(Problem, description="the question can't be answered as it stands", media_type=MEDIA_TYPE),
    503: ResponseSpec(Problem, description="a database is busy or out of reach", media_type=MEDIA_TYPE),
}
"""What every API handler may answer beside its own."""


def request_id(scope: Any) -> str:
    """The id of the request that `scope` belongs to, drawn at the first call."""
    state: dict[str, Any] = scope.setdefault("state", {})
    return str(state.setdefault("request_id", str(uuid7())))


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The answer to a request that raised `error`. Its URL isn't read: a hostile Host header makes it unreadable."""
    problem = _problem(error, f"urn:uuid:{request_id(request.scope)}")
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _report(request, error, problem)
    headers = getattr(error, "headers", None) if isinstance(error, HTTPException) else None
    if is_for_programs(request.scope["path"]):
        return Response(problem, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)
    context = {**plain_frame(problem.title), "problem": problem}
    return Template("problem.html", context=context, status_code=problem.status, headers=headers)


def is_for_programs(path: str) -> bool:
    return path.startswith(("/api/", "/figures.")) or path in ("/livez", "/readyz", "/metrics")


def _report(request: Request[Any, Any, Any], error: Exception, problem: Problem) -> None:
    log.error(
        f"{request.method} {request.scope['path']} failed: {error}",
        action="request_failed",
        request_id=problem.instance,
        status=problem.status,
        exc_info=None if isinstance(error, EventStoreError) else error,
    )


def _problem(error: Exception, instance: str) -> Problem:
    if isinstance(error, QuestionError):
        return _made("question", "This can't be answered", 400, sentence(error), instance)
    if isinstance(error, TransientError):
        detail = "A database is busy, full or out of reach. Nothing is lost; ask again in a moment."
        return _made("unavailable", "The figures can't be read right now", 503, detail, instance)
    if isinstance(error, EventStoreError):
        detail = f"{error} `countinghouse status` says more."
        return _made("stopped", "The figures can't be read", 503, detail, instance)
    if isinstance(error, HTTPException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        phrase = HTTPStatus(error.status_code).phrase
        return _made(phrase.lower().replace(" ", "-"), phrase, error.status_code, error.detail, instance)
    detail = "The fault is ours. The log has the rest, under this request's id."
    return _made("internal", "Something went wrong here", 500, detail, instance)


def sentence(error: Exception) -> str:
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def _made(slug: str, title: str, status: int, detail: str, instance: str) -> Problem:
    return Problem(f"urn:countinghouse:problem:{slug}", title, status, detail, instance)


ExceptionHandlers = dict[int | type[Exception], Callable[[Request[Any, Any, Any], Exception], Response[Any]]]


def exception_handlers() -> ExceptionHandlers:
    return {Exception: answer, HTTPException: answer, 500: answer}
