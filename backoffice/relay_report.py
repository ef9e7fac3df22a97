"""What the relay did, as metrics and log lines."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from event_store.errors import RecordRefused, Stop, UnknownTopic
from event_store.outbox import ClaimedRow
from event_store.record import TopicPartition

from .tracing import Tracing
from .troubles import Troubles

log = structlog.get_logger()


class RelayReport:
    """A RelayObserver. Metrics have topics as labels and never ids, so their number is bounded."""

    def __init__(self, registry: CollectorRegistry, tracing: Tracing) -> None:
        self.troubles = Troubles()
        self._tracing = tracing
        self._published = Counter(
            "countinghouse_relay_published_total",
            "Records the log acknowledged.",
            ["topic"],
            registry=registry,
        )
        self._failures = Counter(
            "countinghouse_outbox_publish_failures_total",
            "Attempts to send a lane that failed.",
            ["topic", "reason"],
            registry=registry,
        )
        self._seconds = Histogram(
            "countinghouse_outbox_publish_duration_seconds",
            "Time the log took for one lane's records of one pass.",
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
        )
        self._buried = Counter(
            "countinghouse_relay_buried_total",
            "Rows the log will never take, moved aside as dead.",
            ["topic"],
            registry=registry,
        )
        self._cleaned = Counter(
            "countinghouse_relay_cleaned_total", "Sent rows deleted after their time.", registry=registry
        )

    def published(self, tp: TopicPartition, rows: Sequence[ClaimedRow], seconds: float) -> None:
        self.troubles.over(str(tp))
        self._published.labels(tp.topic).inc(len(rows))
        self._seconds.observe(seconds)
        self._tracing.sent(tp, rows, seconds)
        log.debug("A lane was sent.", action="relay.published", lane=str(tp), records=len(rows), seconds=seconds)

    def failed(self, tp: TopicPartition, error: Exception, retry_in_s: float) -> None:
        """Said once for as long as it is the same."""
        reason = "refused" if isinstance(error, RecordRefused | UnknownTopic) else "unavailable"
        self._failures.labels(tp.topic, reason).inc()
        if self.troubles.note(str(tp), str(error), retry_in_s):
            log.warning(
                "Sending failed and is tried again until it works; nothing was lost.",
                action="relay.failed",
                lane=str(tp),
                error=str(error),
            )

    def buried(self, tp: TopicPartition, row: ClaimedRow, reason: str) -> None:
        self._buried.labels(tp.topic).inc()
        log.error(
            "The log will never take an event; it was moved aside. See `countinghouse outbox dead`.",
            action="relay.buried",
            lane=str(tp),
            sequence=row.sequence,
            event_id=row.event_id,
            reason=reason,
        )

    def refused(self, tp: TopicPartition, stop: Stop) -> None:
        """Said once for as long as it is the same: the relay looks again at each renewal of its leases."""
        if self.troubles.note(str(tp), str(stop)):
            log.error(str(stop), action="relay.refused", lane=str(tp))
        self._failures.labels(tp.topic, type(stop).__name__).inc()

    def cleaned(self, rows: int) -> None:
        self._cleaned.inc(rows)
        if rows:
            log.debug("Sent rows were deleted.", action="relay.cleaned", rows=rows)
