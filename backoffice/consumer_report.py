"""What the consumer did, as metrics and log lines."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from event_store.errors import Stop
from event_store.record import TopicPartition
from projections.projector import Applied

from .tracing import Tracing
from .troubles import Troubles

log = structlog.get_logger()


class ConsumerReport:
    """A ConsumerObserver. Metrics have topics and partitions as labels and never ids, so their number is bounded.

    `tell` is called after each batch, for dashboards that wait for news; it must not wait for anything.
    """

    def __init__(self, registry: CollectorRegistry, tracing: Tracing, tell: Callable[[], None] = lambda: None) -> None:
        self.troubles = Troubles()
        self._tell = tell
        self._tracing = tracing
        self._records = Counter(
            "countinghouse_consumer_records_total",
            "Records counted, duplicates and dead letters included.",
            ["topic", "partition"],
            registry=registry,
        )
        self._dead = Counter(
            "countinghouse_consumer_dead_lettered_total",
            "Records that can't be read, kept as dead letters.",
            ["reason"],
            registry=registry,
        )
        self._size = Histogram(
            "countinghouse_consumer_batch_size",
            "Records in one transaction.",
            registry=registry,
            buckets=(1, 10, 100, 300, 1000, 2000, 3000),
        )
        self._seconds = Histogram(
            "countinghouse_consumer_batch_duration_seconds",
            "Time to fold and commit one batch.",
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
        )
        self._phases = Counter(
            "countinghouse_consumer_phase_seconds_total",
            "Time spent on each step of counting, waiting for it included: read, decode, fold, commit.",
            ["phase"],
            registry=registry,
        )
        self._committed = Gauge(
            "countinghouse_consumer_last_commit_timestamp_seconds",
            "When this process last counted a batch.",
            registry=registry,
        )
        self._failures = Counter(
            "countinghouse_consumer_failures_total",
            "Attempts to count that failed and were repeated.",
            ["topic"],
            registry=registry,
        )

    def misses_compiled_code(self) -> None:
        sentence = "Events are read in Python, which takes longer: nothing was compiled when this was installed."
        log.warning(sentence, action="consumer.read_in_python")

    def counted(self, applied: Applied, seconds: float) -> None:
        self.troubles.over(str(applied.tp))
        self._records.labels(applied.tp.topic, str(applied.tp.partition)).inc(applied.records)
        self._size.observe(applied.records)
        self._seconds.observe(seconds)
        self._committed.set_to_current_time()
        self._tracing.counted(applied, seconds)
        self._tell()
        for reason in applied.reasons:
            self._dead.labels(reason).inc()
        if applied.dead:
            log.warning(
                "Records that can't be read were kept as dead letters. See `countinghouse status`.",
                action="consumer.dead_lettered",
                partition=str(applied.tp),
                dead=applied.dead,
                next_offset=applied.next_offset,
            )

    def took(self, phase: str, seconds: float) -> None:
        self._phases.labels(phase).inc(seconds)

    def failed(self, tp: TopicPartition, error: Exception, retry_in_s: float) -> None:
        """Said once for as long as it is the same."""
        self._failures.labels(tp.topic).inc()
        if self.troubles.note(str(tp), str(error), retry_in_s):
            log.warning(
                "Counting failed and is tried again until it works; nothing was lost.",
                action="consumer.failed",
                partition=str(tp),
                error=f"{type(error).__name__}: {error}",
            )

    def stopped(self, tp: TopicPartition, stop: Stop) -> None:
        self.troubles.note(str(tp), str(stop))
        log.error(str(stop), action="consumer.stopped", partition=str(tp))

    def narrowed(self, tp: TopicPartition, first_offset: int, records: int, error: Exception) -> None:
        log.error(
            "A batch fails for a reason we don't know; it is halved to find the record.",
            action="consumer.narrowed",
            partition=str(tp),
            first_offset=first_offset,
            records=records,
            error=f"{type(error).__name__}: {error}",
        )

    def resynced(self, tp: TopicPartition, next_offset: int) -> None:
        log.info(
            "Another consumer had counted this already; going on from its position.",
            action="consumer.resynced",
            partition=str(tp),
            next_offset=next_offset,
        )
