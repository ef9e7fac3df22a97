"""The API's own description, held against every answer that a test gets."""

from __future__ import annotations

import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

ROOT = "urn:countinghouse:openapi"


class Description:
    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        resource = Resource.from_contents(document, default_specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource(ROOT, resource)

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """The described operation that a call reaches, by its path without a query."""
        for template, item in self.document["paths"].items():
            pattern = re.sub(r"\{[^}]*\}", "[^/]+", template)
            if re.fullmatch(pattern, path) and method.lower() in item:
                found: dict[str, Any] = item[method.lower()]
                return found
        return None

    def check(self, response: httpx.Response) -> None:
        """The status, the media type and every field of an answer are as described."""
        request = response.request
        operation = self.operation(request.method, request.url.raw_path.decode().partition("?")[0])
        if operation is None:
            assert response.status_code in (404, 405), response.text
            return
        described = operation["responses"]
        assert str(response.status_code) in described, f"{request.method} {request.url}: {response.text}"
        content = described[str(response.status_code)]["content"]
        media_type = response.headers["content-type"]
        assert media_type in content, media_type
        self.validate(content[media_type]["schema"], response.json())

    def validate(self, schema: dict[str, Any], instance: Any) -> None:
        based = {"$ref": ROOT + schema["$ref"]} if "$ref" in schema else schema
        error = next(Draft202012Validator(based, registry=self._registry).iter_errors(instance), None)
        assert error is None, error.message
