"""The API's description, OpenAPI 3.1: every operation with its body, its answers and every problem it may give.

Handlers read the bare request, so the framework can't see their bodies; each declares them here, by the same types
it reads and answers with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib import metadata
from typing import Any, ClassVar

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
)

from . import problems
from .commerce import Id
from .http_call import JSON, MAX_KEY_LENGTH
from .refusals import (
    BAD_REQUEST,
    BODY_TOO_LARGE,
    INTERNAL,
    INVALID_FIELD,
    INVALID_KEY,
    KEY_REUSED,
    MALFORMED_JSON,
    NOT_IN_SCOPE,
    STORAGE_UNAVAILABLE,
    UNAUTHENTICATED,
    UNSUPPORTED_MEDIA_TYPE,
    Kind,
)

WITH_BODY = (BAD_REQUEST, MALFORMED_JSON, INVALID_FIELD, BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE)
WITH_KEY = (INVALID_KEY, KEY_REUSED)
ALWAYS = (UNAUTHENTICATED, NOT_IN_SCOPE, INTERNAL, STORAGE_UNAVAILABLE)

DESCRIPTION = """\
Records what happens in the shop, durably, before it answers. Money is in minor units, instants are RFC 3339 with their
zone. Ids you choose yourself (orders, payments, refunds) and an Idempotency-Key make a call safe to repeat.
Where the shop wants to know who calls, a token goes along as `Authorization: Bearer …`.
Every error is an RFC 9457 problem with a stable type."""

_REF = "#/components/schemas/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What an operation takes and gives."""

    answers: Mapping[int, Any]
    """Status → type of the body."""
    problems: tuple[Kind, ...] = ()
    """Beside those that its body and its key bring along."""
    body: Any = None
    media_types: tuple[str, ...] = (JSON,)
    keyed: bool = False
    """It takes an Idempotency-Key."""

    def operation(self) -> type[Operation]:
        described = self

        @dataclass
        class DescribedOperation(Operation):
            types: ClassVar[list[Any]] = described.types()

            def __post_init__(self) -> None:
                self.parameters = [*_bounded(self.parameters or []), *([_KEY_HEADER] if described.keyed else [])]
                if described.body is not None:
                    content = dict.fromkeys(described.media_types, OpenAPIMediaType(schema=_schema(described.body)))
                    self.request_body = RequestBody(required=True, content=content)
                self.responses = described._responses()

        return DescribedOperation

    def types(self) -> list[Any]:
        """All it takes and gives."""
        return [*self.answers.values(), *([self.body] if self.body is not None else [])]

    def _responses(self) -> dict[str, OpenAPIResponse | Reference]:
        kinds = [*self.problems, *ALWAYS]
        if self.body is not None:
            kinds += WITH_BODY
        if self.keyed:
            kinds += WITH_KEY
        responses: dict[str, OpenAPIResponse | Reference] = {
            str(status): _answer(status, body, self.keyed) for status, body in self.answers.items()
        }
        for kind in sorted(set(kinds), key=lambda kind: kind.status):
            responses.setdefault(str(kind.status), _problem(kind.status, kinds))
        return responses


def _answer(status: int, body: Any, keyed: bool) -> OpenAPIResponse:
    headers: dict[str, Any] | None = {"Idempotent-Replayed": _REPLAYED} if keyed else None
    content = {JSON: OpenAPIMediaType(schema=_schema(body))}
    return OpenAPIResponse(description=HTTPStatus(status).phrase, content=content, headers=headers)


def _problem(status: int, kinds: Iterable[Kind]) -> OpenAPIResponse:
    titles = sorted({f"{kind.title} (`{kind.slug}`)" for kind in kinds if kind.status == status})
    content = {problems.MEDIA_TYPE: OpenAPIMediaType(schema=Reference(_REF.format(name="Problem")))}
    retry: dict[str, Any] | None = {"Retry-After": _SECONDS} if status == STORAGE_UNAVAILABLE.status else None
    return OpenAPIResponse(description="; ".join(titles), content=content, headers=retry)


def _bounded(parameters: Iterable[Any]) -> list[Parameter | Reference]:
    """Path parameters are ids, which the framework can't see either."""
    bounded: list[Parameter | Reference] = []
    for parameter in parameters:
        if isinstance(parameter, Parameter) and parameter.param_in == "path":
            parameter.schema = _schema(Id)
        bounded.append(parameter)
    return bounded


def _schema(described: Any) -> Any:
    """A reference to a struct's component, or the schema of anything else."""
    (schemas, _) = msgspec.json.schema_components([described], ref_template=_REF)
    (schema,) = schemas
    return Reference(schema["$ref"]) if "$ref" in schema else schema


def _version() -> str:
    """Of the installed distribution; a checkout that was never installed has none."""
    try:
        return metadata.version("countinghouse")
    except metadata.PackageNotFoundError:
        return "0"


@dataclass
class DeclaredComponents(Components):
    """Schemas by name. The framework sets `schemas` to those it found for itself, of which our handlers show none."""

    declared: dict[str, Any] = field(default_factory=dict)

    def to_schema(self) -> dict[str, Any]:
        return {"schemas": self.declared}


def config(handlers: Iterable[HTTPRouteHandler]) -> OpenAPIConfig:
    types = [one for handler in handlers for one in getattr(handler.operation_class, "types", [])]
    (_, components) = msgspec.json.schema_components([*types, problems.Problem], ref_template=_REF)
    return OpenAPIConfig(
        title="Countinghouse commerce API",
        version=_version(),
        description=DESCRIPTION,
        path="/schema",
        render_plugins=[JsonRenderPlugin()],
        components=DeclaredComponents(declared=components),
        use_handler_docstrings=True,
    )


_TEXT: Any = {"type": "string"}
_SECONDS = OpenAPIHeader(schema=Schema(type="integer"), description="seconds to wait before the same call again")  # type: ignore[arg-type]
_REPLAYED = OpenAPIHeader(schema=_TEXT, description="`true` where the call was answered before and changed nothing")
_KEY_HEADER = Parameter(
    name="Idempotency-Key",
    param_in="header",
    schema={"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": "^[\\x21-\\x7e]+$"},  # type: ignore[arg-type]
    description="The same key with the same body gets the same answer and changes nothing more.",
)
