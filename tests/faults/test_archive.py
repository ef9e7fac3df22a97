"""The archiver dies, its folder can't be written to, its segments are damaged: the log has everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from .shop import Shop, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

SMALL = {"COUNTINGHOUSE_ARCHIVE_SEGMENT_RECORDS": "8"}


async def test_an_archiver_that_dies_before_or_after_sealing_leaves_whole_segments_and_equal_rebuilds(
    shop: Shop,
) -> None:
    shop.start_line()
    await shop.send()
    await shop.counted_exactly()
    for point in ("archive.before_seal:2", "archive.after_seal:2"):
        dying = shop.start("archiver", COUNTINGHOUSE_CRASH_AT=point, **SMALL)
        await dying.died_at_its_crash_point()
        shop.ok("rebuild")
        await shop.counted_exactly()
    archiver = shop.start("archiver", **SMALL)
    await until(lambda: len(_segments(shop)) == len(_partitions(shop)), archiver)
    shop.ok("rebuild")
    await shop.counted_exactly()
    assert archiver.stop() == 0


async def test_a_folder_that_cannot_be_written_to_is_said_once_and_keeps_nothing_from_its_work(shop: Shop) -> None:
    (api, relay, consumer) = shop.start_line()
    await shop.send()
    await shop.counted_exactly()
    (shop.data / "archive").write_text("in the way")
    archiver = shop.start("archiver", **SMALL)
    await until(lambda: "archiver.failed" in archiver.said, archiver)
    shop.ok("rebuild")
    assert all(one.is_alive for one in (api, relay, consumer, archiver))
    assert archiver.said.count("archiver.failed") == 1
    (shop.data / "archive").unlink()
    await until(lambda: _segments(shop), archiver)


async def test_a_damaged_segment_is_read_over(shop: Shop) -> None:
    shop.start_line()
    await shop.send()
    await shop.counted_exactly()
    archiver = shop.start("archiver", **SMALL)
    await until(lambda: len(_segments(shop)) == len(_partitions(shop)), archiver)
    assert archiver.stop() == 0
    for number, segment in enumerate(_segments(shop)):
        files = sorted(segment.iterdir())
        damaged = files[number % len(files)]
        damaged.write_bytes(damaged.read_bytes()[:-9])
    shop.ok("rebuild")
    await shop.counted_exactly()


def _segments(shop: Shop) -> list[Path]:
    return sorted((shop.data / "archive").glob("*/*/[0-9]*"))


def _partitions(shop: Shop) -> list[object]:
    """Those with enough records for a segment."""
    return shop.sql(shop.log_db, "SELECT * FROM log_partition WHERE end_offset >= 8")
