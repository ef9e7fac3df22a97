"""The pipeline's last hour: what it says is what the pipeline was looked at to be, and no more."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from backoffice.pipeline_status import PipelineStatus
from backoffice.pipeline_trend import PipelineTrend, keep_looking
from event_store.errors import LogUnavailable
from tests.web.reading import page
from tests.web.shop import Shop, Tables, viewed

NOON = datetime(2011, 12, 1, 12, 0, 5, tzinfo=UTC)


async def look(shop: Shop, trend: PipelineTrend, at: datetime) -> None:
    shop.clock.now = at
    trend.note(await shop.pipeline.status())


async def test_a_minute_has_the_means_of_what_moved_and_the_most_of_what_waited(shop: Shop) -> None:
    trend = PipelineTrend()
    await look(shop, trend, NOON)
    for _ in range(30):
        shop.accepts(*viewed(NOON, "A"))
    await look(shop, trend, NOON + timedelta(seconds=60))
    await shop.sends()
    await look(shop, trend, NOON + timedelta(seconds=75))
    await shop.counts()
    await look(shop, trend, NOON + timedelta(seconds=120))
    (first, second, third) = trend.minutes(shop.clock.now)
    assert (first.sent_per_s, first.waiting, first.to_count) == (None, 0, 0)
    assert (second.at, second.sent_per_s, second.arrived_per_s) == (NOON.replace(minute=1, second=0), 0.4, 0.4)
    assert (second.counted_per_s, second.waiting, second.to_count) == (0.0, 30, 30)
    assert second.lag_s == 60.0
    assert (third.counted_per_s, third.waiting, third.to_count, third.lag_s) == (0.67, 0, 0, 0.0)


async def test_only_the_last_hour_is_remembered(shop: Shop) -> None:
    trend = PipelineTrend()
    for minute in range(200):
        await look(shop, trend, NOON + timedelta(minutes=minute))
    minutes = trend.minutes(shop.clock.now)
    assert [one.at for one in minutes] == [
        (shop.clock.now - timedelta(minutes=60 - at)).replace(second=0) for at in range(61)
    ]
    assert minutes[0].sent_per_s == 0.0
    assert len(trend._looks) == 62
    assert trend.minutes(shop.clock.now + timedelta(hours=2)) == []


async def test_a_number_that_fell_has_no_rate(shop: Shop) -> None:
    """Another log, another outbox, or another generation."""
    trend = PipelineTrend()
    await shop.happened(*(viewed(NOON, "A") for _ in range(5)))
    await look(shop, trend, NOON)
    status = await shop.pipeline.status()
    emptied = [msgspec.structs.replace(one, log_end=0, position=0) for one in status.partitions]
    stamp = msgspec.structs.replace(status.completeness, generation=2)
    later = status.asked_at + timedelta(seconds=15)
    trend.note(msgspec.structs.replace(status, partitions=emptied, completeness=stamp, asked_at=later))
    (minute,) = trend.minutes(later)
    assert (minute.sent_per_s, minute.arrived_per_s, minute.counted_per_s) == (0.0, None, None)


async def test_it_goes_on_looking_where_the_log_was_away_and_ends_when_it_is_to_stop(shop: Shop) -> None:
    (trend, stop, looks) = (PipelineTrend(), asyncio.Event(), 0)

    async def status() -> PipelineStatus:
        nonlocal looks
        looks += 1
        if looks % 2:
            raise LogUnavailable("away")
        if looks == 6:
            stop.set()
        return await shop.pipeline.status()

    async with asyncio.timeout(30):
        await keep_looking(status, trend, stop, every_s=0.001)
    assert len(trend._looks) == 3


async def test_a_failure_that_is_a_mistake_of_ours_is_not_hidden(shop: Shop) -> None:
    async def status() -> PipelineStatus:
        raise TypeError("a mistake")

    with pytest.raises(TypeError, match="a mistake"):
        await keep_looking(status, PipelineTrend(), asyncio.Event())


async def test_the_page_has_a_line_and_a_table_of_the_same_numbers_as_the_api(shop: Shop) -> None:
    pipeline = shop.pipeline
    for minute in range(3):
        await shop.happened(*(viewed(NOON, "A") for _ in range(6 * minute)))
        shop.clock.now = NOON + timedelta(minutes=minute)
        pipeline.trend.note(await pipeline.status())
    async with shop.browser(pipeline=pipeline) as client:
        text = await page(client, "/pipeline")
        answer = (await client.get("/api/status/trend")).json()
    assert "as this dashboard has seen it since" in text
    (table,) = [one for one in Tables(text).tables if one[0][0] == "Minute"]
    assert [row[2] for row in table[1:]] == ["0.2", "0.1", "–"]
    assert [one["arrived_per_s"] for one in answer["minutes"]] == [None, 0.1, 0.2]
    assert text.count("<polyline") >= 2
    assert answer["completeness"]["offset"] == 18


async def test_a_dashboard_that_has_just_begun_says_so(shop: Shop) -> None:
    async with shop.browser() as client:
        assert "has just begun to look" in await page(client, "/pipeline")
        assert (await client.get("/api/status/trend")).json()["minutes"] == []
