"""`countinghouse dashboard`: the figures as pages and as JSON."""

from __future__ import annotations

import asyncio

from backoffice.cache_report import CacheReport
from backoffice.dashboard import create_dashboard
from backoffice.databases import backoffice_database, commerce_database, watched
from backoffice.live import Live
from backoffice.loopback import refuse_open_listen
from backoffice.process_metrics import process_registry
from backoffice.settings import Settings
from backoffice.stores import Stores
from backoffice.troubles import Troubles
from backoffice.web_server import serve_http
from event_store.this_machine import is_this_machine


async def run_dashboard(settings: Settings, stop: asyncio.Event) -> None:
    """Raises OpenListenError for an address that other machines may reach, unless the settings say it is meant."""
    refuse_open_listen(settings.dashboard_host, settings.insecure_listen)
    registry = process_registry(settings.data_dir)
    async with Stores(settings) as stores:
        cache = stores.cache(CacheReport(registry, settings.cache_url))
        troubles = Troubles()
        live = Live(stores.read_model(), cache, stop)
        app = create_dashboard(
            stores.pipeline(cache),
            cache,
            live,
            stores.history(),
            default_tz=settings.time_zone,
            loopback_only=is_this_machine(settings.dashboard_host),
            registry=registry,
            schema_trouble=troubles.sentence,
        )
        cache.begin()
        try:
            async with watched([commerce_database(settings), backoffice_database(settings)], troubles):
                await serve_http(app, settings.dashboard_host, settings.dashboard_port, stop)
        finally:
            await live.close()
