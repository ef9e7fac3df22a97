"""`/api`: what a program can ask of this dashboard, as its OpenAPI document says it, for people to read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from backoffice.sign_in.access import ACCESS, Access, needs
from backoffice.sign_in.roles import Role

from .forms import page
from .frame import WebRequest

DOCUMENT = "/schema/openapi.json"
_PREFIX = "#/components/schemas/"
_Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of a type's name. `shape` is the shape that it leads to, "" where it leads nowhere."""

    text: str
    shape: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter of a question, or a field of a shape."""

    name: str
    kind: Sequence[Word]
    is_required: bool
    default: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Answer:
    status: str
    meaning: str
    kind: Sequence[Word]


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    title: str
    group: str
    role: str
    """The least of those whose people may ask, "" where everybody may."""
    scope: str
    """Of the token that a program needs, "" where it needs none."""
    is_open_here: bool
    """Whether nobody is asked who they are who asks from the machine itself."""
    parameters: Sequence[Field]
    body: Sequence[Word]
    answers: Sequence[Answer]


@dataclass(frozen=True, slots=True)
class Shape:
    """An object that comes or goes as JSON."""

    name: str
    fields: Sequence[Field]


def route() -> HTTPRouteHandler:
    @get("/api", include_in_schema=False, opt=needs(Role.VIEWER))
    async def show(request: WebRequest) -> Response[Any]:
        document = request.app.openapi_schema.to_schema()
        operations = list(_operations(document, _access(request.app)))
        groups = {one.group: [other for other in operations if other.group == one.group] for one in operations}
        context = {"groups": groups, "shapes": list(_shapes(document)), "document": DOCUMENT}
        return page("reference.html", "API", "/api", 200, context)

    return show


def _access(app: Litestar) -> Mapping[tuple[str, str], Access]:
    """(path, method in small letters) → what the route asks of who calls it."""
    return {
        (route.path, method.lower()): handler.opt[ACCESS]
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
        if ACCESS in handler.opt
    }


def _operations(document: _Json, access: Mapping[tuple[str, str], Access]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            asked = access[path, method]
            yield Operation(
                method.upper(),
                path,
                operation["summary"],
                operation["tags"][0],
                str(asked.role or ""),
                str(asked.scope or ""),
                asked.is_probe,
                [_parameter(one) for one in operation.get("parameters", [])],
                _content(operation.get("requestBody", {})),
                [_answer(status, one) for status, one in sorted(operation["responses"].items())],
            )


def _parameter(parameter: _Json) -> Field:
    return _field(parameter["name"], parameter["schema"], parameter["required"], parameter.get("description", ""))


def _answer(status: str, answer: _Json) -> Answer:
    # What the framework says of 200 says nothing.
    return Answer(status, "" if status == "200" else answer["description"], _content(answer))


def _content(of: _Json) -> Sequence[Word]:
    return [word for one in of.get("content", {}).values() for word in _kind(one["schema"])]


def _shapes(document: _Json) -> Iterator[Shape]:
    for name, shape in sorted(document["components"]["schemas"].items()):
        required = shape.get("required", [])
        fields = shape.get("properties", {}).items()
        yield Shape(
            name, [_field(own, schema, own in required, schema.get("description", "")) for own, schema in fields]
        )


def _field(name: str, schema: _Json, is_required: bool, meaning: str) -> Field:
    default = schema.get("default")
    written = default if isinstance(default, str) else json.dumps(default)
    return Field(name, _kind(schema), is_required, "" if default is None else written, meaning)


def _kind(schema: _Json) -> Sequence[Word]:
    """What a value is, in words."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_PREFIX)
        return [Word(name, name)]
    if "oneOf" in schema:
        (first, *others) = [_kind(one) for one in schema["oneOf"]]
        return [*first, *chain.from_iterable([Word(" or "), *other] for other in others)]
    if "items" in schema:
        return [Word("list of "), *_kind(schema["items"])]
    if isinstance(schema.get("additionalProperties"), Mapping):
        return [Word("object whose values are "), *_kind(schema["additionalProperties"])]
    return [Word(_plain(schema))]


def _plain(schema: _Json) -> str:
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if values:
        return " or ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in values)
    kind = schema.get("type", "anything")
    return str(schema.get("format", kind) if kind == "string" else kind)
