"""`countinghouse dashboard`: the figures as pages and as JSON."""

from __future__ import annotations

import asyncio
import os
import sys

import structlog

from backoffice.cache_report import CacheReport
from backoffice.commands.first_account import first_way_in
from backoffice.dashboard import create_dashboard
from backoffice.databases import databases_of_dashboard, watched
from backoffice.live import Live
from backoffice.loopback import refuse_open_listen
from backoffice.pipeline_trend import keep_looking
from backoffice.process_metrics import process_registry
from backoffice.rebuilds import Rebuilds
from backoffice.settings import SUPERVISED, Settings
from backoffice.sign_in.desk import BACKOFFICE, gate_of, opened_office
from backoffice.sign_in.gate import Office
from backoffice.stores import Stores
from backoffice.troubles import Troubles
from backoffice.web_server import serve_http
from event_store.backoff import STOP_TIMEOUT_S, dropped
from event_store.crash_points import CrashPoints
from event_store.this_machine import is_this_machine

log = structlog.get_logger()


async def run_dashboard(settings: Settings, stop: asyncio.Event) -> None:
    """Raises OpenListenError for an address that other machines may reach where sign-in is off."""
    refuse_open_listen(settings.dashboard_host, settings.sign_in)
    registry = process_registry(settings.data_dir)
    if SUPERVISED not in os.environ and (way_in := await first_way_in(settings)):
        sys.stdout.write(f"Sign in at {settings.dashboard_url} {way_in}\n")
        sys.stdout.flush()
    _warn_of_plain_text(settings)
    async with Stores(settings) as stores, opened_office(settings) as office:
        cache = stores.cache(CacheReport(registry, settings.cache_url))
        troubles = Troubles()
        live = Live(stores.read_model(), cache, stop)
        rebuilds = _rebuilds(settings, stores, office)
        pipeline = stores.pipeline(cache)
        app = create_dashboard(
            pipeline,
            cache,
            live,
            stores.history(),
            gate_of(settings, office),
            rebuilds=rebuilds,
            default_tz=settings.time_zone,
            registry=registry,
            schema_trouble=troubles.sentence,
            crash_points=CrashPoints.from_environment(),
        )
        cache.begin()
        looking = asyncio.create_task(keep_looking(pipeline.status, pipeline.trend, stop))
        try:
            async with watched(databases_of_dashboard(settings), troubles):
                await serve_http(app, settings.dashboard_host, settings.dashboard_port, stop)
        finally:
            await dropped([looking])
            await rebuilds.close()
            await live.close()


def _rebuilds(settings: Settings, stores: Stores, office: Office) -> Rebuilds:
    """A process that is ended has to be gone before whoever ends the dashboard loses patience."""
    command = (sys.executable, "-m", "backoffice", "rebuild", "--json", "--data", str(settings.data_dir))
    grace_s = min(STOP_TIMEOUT_S, settings.stop_grace_s / 2)
    return Rebuilds(command, stores.read_model(), stores.leases(), office.audits[BACKOFFICE], grace_s)


def _warn_of_plain_text(settings: Settings) -> None:
    if not is_this_machine(settings.dashboard_host) and not settings.public_url.startswith("https://"):
        log.warning(
            "The dashboard listens on a network, and passwords and figures go over it as plain text. Put a proxy with "
            "TLS in front, and name its address in COUNTINGHOUSE_PUBLIC_URL.",
            action="dashboard.plain_text",
        )
