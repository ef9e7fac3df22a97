"""`countinghouse relay`: brings the outbox to the log."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from backoffice.probe import probe
from backoffice.relay_report import RelayReport
from backoffice.settings import Settings
from backoffice.stores import Stores
from event_store.backoff import Backoff, sleep_unless
from event_store.crash_points import CrashPoints
from event_store.errors import TransientError
from event_store.log import Log
from event_store.record import TopicPartition
from event_store.relay import Relay, RelaySettings
from event_store.topics import PARTITIONS

SECONDS_PER_DAY = 86_400


async def run_relay(settings: Settings, stop: asyncio.Event) -> None:
    registry = CollectorRegistry()
    report = RelayReport(registry)
    async with Stores(settings, CrashPoints.from_environment()) as stores:
        relay = Relay(
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
        )
        async with probe(settings.probe_host, settings.relay_port, registry, report.troubles):
            await create_topics(stores.log(), report, stop)
            await relay.run(stop)


async def create_topics(log: Log, report: RelayReport, stop: asyncio.Event) -> None:
    """The relay may be the first to meet the log."""
    backoff = Backoff()
    failures = 0
    for topic, partitions in PARTITIONS.items():
        while not stop.is_set():
            try:
                await log.create_topic(topic, partitions)
                report.troubles.over(f"{topic}/-1")
                break
            except TransientError as error:
                failures += 1
                wait_s = backoff.wait_s(failures)
                report.failed(TopicPartition(topic, -1), error, wait_s)
                await sleep_unless(stop, wait_s)
