"""`countinghouse dashboard`: the figures as pages and as JSON."""

from __future__ import annotations

import asyncio

from backoffice.dashboard import create_dashboard
from backoffice.loopback import is_loopback, refuse_open_listen
from backoffice.settings import Settings
from backoffice.stores import Stores
from backoffice.web_server import serve_http


async def run_dashboard(settings: Settings, stop: asyncio.Event) -> None:
    """Raises OpenListenError for an address that other machines may reach, unless the settings say it is meant."""
    refuse_open_listen(settings.dashboard_host, settings.insecure_listen)
    async with Stores(settings) as stores:
        app = create_dashboard(
            stores.read_model(),
            stores.log(),
            stores.outbox(),
            default_tz=settings.time_zone,
            loopback_only=is_loopback(settings.dashboard_host),
        )
        await serve_http(app, settings.dashboard_host, settings.dashboard_port, stop)
