"""`countinghouse relay`: brings the outbox to the log."""

from __future__ import annotations

import asyncio
import os

from backoffice.databases import commerce_database, watched
from backoffice.log_start import await_lanes, await_topics
from backoffice.loop_turns import LoopTurns
from backoffice.probe import probe
from backoffice.process_metrics import process_registry
from backoffice.relay_report import RelayReport
from backoffice.settings import Settings
from backoffice.stores import Stores
from backoffice.tracing import tracing
from event_store.crash_points import CrashPoints
from event_store.pauses import Part
from event_store.relay import Relay, RelaySettings

SECONDS_PER_DAY = 86_400


async def run_relay(settings: Settings, stop: asyncio.Event, turns: LoopTurns) -> None:
    with tracing("relay", settings.log_url, os.environ) as traced:
        registry = process_registry(settings.data_dir, turns)
        report = RelayReport(registry, traced)
        async with (
            Stores(settings, CrashPoints.from_environment()) as stores,
            probe(settings.probe_host, settings.relay_port, registry, report.troubles, turns),
            watched([commerce_database(settings)], report.troubles),
        ):
            await await_topics(stores, report, stop)
            await await_lanes(stores, report, stop)
            await _relay(stores, report).run(stop)


def _relay(stores: Stores, report: RelayReport) -> Relay:
    settings = stores.settings
    return Relay(
        stores.outbox(),
        stores.log(),
        stores.codec,
        RelaySettings(
            owner=settings.relay_name,
            lease_ttl_s=settings.lease_ttl_s,
            renew_s=settings.lease_renew_s,
            keep_sent_s=settings.outbox_keep_days * SECONDS_PER_DAY,
        ),
        report,
        crash_points=stores.crash_points,
        pause=stores.pause_watch(Part.RELAY),
    )
