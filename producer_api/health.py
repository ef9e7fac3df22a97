"""Health: is the process alive, and can it take what it is asked to record."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from litestar import get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from event_store.errors import EventStoreError

from .commerce import Commerce, encode
from .http_call import Reply
from .openapi import Described


class Check(Struct, frozen=True):
    name: str
    ok: bool
    detail: str


class Health(Struct, frozen=True):
    ok: bool
    checks: list[Check]


LIVE = Described(answers={200: Health})
READY = Described(answers={200: Health, 503: Health})


def routes(commerce: Commerce, schema_trouble: Callable[[], str]) -> Sequence[HTTPRouteHandler]:
    @get("/livez", operation_class=LIVE.operation(), operation_id="livez", tags=["health"])
    async def livez() -> Reply:
        """The process answers."""
        return _answer(Health(ok=True, checks=[]))

    @get("/readyz", operation_class=READY.operation(), operation_id="readyz", tags=["health"])
    async def readyz() -> Reply:
        """The database can be written to, has the tables that are needed, and the outbox its lanes."""
        try:
            await commerce.check_writable()
        except EventStoreError as error:
            check = Check("commerce database", ok=False, detail=type(error).__name__)
        else:
            check = Check("commerce database", ok=True, detail="")
        why = schema_trouble()
        schema = Check("schema", ok=not why, detail=why or "at head")
        return _answer(Health(check.ok and schema.ok, [check, schema]))

    return [livez, readyz]


def _answer(health: Health) -> Reply:
    return Reply(200 if health.ok else 503, encode(health))
