"""`countinghouse archiver`: seals what the log has beyond the archive."""

from __future__ import annotations

import asyncio

import structlog
from prometheus_client import CollectorRegistry

from backoffice.probe import probe
from backoffice.settings import Settings
from backoffice.stores import Stores
from backoffice.troubles import Troubles
from event_store.archiver import Archiver
from event_store.crash_points import CrashPoints

log = structlog.get_logger()


async def run_archiver(settings: Settings, stop: asyncio.Event) -> None:
    troubles = Troubles()

    def failed(error: Exception, retry_in_s: float) -> None:
        if troubles.note("archive", str(error), retry_in_s):
            log.warning(
                "Archiving failed and is tried again until it works; the log has everything.",
                action="archiver.failed",
                error=str(error),
            )

    async with (
        Stores(settings, CrashPoints.from_environment()) as stores,
        probe(settings.probe_host, settings.archiver_port, CollectorRegistry(), troubles),
    ):
        archiver = Archiver(stores.history(), min_records=settings.archive_segment_records, failed=failed)
        await archiver.run(stop)
