"""`countinghouse consumer`: counts the log into the serving figures."""

from __future__ import annotations

import asyncio
from functools import partial

from prometheus_client import CollectorRegistry

from backoffice.consumer import Consumer, ConsumerSettings
from backoffice.consumer_report import ConsumerReport
from backoffice.probe import probe
from backoffice.settings import Settings
from backoffice.stores import Stores
from event_store.crash_points import CrashPoints
from event_store.topics import PARTITIONS


async def run_consumer(settings: Settings, stop: asyncio.Event) -> None:
    registry = CollectorRegistry()
    report = ConsumerReport(registry)
    async with Stores(settings, CrashPoints.from_environment()) as stores:
        consumer = Consumer(
            stores.log(),
            stores.leases(),
            stores.read_model(),
            partial(stores.projector, serving=True),
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
        )
        async with probe(settings.probe_host, settings.consumer_port, registry, report.troubles):
            await consumer.run(stop)
