"""The pipeline's status: what waits where, since when, and what can't go on."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from backoffice.commands.status import NothingStartedError, print_status, require_files, status_json, watched
from backoffice.guarded_cache import CacheStatus
from backoffice.pipeline import Pipeline
from backoffice.pipeline_status import (
    CompletenessStamp,
    DeadLetterCount,
    GenerationStatus,
    HandledHole,
    LaneStatus,
    PartitionStatus,
    PipelineStatus,
    RebuildUnderWay,
)
from event_store.envelope import stamp
from event_store.log import Bounds
from event_store.memory_log import MemoryLog
from event_store.record import Record, TopicPartition
from projections.catalogue import PROJECTIONS
from projections.projector import Projector
from tests.web.shop import PARTITIONS, Shop, viewed

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
DOCS = Path(__file__).parents[2] / "docs" / "status.md"


def partition_with_records(status: PipelineStatus) -> PartitionStatus:
    (found,) = [one for one in status.partitions if one.log_end]
    return found


def printed(status: PipelineStatus) -> str:
    console = Console(file=io.StringIO(), width=120)
    print_status(console, status)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


async def test_an_event_is_in_one_stage_at_a_time_and_then_counted(shop: Shop) -> None:
    seen = []
    shop.accepts(*viewed(AUTUMN, "A"))
    for step in (shop.sends, shop.counts, None):
        status = await shop.pipeline.status()
        seen.append((status.waiting_rows, status.lag_events, status.completeness.offset, status.is_drained))
        if step:
            await step()
    assert seen == [(1, 0, 0, False), (0, 1, 0, False), (0, 0, 1, True)]


async def test_lag_in_seconds_is_the_age_of_the_oldest_record_not_counted(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    shop.accepts(*viewed(AUTUMN, "A"))
    await shop.sends()
    shop.clock.passes(30)
    shop.accepts(*viewed(AUTUMN, "A"))
    await shop.sends()
    shop.clock.passes(12)
    one = partition_with_records(await shop.pipeline.status())
    assert (one.lag_events, one.lag_s, one.position, one.log_end) == (2, 42, 1, 3)
    await shop.counts()
    one = partition_with_records(await shop.pipeline.status())
    assert (one.lag_events, one.lag_s, one.oldest_uncounted_at) == (0, 0, None)


async def test_a_waiting_row_makes_the_figures_late_and_they_are_complete_up_to_it(shop: Shop) -> None:
    accepted_at = shop.clock.now
    shop.accepts(*viewed(AUTUMN, "A"))
    shop.clock.passes(60)
    found = (await shop.pipeline.status()).completeness
    assert (found.level, found.complete_up_to, found.on_their_way) == ("late", accepted_at, 1)


async def test_what_the_log_has_not_shown_is_named(shop: Shop) -> None:
    await _append(shop, 1, 2, 5, 9)
    await shop.counts()
    status = await shop.pipeline.status()
    one = partition_with_records(status)
    assert one.holes == [HandledHole("/elsewhere", 3, 4), HandledHole("/elsewhere", 6, 8)]
    assert (status.completeness.level, status.completeness.missing) == ("broken", 5)
    assert "the log has not shown 6 to 8 of /elsewhere" in printed(status)


async def test_dead_letters_are_counted_by_reason_and_parked(shop: Shop) -> None:
    tp = TopicPartition("catalog-events", 0)
    await shop.log.append(tp, [Record(b"k", b"nonsense"), Record(b"k", None), Record(b"k", b"{")])
    await shop.counts()
    status = await shop.pipeline.status()
    assert {one.reason: one.events for one in status.dead_letters} == {"NOT_JSON": 2, "TOMBSTONE": 1}
    assert (status.completeness.parked, status.completeness.level, status.is_drained) == (3, "ok", True)
    assert "NOT_JSON" in printed(status)


async def test_a_lane_that_fails_shows_its_error(shop: Shop) -> None:
    shop.accepts(*viewed(AUTUMN, "A"))
    (claimed,) = await shop.outbox.claim(await shop.outbox.hold_lanes("relay-1", 60))
    await shop.outbox.note_failure(claimed.lane, "the log [is] full", 5)
    status = await shop.pipeline.status()
    (lane,) = [one for one in status.lanes if one.waiting]
    assert (lane.failed, lane.failures, lane.error, lane.owner) == (1, 1, "the log [is] full", "relay-1")
    assert status.completeness.level == "late"
    assert "failed 1 times: the log [is] full" in printed(status)


async def test_a_log_that_is_not_the_one_that_was_counted_is_named(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"), viewed(AUTUMN, "A"))
    shop.log = MemoryLog(shop.clock)
    await shop.open()
    status = await shop.pipeline.status()
    (one,) = [one for one in status.partitions if one.position]
    assert (one.log_changed, one.lag_s, status.completeness.level) == (True, None, "broken")
    assert "the log has 0 to 0, the position is 2" in printed(status)


async def test_a_lane_that_refuses_to_send_says_why_before_anything_is_claimed(shop: Shop) -> None:
    shop.accepts(*viewed(AUTUMN, "A"))
    lanes = await shop.outbox.hold_lanes("relay-1", 60)
    for lane in lanes:
        await shop.outbox.note_failure(lane, "an older copy of itself", 5)
    status = await shop.pipeline.status()
    (waiting,) = [one for one in status.lanes if one.waiting]
    assert (waiting.ready, waiting.failed) == (1, 0)
    assert status.completeness.level == "late"
    assert printed(status).replace("\n", "").count("failed 1 times: an older copy of itself") == len(lanes)


async def test_a_partition_where_counting_stopped_says_why(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    place = partition_with_records(await shop.pipeline.status())
    tp = TopicPartition(place.topic, place.partition)
    await shop.read_model.note_stop(1, tp, "too many records [of it] can't be counted")
    status = await shop.pipeline.status()
    assert [one.stopped for one in status.partitions if one.stopped] == ["too many records [of it] can't be counted"]
    assert status.completeness.level == "broken"
    assert f"{tp} is stopped: too many records [of it] can't be counted" in printed(status)


async def test_a_partition_says_who_counts_it_and_how_often_it_changed_hands(shop: Shop) -> None:
    partitions = ["partition/catalog-events/0", "partition/catalog-events/1"]
    await shop.leases.take([*partitions, "member/first"], "first", 15)
    shop.clock.passes(60)
    await shop.leases.take([*partitions[:1], "member/second"], "second", 15)
    status = await shop.pipeline.status()
    held = {(one.topic, one.partition): (one.consumer, one.rebalances) for one in status.partitions}
    assert held["catalog-events", 0] == ("second", 1)
    assert held["catalog-events", 1] == (None, 0)
    assert held["order-events", 0] == (None, 0)
    assert status.consumers == 1
    assert "1 consumer at work" in printed(status)


async def test_two_looks_tell_how_fast_events_move(shop: Shop) -> None:
    pipeline = shop.pipeline
    first = await pipeline.status()
    assert first.rates_over_s is None
    assert {one.counted_per_s for one in first.partitions} == {None}
    for _ in range(30):
        shop.accepts(*viewed(AUTUMN, "A"))
    await shop.sends()
    shop.clock.passes(10)
    sent = await pipeline.status()
    assert sent.rates_over_s == 10
    assert [one.sent_per_s for one in sent.lanes if one.sent_per_s] == [3.0]
    one = partition_with_records(sent)
    assert (one.arrived_per_s, one.counted_per_s) == (3.0, 0.0)
    await shop.counts()
    shop.clock.passes(5)
    one = partition_with_records(await pipeline.status())
    assert (one.arrived_per_s, one.counted_per_s) == (2.0, 2.0)
    assert "rates over 15.0 s" in printed(await pipeline.status())


async def test_a_page_that_only_shows_figures_looks_too(shop: Shop) -> None:
    pipeline = shop.pipeline
    await pipeline.completeness()
    await shop.happened(*(viewed(AUTUMN, "A") for _ in range(4)))
    shop.clock.passes(2)
    assert partition_with_records(await pipeline.status()).counted_per_s == 2.0


async def test_the_command_looks_twice_unless_told_not_to(shop: Shop) -> None:
    seconds = itertools.count(1)
    ports = (shop.outbox, shop.log, shop.read_model, shop.leases)
    pipelines = [Pipeline(*ports, now_us=lambda: next(seconds) * 1_000_000) for _ in range(2)]
    looked = [await watched(pipeline, over_s) for pipeline, over_s in zip(pipelines, (0, 0.001), strict=True)]
    assert [isinstance(one, PipelineStatus) and one.rates_over_s for one in looked] == [None, 1]


async def test_a_generation_that_is_built_says_how_far_it_has_come(shop: Shop) -> None:
    await shop.happened(*(viewed(AUTUMN, "A") for _ in range(4)))
    building = await shop.read_model.begin_generation("proof")
    one = partition_with_records(await shop.pipeline.status())
    assert {one.counted_ratio for one in (await shop.pipeline.status()).generations} == {None, 0.0}
    projector = Projector(shop.read_model, building, False, PROJECTIONS, shop.codec)
    await projector.apply(await shop.log.read(TopicPartition(one.topic, one.partition), 0, 3))
    assert {one.counted_ratio for one in (await shop.pipeline.status()).generations} == {None, 0.75}


class CountedMeanwhile(MemoryLog):
    """After its bounds were read, another record comes and is counted, before anybody reads the positions."""

    shop: Shop

    async def bounds(self, tps: Iterable[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        before = await super().bounds(tps)
        await self.shop.happened(viewed(AUTUMN, "A"))
        return before


async def test_records_that_come_and_are_counted_while_it_looks_are_no_changed_log(shop: Shop) -> None:
    shop.log = log = CountedMeanwhile(shop.clock)
    log.shop = shop
    await shop.open()
    status = await shop.pipeline.status()
    (one,) = [one for one in status.partitions if one.position]
    assert (one.position, one.log_end, one.lag_events, one.log_changed) == (1, 0, 0, False)
    assert status.completeness.level == "ok"


async def test_before_anything_was_started_the_status_is_empty_and_drained() -> None:
    status = await Shop().pipeline.status()
    assert (status.partitions, status.is_drained, status.completeness.offset) == ([], True, 0)
    assert "Complete up to" in printed(status)


async def test_the_json_has_every_stage_and_reads_back_as_it_was(shop: Shop) -> None:
    await _append(shop, 1, 3)
    await shop.counts()
    shop.accepts(*viewed(AUTUMN, "A"))
    status = await shop.pipeline.status()
    text = status_json(status)
    assert msgspec.json.decode(text, type=PipelineStatus) == status
    document = msgspec.json.decode(text)
    assert document["asked_at"] == "2011-12-01T12:00:00Z"
    assert len(document["lanes"]) == len(document["partitions"]) == sum(PARTITIONS.values())
    assert document["generations"][0]["state"] == "serving"


@pytest.mark.parametrize(
    "kind",
    [
        PipelineStatus,
        CompletenessStamp,
        RebuildUnderWay,
        LaneStatus,
        PartitionStatus,
        HandledHole,
        DeadLetterCount,
        GenerationStatus,
        CacheStatus,
    ],
)
def test_every_field_of_the_json_is_documented(kind: type[msgspec.Struct]) -> None:
    documented = set(re.findall(r"`(\w+)`", DOCS.read_text(encoding="utf-8")))
    assert set(kind.__struct_fields__) <= documented


def test_a_folder_where_nothing_was_started_is_a_clear_message(tmp_path: Path) -> None:
    (tmp_path / "log.db").touch()
    files = {"log": tmp_path / "log.db", "commerce database": tmp_path / "commerce.db"}
    with pytest.raises(NothingStartedError, match=r"no commerce database \(.*commerce\.db\).*countinghouse up"):
        require_files(files)
    assert not (tmp_path / "commerce.db").exists()
    (tmp_path / "commerce.db").touch()
    require_files(files)


async def _append(shop: Shop, *sequences: int) -> None:
    tp = TopicPartition("catalog-events", 1)
    payloads = [shop.codec.draft(*viewed(AUTUMN, "A")).payload for _ in sequences]
    values = [stamp(payload, "/elsewhere", sequence) for payload, sequence in zip(payloads, sequences, strict=True)]
    await shop.log.append(tp, [Record(b"A", value) for value in values])
