"""What relay, consumer and archiver did stands in their metrics, once, under names and labels that don't grow."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from backoffice.archive_report import ArchiveReport
from backoffice.consumer_report import ConsumerReport
from backoffice.process_metrics import process_registry
from backoffice.relay_report import RelayReport
from backoffice.tracing import Untraced
from event_store.archive import Segment
from event_store.errors import LogUnavailable, RecordRefused
from event_store.outbox import ClaimedRow
from event_store.record import TopicPartition
from projections.projector import Applied

TP = TopicPartition("order-events", 3)
ROW = ClaimedRow(1, "event", "key", b"{}")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_a_consumer_counts_records_by_partition_and_dead_letters_by_reason(registry: CollectorRegistry) -> None:
    report = ConsumerReport(registry, Untraced())
    with capture_logs() as lines:
        report.counted(Applied(TP, 10, 10, 2, 3, ["NOT_JSON", "TOMBSTONE", "NOT_JSON"]), 0.02)
    place = {"topic": "order-events", "partition": "3"}
    assert registry.get_sample_value("countinghouse_consumer_records_total", place) == 10
    dead = "countinghouse_consumer_dead_lettered_total"
    assert registry.get_sample_value(dead, {"reason": "NOT_JSON"}) == 2
    assert registry.get_sample_value(dead, {"reason": "TOMBSTONE"}) == 1
    assert registry.get_sample_value("countinghouse_consumer_batch_duration_seconds_sum") == 0.02
    assert (registry.get_sample_value("countinghouse_consumer_last_commit_timestamp_seconds") or 0) > 1e9
    assert [line["action"] for line in lines] == ["consumer.dead_lettered"]


def test_a_consumer_adds_up_the_time_of_each_phase(registry: CollectorRegistry) -> None:
    report = ConsumerReport(registry, Untraced())
    for phase, seconds in (("read", 0.5), ("fold", 0.25), ("read", 0.5)):
        report.took(phase, seconds)
    spent = "countinghouse_consumer_phase_seconds_total"
    assert registry.get_sample_value(spent, {"phase": "read"}) == 1.0
    assert registry.get_sample_value(spent, {"phase": "fold"}) == 0.25


def test_a_relay_tells_a_log_that_is_away_from_one_that_refuses(registry: CollectorRegistry) -> None:
    report = RelayReport(registry, Untraced())
    with capture_logs() as lines:
        report.failed(TP, LogUnavailable("away"), 1.0)
        report.failed(TP, LogUnavailable("away"), 2.0)
        report.failed(TP, RecordRefused(0, "too large"), 4.0)
    failures = "countinghouse_outbox_publish_failures_total"
    assert registry.get_sample_value(failures, {"topic": "order-events", "reason": "unavailable"}) == 2
    assert registry.get_sample_value(failures, {"topic": "order-events", "reason": "refused"}) == 1
    assert len(lines) == 2
    report.published(TP, [ROW] * 5, 0.1)
    assert registry.get_sample_value("countinghouse_relay_published_total", {"topic": "order-events"}) == 5
    assert registry.get_sample_value("countinghouse_outbox_publish_duration_seconds_count") == 1
    assert report.troubles.now() == {}


def test_an_archiver_says_what_only_the_log_has_and_when_it_last_looked(registry: CollectorRegistry) -> None:
    report = ArchiveReport(registry)
    with capture_logs() as lines:
        report.failed(LogUnavailable("away"), 1.0)
        report.failed(LogUnavailable("away"), 1.0)
    assert (len(lines), dict(report.troubles.now())) == (1, {"archive": "away"})
    report.sealed(Segment(TP, 100, 300, Path("segment")), 2.0)
    report.looked({TP: 70})
    assert registry.get_sample_value("countinghouse_archive_failures_total") == 2
    assert registry.get_sample_value("countinghouse_archive_sealed_records_total", {"topic": "order-events"}) == 200
    unsealed = {"topic": "order-events", "partition": "3"}
    assert registry.get_sample_value("countinghouse_archive_unsealed_records", unsealed) == 70
    assert (registry.get_sample_value("countinghouse_archive_last_look_timestamp_seconds") or 0) > 1e9
    assert report.troubles.now() == {}


def test_every_process_tells_its_version_and_the_room_that_is_left(tmp_path: Path) -> None:
    text = generate_latest(process_registry(tmp_path)).decode()
    assert "countinghouse_build_info{version=" in text
    assert "countinghouse_data_free_bytes " in text


def test_a_folder_that_nobody_has_made_yet_has_no_room_to_tell_of(tmp_path: Path) -> None:
    text = generate_latest(process_registry(tmp_path / "missing")).decode()
    assert "countinghouse_build_info{version=" in text
    assert "countinghouse_data_free_bytes " not in text
