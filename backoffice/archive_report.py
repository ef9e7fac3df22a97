"""What the archiver did, as metrics and log lines."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from event_store.archive import Segment
from event_store.record import TopicPartition

from .troubles import Troubles

log = structlog.get_logger()


class ArchiveReport:
    """An ArchiverObserver."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.troubles = Troubles()
        self._sealed = Counter(
            "countinghouse_archive_sealed_records_total",
            "Records sealed in segments.",
            ["topic"],
            registry=registry,
        )
        self._seconds = Histogram(
            "countinghouse_archive_seal_duration_seconds",
            "Time to read, decode and write one segment.",
            registry=registry,
            buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
        )
        self._unsealed = Gauge(
            "countinghouse_archive_unsealed_records",
            "Records that only the log has, when the archiver last looked.",
            ["topic", "partition"],
            registry=registry,
        )
        self._looked = Gauge(
            "countinghouse_archive_last_look_timestamp_seconds",
            "When all that is long enough was last found sealed.",
            registry=registry,
        )
        self._failures = Counter(
            "countinghouse_archive_failures_total",
            "Attempts to archive that failed and were repeated.",
            registry=registry,
        )

    def sealed(self, segment: Segment, seconds: float) -> None:
        self._sealed.labels(segment.tp.topic).inc(segment.next_offset - segment.first_offset)
        self._seconds.observe(seconds)

    def looked(self, unsealed: Mapping[TopicPartition, int]) -> None:
        self.troubles.over("archive")
        for tp, records in unsealed.items():
            self._unsealed.labels(tp.topic, str(tp.partition)).set(records)
        self._looked.set_to_current_time()

    def failed(self, error: Exception, retry_in_s: float) -> None:
        """Said once for as long as it is the same."""
        self._failures.inc()
        if self.troubles.note("archive", str(error), retry_in_s):
            log.warning(
                "Archiving failed and is tried again until it works; the log has everything.",
                action="archiver.failed",
                error=str(error),
            )
