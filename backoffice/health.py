"""Health of the dashboard's process: is it alive, and can it answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta, Struct

from event_store.errors import EventStoreError

from .guarded_cache import CacheStatus
from .pipeline import Pipeline
from .sign_in.access import probe


class Check(Struct, frozen=True):
    name: str
    ok: bool
    detail: str
    needed: Annotated[bool, Meta(description="false: without it everything is answered, only slower")] = True


class Health(Struct, frozen=True):
    ok: Annotated[bool, Meta(description="all that is needed is there")]
    degraded: Annotated[bool, Meta(description="something isn't")]
    checks: list[Check]


def routes(pipeline: Pipeline, schema_trouble: Callable[[], str]) -> Sequence[HTTPRouteHandler]:
    @get("/livez", opt=probe(), summary="The process answers", operation_id="livez", tags=["health"])
    async def livez() -> Health:
        return Health(True, False, [])

    @get("/readyz", opt=probe(), summary="It can read what it shows", operation_id="readyz", tags=["health"])
    async def readyz() -> Response[Health]:
        checks = [await _checked(name, read) for name, read in _reads(pipeline).items()]
        why = schema_trouble()
        checks.append(Check("schema", ok=not why, detail=why or "at head"))
        if pipeline.cache is not None:
            checks.append(_of_cache(await pipeline.cache.status()))
        is_ready = all(check.ok for check in checks if check.needed)
        health = Health(is_ready, not all(check.ok for check in checks), checks)
        return Response(health, status_code=200 if health.ok else 503)

    return [livez, readyz]


def _reads(pipeline: Pipeline) -> Mapping[str, Callable[[], Awaitable[object]]]:
    return {
        "read model": pipeline.read_model.serving,
        "log": pipeline.log.topics,
        "outbox": pipeline.outbox.lanes,
    }


def _of_cache(cache: CacheStatus) -> Check:
    return Check("cache", cache.usable, cache.detail or "", needed=False)


async def _checked(name: str, read: Callable[[], Awaitable[object]]) -> Check:
    try:
        await read()
    except EventStoreError as error:
        return Check(name, ok=False, detail=type(error).__name__)
    return Check(name, ok=True, detail="")
