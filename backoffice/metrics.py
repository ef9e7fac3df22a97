"""Prometheus metrics of the pipeline, computed from its status at each scrape, in a registry of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from event_store.errors import EventStoreError
from event_store.pauses import LINE

from .consumer_names import GROUP
from .pipeline import Pipeline
from .pipeline_status import PartitionStatus, PipelineStatus
from .sign_in.access import probe

PLACE = ("topic", "partition")


def route(pipeline: Pipeline, registry: CollectorRegistry) -> HTTPRouteHandler:
    """What `registry` has, and the pipeline; where that can't be read, only that it can't."""

    @get("/metrics", include_in_schema=False, opt=probe())
    async def metrics() -> Response[bytes]:
        text = generate_latest(registry) + generate_latest(await _looked_at(pipeline))
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return metrics


async def _looked_at(pipeline: Pipeline) -> CollectorRegistry:
    registry = CollectorRegistry()
    try:
        registry.register(PipelineCollector(await pipeline.status()))
    except EventStoreError:
        registry.register(PipelineCollector(None))
    return registry


@dataclass(frozen=True, slots=True, eq=False)
class PipelineCollector(Collector):
    status: PipelineStatus | None

    def collect(self) -> Iterator[Metric]:
        yield _gauge("pipeline_readable", "1 if all stages could be read.", [], [((), int(self.status is not None))])
        if self.status is not None:
            yield _paused(self.status)
            yield from _outbox(self.status)
            yield from _consumer(self.status)
            yield from _leases(self.status)
            yield from _projections(self.status)


Samples = Sequence[tuple[tuple[str, ...], float]]


def _paused(status: PipelineStatus) -> Metric:
    paused = {one.part for one in status.paused}
    text = "1 where an operator holds the part still."
    return _gauge("pipeline_paused", text, ["part"], [((part.value,), int(part.value in paused)) for part in LINE])


def _outbox(status: PipelineStatus) -> Iterator[Metric]:
    lanes = [((lane.topic, str(lane.partition)), lane) for lane in status.lanes]
    oldest = max((lane.oldest_waiting_s for lane in status.lanes), default=0.0)
    yield _gauge("outbox_pending", "Rows not acknowledged by the log.", PLACE, [(at, one.waiting) for at, one in lanes])
    yield _gauge("outbox_failed", "Rows in failing lanes.", PLACE, [(at, one.failed) for at, one in lanes])
    failures = [(at, one.failures) for at, one in lanes]
    yield _gauge("outbox_lane_failures", "Failed attempts to send the lane since the last success.", PLACE, failures)
    yield _gauge("outbox_dead", "Rows the log will never take.", PLACE, [(at, one.dead) for at, one in lanes])
    yield _gauge("outbox_oldest_pending_seconds", "Age of the oldest of them.", [], [((), oldest)])
    yield _counter("outbox_published", "Rows sent.", PLACE, [(at, one.sent) for at, one in lanes])


def _consumer(status: PipelineStatus) -> Iterator[Metric]:
    parts = [((one.topic, str(one.partition)), one) for one in status.partitions]
    grouped = [((GROUP, *at), one) for at, one in parts]
    repeats = [(at, one.duplicates) for at, one in parts]
    committed = [one.last_counted_at.timestamp() for one in status.partitions if one.last_counted_at]
    yield _gauge(
        "consumer_lag", "Records not counted.", ["group", *PLACE], [(at, one.lag_events) for at, one in grouped]
    )
    yield _gauge(
        "consumer_lag_seconds", "Age of the oldest record not counted.", ["group", "topic"], _lag_s(status.partitions)
    )
    yield _counter("consumer_duplicates", "Records dropped as repeats.", PLACE, repeats)
    yield _gauge("consumer_dead_letters", "Dead letters.", PLACE, [(at, one.dead) for at, one in parts])
    stopped = [(at, int(one.stopped is not None)) for at, one in parts]
    yield _gauge("consumer_stopped", "1 where counting stopped until somebody has looked.", PLACE, stopped)
    yield _gauge("consumer_holes", "Ranges the log has not shown.", PLACE, [(at, len(one.holes)) for at, one in parts])
    if committed:
        yield _gauge(
            "consumer_last_commit_timestamp_seconds", "When a batch was last counted.", [], [((), max(committed))]
        )


def _leases(status: PipelineStatus) -> Iterator[Metric]:
    parts = [((one.topic, str(one.partition)), one) for one in status.partitions]
    held = [(at, int(one.consumer is not None)) for at, one in parts]
    yield _gauge("consumer_members", "Consumers at work.", [], [((), status.consumers)])
    yield _gauge("consumer_held", "1 where a consumer holds the partition's lease.", PLACE, held)
    moves = [(at, one.rebalances) for at, one in parts]
    yield _counter("consumer_rebalances", "How often it was given to a consumer after the first time.", PLACE, moves)


def _lag_s(partitions: Sequence[PartitionStatus]) -> Samples:
    topics: dict[str, float] = {}
    for one in partitions:
        topics[one.topic] = max(topics.get(one.topic, 0.0), one.lag_s or 0.0)
    return [((GROUP, topic), lag_s) for topic, lag_s in topics.items()]


def _projections(status: PipelineStatus) -> Iterator[Metric]:
    positions = [((one.topic, str(one.partition)), one.position) for one in status.partitions]
    behind_s = (status.asked_at - status.completeness.complete_up_to).total_seconds()
    yield _gauge("projection_position", "The next offset to count.", PLACE, positions)
    yield _gauge("projection_freshness_seconds", "How far back the figures are complete.", [], [((), behind_s)])
    yield _gauge("projection_generation", "The generation that serves.", [], [((), status.completeness.generation)])
    for one in status.generations:
        if one.counted_ratio is not None:
            yield from _rebuild(one.counted_ratio, (status.asked_at - one.created_at).total_seconds())


def _rebuild(ratio: float, seconds: float) -> Iterator[Metric]:
    """There is at most one; without one there are no such metrics."""
    yield _gauge("projection_rebuild_progress_ratio", "Of the log, what a rebuild has counted.", [], [((), ratio)])
    yield _gauge("projection_rebuild_duration_seconds", "Since the rebuild began.", [], [((), seconds)])


def _gauge(name: str, text: str, labels: Sequence[str], samples: Samples) -> Metric:
    family = GaugeMetricFamily(f"countinghouse_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _counter(name: str, text: str, labels: Sequence[str], samples: Samples) -> Metric:
    family = CounterMetricFamily(f"countinghouse_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family
