"""`countinghouse archiver`: seals what the log has beyond the archive."""

from __future__ import annotations

import asyncio

from backoffice.archive_report import ArchiveReport
from backoffice.loop_turns import LoopTurns
from backoffice.probe import probe
from backoffice.process_metrics import process_registry
from backoffice.settings import Settings
from backoffice.stores import Stores
from event_store.archiver import Archiver
from event_store.crash_points import CrashPoints
from event_store.topics import PARTITIONS


async def run_archiver(settings: Settings, stop: asyncio.Event, turns: LoopTurns) -> None:
    registry = process_registry(settings.data_dir, turns)
    report = ArchiveReport(registry)
    async with (
        Stores(settings, CrashPoints.from_environment()) as stores,
        probe(settings.probe_host, settings.archiver_port, registry, report.troubles, turns),
    ):
        if stores.log_is_served:
            await stores.topic_admin().require(PARTITIONS)
        archiver = Archiver(stores.history(), report, min_records=settings.archive_segment_records)
        await archiver.run(stop)
