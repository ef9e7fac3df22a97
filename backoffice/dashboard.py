"""The dashboard: pages for people and the same figures as JSON, server-rendered, behind a gate."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Litestar, Router
from litestar.datastructures import CacheControlHeader, MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.middleware import ASGIMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.static_files import create_static_files_router
from litestar.template import TemplateConfig
from litestar.types import ASGIApp, ControllerRouterHandler, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry

from event_store.crash_points import NO_CRASH, CrashPoints
from event_store.history import History
from event_store.tokens import Scope as TokenScope
from projections.catalogue import FIGURES
from projections.explain import Explainer
from projections.kept_figures import MOST_ROWS, KeptFigures
from projections.periods import zone_named

from . import health, metrics
from .api import audit as api_audit
from .api import dead_letters as api_dead_letters
from .api import events as api_events
from .api import explain as api_explain
from .api import figures as api_figures
from .api import pauses as api_pauses
from .api import rebuild as api_rebuild
from .api import record as api_record
from .api import saved_views as api_saved_views
from .api import status as api_status
from .api import trend as api_trend
from .assets import read_assets
from .cached_figures import CachedFigures
from .guarded_cache import GuardedCache
from .letter_desk import LetterDesk
from .live import Live, streams_gauge
from .live import route as live_route
from .loopback import names_loopback
from .money import money
from .pages import (
    account,
    audit,
    dead_letter,
    dead_letters,
    download,
    outbox,
    pauses,
    rebuild,
    reference,
    saved_views,
    sign_in,
    tokens,
    users,
)
from .pages.behind import BEHIND
from .pages.events import EXPLORER
from .pages.frame import Sources, route
from .pages.overview import OVERVIEW
from .pages.pipeline import PIPELINE
from .pages.product import PRODUCT
from .pages.products import PRODUCTS
from .pages.record import RECORD
from .pause_desk import PauseDesk
from .pipeline import Pipeline
from .problems import exception_handlers, request_id
from .rebuilds import Rebuilds
from .sign_in.access import needs, open_to_all
from .sign_in.desk import BACKOFFICE
from .sign_in.gate import Gate
from .sign_in.roles import Role

PAGES = (OVERVIEW, PRODUCTS, PRODUCT, BEHIND, PIPELINE, EXPLORER, RECORD)
"""Add a page: its module, and its name here."""

HERE = Path(__file__).parent
STATIC_MAX_AGE_S = 31_536_000
"""A year: a static file's URL carries its content's hash."""

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def create_dashboard(  # noqa: PLR0913 - all that the dashboard is put together from
    pipeline: Pipeline,
    cache: GuardedCache,
    live: Live,
    history: History,
    gate: Gate,
    *,
    rebuilds: Rebuilds,
    default_tz: str = "UTC",
    registry: CollectorRegistry | None = None,
    schema_trouble: Callable[[], str] = lambda: "",
    most_kept_rows: int = MOST_ROWS,
    crash_points: CrashPoints = NO_CRASH,
) -> Litestar:
    """The dashboard as an ASGI application. The pipeline's ports, the log of `history` and the `rebuilds`

    stay their owner's to close.

    `default_tz` is the zone of pages that name none. Where the gate's site is local, no other host name than this
    machine's own is answered, and the one that a proxy in front has. `registry` has the process's own metrics;
    `schema_trouble` says what the databases have still to get before it is ready; of figures with more rows than
    `most_kept_rows` nothing is kept in memory. Raises UnknownZone.
    """
    zone_named(default_tz)
    of_process = registry or CollectorRegistry()
    streams_gauge(of_process).set_function(lambda: live.streams)
    kept = KeptFigures(pipeline.read_model, most_kept_rows)
    explainer = Explainer(pipeline.read_model, history, FIGURES)
    views = gate.office.views if gate.office else None
    sources = Sources(CachedFigures(kept, cache), pipeline, explainer, default_tz, views)
    return Litestar(
        route_handlers=[
            *_handlers(sources, live, of_process, schema_trouble),
            *outbox.routes(pipeline.outbox, gate.office),
            *_of_rebuilds(rebuilds, pipeline),
            *_of_pauses(gate, sources),
            *_of_letters(gate, sources, crash_points),
            *_of_accounts(gate, sources),
        ],
        middleware=[*([LoopbackOnly(gate.site.host)] if gate.site.is_local else []), gate],
        before_send=[_add_headers],
        exception_handlers=exception_handlers(),
        on_startup=[kept.begin],
        on_shutdown=[kept.close],
        template_config=TemplateConfig(instance=JinjaTemplateEngine.from_environment(_environment())),
        openapi_config=_openapi(),
        logging_config=None,
        debug=False,
    )


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Countinghouse: figures and status",
        version="1",
        openapi_router=Router(
            "/schema", route_handlers=[], opt=needs(Role.VIEWER, TokenScope.FIGURES), include_in_schema=False
        ),
        render_plugins=[JsonRenderPlugin()],
    )


def _handlers(
    sources: Sources, live: Live, of_process: CollectorRegistry, schema_trouble: Callable[[], str]
) -> Sequence[ControllerRouterHandler]:
    return [
        *(route(page, sources) for page in PAGES),
        download.route(sources, PAGES),
        reference.route(),
        api_figures.route(sources.figures, sources.pipeline, sources.default_tz),
        api_explain.route(sources.explainer, sources.pipeline, sources.default_tz),
        api_record.route(sources.explainer.history, sources.pipeline),
        api_events.route(sources.explainer.history, sources.pipeline),
        api_dead_letters.route(sources.pipeline),
        api_status.route(sources.pipeline),
        api_trend.route(sources.pipeline),
        *health.routes(sources.pipeline, schema_trouble),
        metrics.route(sources.pipeline, of_process),
        live_route(live),
        create_static_files_router(
            "/static",
            directories=[HERE / "static"],
            cache_control=CacheControlHeader(public=True, max_age=STATIC_MAX_AGE_S, immutable=True),
            opt=dict(open_to_all(is_alike=True)),
        ),
    ]


def _of_rebuilds(rebuilds: Rebuilds, pipeline: Pipeline) -> Sequence[ControllerRouterHandler]:
    return [*rebuild.routes(rebuilds, pipeline), api_rebuild.route(pipeline, rebuilds)]


def _of_pauses(gate: Gate, sources: Sources) -> Sequence[ControllerRouterHandler]:
    """Without sign-in nobody is known who could pause."""
    desk = None if gate.office is None else PauseDesk(sources.pipeline.pauses)
    return [pauses.route(sources, desk), *api_pauses.routes(desk)]


def _of_letters(gate: Gate, sources: Sources, crash_points: CrashPoints) -> Sequence[ControllerRouterHandler]:
    """Without sign-in nobody is known who could decide, and the pages only show."""
    pipeline = sources.pipeline
    letters = pipeline.read_model.letters
    desk = None
    if gate.office is not None:
        audits, codec = gate.office.audits, sources.explainer.history.codec
        desk = LetterDesk(letters, audits[BACKOFFICE], pipeline.outbox, codec, pipeline.now_us, crash_points)
    return [*dead_letters.routes(sources, desk), *dead_letter.routes(sources, desk)]


def _of_accounts(gate: Gate, sources: Sources) -> Sequence[ControllerRouterHandler]:
    """The pages that are about people; without sign-in there are none."""
    if gate.office is None:
        return []
    return [
        *sign_in.routes(gate, gate.office),
        *account.routes(gate, gate.office),
        *users.routes(gate.office),
        *tokens.routes(gate.office, sources.pipeline.now_us),
        audit.route(gate.office),
        api_audit.route(gate.office),
        *saved_views.routes(gate.office.views, PAGES, sources),
        api_saved_views.route(gate.office.views),
    ]


class LoopbackOnly(ASGIMiddleware):
    """Refuses requests that reached us under another name than this machine's own (see loopback.py) or `known`."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, known: str) -> None:
        self._known = known

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        host = MutableScopeHeaders(scope).get("host")
        if not names_loopback(host) and not (self._known and host and host.lower() == self._known):
            raise HTTPException(
                status_code=421, detail="The dashboard answers only as localhost or 127.0.0.1: use one of them."
            )
        await next_app(scope, receive, send)


async def _add_headers(message: Message, scope: Scope) -> None:
    if message["type"] != "http.response.start":
        return
    headers = MutableScopeHeaders(message)
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
    headers["X-Request-ID"] = request_id(scope)
    if not headers.get("cache-control"):
        headers["Cache-Control"] = "no-store"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["money"] = money
    environment.globals["static"] = _static_urls(HERE / "static")
    environment.globals["assets"] = read_assets(HERE / "static" / "dist")
    return environment


def _static_urls(folder: Path) -> Callable[[str], str]:
    """File name → its URL, which changes with its content, so that browsers may keep it for good."""
    hashes = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in folder.iterdir() if path.is_file()
    }
    return lambda name: f"/static/{name}?v={hashes[name]}"
