"""Every metric of every process, with its labels: for docs/metrics.md, and for whoever checks a rule against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

from event_store.archive import Segment
from event_store.errors import LogUnavailable
from event_store.outbox import ClaimedRow
from event_store.record import TopicPartition
from projections.projector import Applied

from .archive_report import ArchiveReport
from .cache_report import CacheReport
from .consumer_report import ConsumerReport
from .live import streams_gauge
from .loop_turns import LoopTurns
from .metrics import PipelineCollector
from .pipeline_status import CompletenessStamp, GenerationStatus, LaneStatus, PartitionStatus, PipelineStatus
from .process_metrics import ProgramCollector
from .relay_report import RelayReport
from .tracing import Untraced

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TP = TopicPartition("orders", 0)
AWAY = LogUnavailable("away")


@dataclass(frozen=True, slots=True)
class Declared:
    name: str
    """As it stands in a query, less a histogram's `_bucket`, `_sum` and `_count`."""
    type: str
    labels: Sequence[str]
    meaning: str


def declared(api_collector: Collector) -> Mapping[str, Sequence[Declared]]:
    """Process → its metrics: each process is shown everything that it can measure, once."""
    everything: Mapping[str, Callable[[CollectorRegistry], object]] = {
        "Of every process": lambda registry: registry.register(ProgramCollector(Path.cwd())),
        "Of relay, consumer and archiver": lambda registry: registry.register(LoopTurns()),
        "Of the dashboard, at `/metrics`: the whole pipeline, read at each scrape": _pipeline,
        "Of the commerce API, at `/metrics`": lambda registry: registry.register(api_collector),
        "Of the relay, on the port `COUNTINGHOUSE_RELAY_PORT`": _relay,
        "Of the consumer, on the port `COUNTINGHOUSE_CONSUMER_PORT`": _consumer,
        "Of the archiver, on the port `COUNTINGHOUSE_ARCHIVER_PORT`": _archiver,
        "Of the cache, of the dashboard and of the consumer": lambda registry: CacheReport(registry, ""),
    }
    with capture_logs():  # What the reports say of it is nobody's business.
        return {process: list(_collected(show)) for process, show in everything.items()}


def _collected(show: Callable[[CollectorRegistry], object]) -> Iterator[Declared]:
    registry = CollectorRegistry()
    show(registry)
    for family in registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield Declared(name, family.type, _labels(family), family.documentation)


def _labels(family: Metric) -> Sequence[str]:
    names = dict.fromkeys(name for sample in family.samples for name in sample.labels)
    return [name for name in names if name != "le"]


def _pipeline(registry: CollectorRegistry) -> None:
    lane = LaneStatus("orders", 0, "shop", 0, 0, 0, 0, 0, None, 0.0, 0, None, None)
    partition = PartitionStatus("orders", 0, 0, 0, 0, 0, 0.0, None, EPOCH, 0, 0, [], log_changed=False, stopped=None)
    stamp = CompletenessStamp("ok", EPOCH, 0, 0, 0, 0, 1)
    streams_gauge(registry)
    building = GenerationStatus(2, "building", EPOCH, None, "", 0.5)
    registry.register(PipelineCollector(PipelineStatus(EPOCH, stamp, [lane], [partition], [], [building])))


def _relay(registry: CollectorRegistry) -> None:
    report = RelayReport(registry, Untraced())
    row = ClaimedRow(1, "event", "key", b"")
    report.published(TP, [row], 0.0)
    report.failed(TP, AWAY, 1.0)
    report.buried(TP, row, "too large")


def _consumer(registry: CollectorRegistry) -> None:
    report = ConsumerReport(registry, Untraced())
    report.counted(Applied(TP, 1, 1, 0, 1, ["NOT_JSON"]), 0.0)
    report.took("fold", 0.0)
    report.failed(TP, AWAY, 1.0)


def _archiver(registry: CollectorRegistry) -> None:
    report = ArchiveReport(registry)
    report.sealed(Segment(TP, 0, 1, Path("segment")), 0.0)
    report.looked({TP: 0})
    report.failed(AWAY, 1.0)
