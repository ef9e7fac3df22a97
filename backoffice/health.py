"""Health of the dashboard's process: is it alive, and can it answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from event_store.errors import EventStoreError

from .pipeline import Pipeline


class Check(Struct, frozen=True):
    name: str
    ok: bool
    detail: str


class Health(Struct, frozen=True):
    ok: bool
    checks: list[Check]


def routes(pipeline: Pipeline) -> Sequence[HTTPRouteHandler]:
    @get("/livez", summary="The process answers", operation_id="livez", tags=["health"])
    async def livez() -> Health:
        return Health(True, [])

    @get("/readyz", summary="It can read what it shows", operation_id="readyz", tags=["health"])
    async def readyz() -> Response[Health]:
        checks = [await _checked(name, read) for name, read in _reads(pipeline).items()]
        health = Health(all(check.ok for check in checks), checks)
        return Response(health, status_code=200 if health.ok else 503)

    return [livez, readyz]


def _reads(pipeline: Pipeline) -> Mapping[str, Callable[[], Awaitable[object]]]:
    return {
        "read model": pipeline.read_model.serving,
        "log": pipeline.log.topics,
        "outbox": pipeline.outbox.lanes,
    }


async def _checked(name: str, read: Callable[[], Awaitable[object]]) -> Check:
    try:
        await read()
    except EventStoreError as error:
        return Check(name, ok=False, detail=type(error).__name__)
    return Check(name, ok=True, detail="")
