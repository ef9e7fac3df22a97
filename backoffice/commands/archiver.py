"""`countinghouse archiver`: seals what the log has beyond the archive."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from backoffice.probe import probe
from backoffice.settings import Settings
from backoffice.stores import Stores
from backoffice.troubles import Troubles
from event_store.archiver import Archiver


async def run_archiver(settings: Settings, stop: asyncio.Event) -> None:
    async with (
        Stores(settings) as stores,
        probe(settings.probe_host, settings.archiver_port, CollectorRegistry(), Troubles()),
    ):
        await Archiver(stores.history()).run(stop)
