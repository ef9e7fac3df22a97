"""The commerce API as one ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

import structlog
from litestar import Litestar
from prometheus_client import CollectorRegistry

from event_store.errors import EventStoreError

from . import events, health, likes, metrics, openapi, orders, payments, products, refunds, views
from .backpressure import Backpressure
from .commerce import Commerce
from .metrics import ApiMeter, MeteredLitestar
from .problems import exception_handlers
from .token_gate import TokenGate

log = structlog.get_logger()

BACKLOG_EVERY_S = 1.0
FORGET_EVERY_S = 60.0
FORGET_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiLimits:
    """What the API may be set to."""

    keep_answers_s: float = 48 * 3600.0
    """How long the answer to an idempotency key is kept."""
    pressure: Backpressure = field(default_factory=Backpressure)


def create_app(
    commerce: Commerce,
    *,
    limits: ApiLimits | None = None,
    gate: TokenGate | None = None,
    meter: ApiMeter | None = None,
    registry: CollectorRegistry | None = None,
    schema_trouble: Callable[[], str] = lambda: "",
) -> Litestar:
    """`gate` asks who calls. `meter` is the one that `commerce` tells of its groups; `registry` has what else is to
    stand at `/metrics`; `schema_trouble` says what the database has still to get before the API is ready.

    The caller closes `commerce`, after the application.
    """
    (limits, meter) = (limits or ApiLimits(), meter or ApiMeter())
    pressure = limits.pressure

    @contextlib.asynccontextmanager
    async def chores(app: Litestar) -> AsyncGenerator[None, None]:
        tasks = [
            asyncio.create_task(_every(BACKLOG_EVERY_S, lambda: pressure.refresh(commerce))),
            asyncio.create_task(_every(FORGET_EVERY_S, lambda: _forget(commerce, limits.keep_answers_s))),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    handlers = [
        *products.routes(commerce),
        *views.routes(commerce, pressure),
        *likes.routes(commerce, pressure),
        *orders.routes(commerce),
        *payments.routes(commerce),
        *refunds.routes(commerce),
        *events.routes(commerce, pressure),
        *health.routes(commerce, schema_trouble),
        metrics.route(meter, pressure, registry or CollectorRegistry()),
    ]
    return MeteredLitestar(
        meter,
        route_handlers=handlers,
        middleware=[gate] if gate and gate.asks else [],
        exception_handlers=exception_handlers(),
        openapi_config=openapi.config(handlers),
        lifespan=[chores],
        logging_config=None,
    )


async def _every(pause_s: float, chore: Callable[[], Awaitable[None]]) -> None:
    """Does the chore again and again; a database that is away is told once, and met again the next time."""
    failing = False
    while True:
        try:
            await chore()
            failing = False
        except EventStoreError as error:
            if not failing:
                log.warning(f"A chore of the API failed and is tried again: {error}", action="chore_failed")
            failing = True
        await asyncio.sleep(pause_s)


async def _forget(commerce: Commerce, keep_s: float) -> None:
    """Forgets old answers in short transactions, so that requests get their turn between them."""
    forgotten = FORGET_AT_ONCE
    while forgotten == FORGET_AT_ONCE:
        forgotten = await commerce.forget_answers(keep_s, FORGET_AT_ONCE)
