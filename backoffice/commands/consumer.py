"""`countinghouse consumer`: counts the log into the serving figures."""

from __future__ import annotations

import asyncio
import os
from functools import partial

from backoffice.cache_report import CacheReport
from backoffice.consumer import Consumer, ConsumerSettings
from backoffice.consumer_report import ConsumerReport
from backoffice.databases import backoffice_database, watched
from backoffice.log_start import await_counted_log, await_topics
from backoffice.loop_turns import LoopTurns
from backoffice.probe import probe
from backoffice.process_metrics import process_registry
from backoffice.settings import Settings
from backoffice.stores import Stores
from backoffice.tracing import tracing
from event_store.compiled import reader
from event_store.crash_points import CrashPoints
from event_store.pauses import Part
from event_store.topics import PARTITIONS


async def run_consumer(settings: Settings, stop: asyncio.Event, turns: LoopTurns) -> None:
    with tracing("consumer", settings.log_url, os.environ) as traced:
        registry = process_registry(settings.data_dir, turns)
        async with Stores(settings, CrashPoints.from_environment(), notes_traces=traced.is_on) as stores:
            cache = stores.cache(CacheReport(registry, settings.cache_url))
            report = ConsumerReport(registry, traced, cache.hint)
            cache.begin()
            if settings.compiled and reader() is None:
                report.misses_compiled_code()
            async with (
                probe(settings.probe_host, settings.consumer_port, registry, report.troubles, turns),
                watched([backoffice_database(settings)], report.troubles),
            ):
                await await_topics(stores, report, stop)
                await await_counted_log(stores, report, stop)
                await _consumer(stores, report).run(stop)


def _consumer(stores: Stores, report: ConsumerReport) -> Consumer:
    settings = stores.settings
    return Consumer(
        stores.log(),
        stores.leases(),
        stores.read_model(),
        partial(stores.projector, serving=True, took=report.took),
        ConsumerSettings(
            owner=settings.consumer_name,
            topics=PARTITIONS,
            lease_ttl_s=settings.lease_ttl_s,
            renew_s=settings.lease_renew_s,
            max_records=settings.batch_records,
            in_flight=settings.partitions_in_flight,
        ),
        report,
        crash_points=stores.crash_points,
        pause=stores.pause_watch(Part.CONSUMER),
    )
