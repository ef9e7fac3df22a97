"""A pause outlives the processes that obey it, and everything that came meanwhile is counted once."""

from __future__ import annotations

import asyncio

import pytest

from event_store.pauses import LINE, Part

from .invoices import parts
from .shop import Running, Shop, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

A_WHILE_S = 3.0
"""In which whoever didn't obey would have sent or counted."""


async def _how_far(shop: Shop, part: Part) -> int:
    status = await shop.status()
    return status.lag_events + status.completeness.offset if part is Part.RELAY else status.completeness.offset


@pytest.mark.parametrize("part", LINE)
async def test_a_process_killed_while_it_is_paused_comes_back_paused(shop: Shop, part: Part) -> None:
    (first, second) = parts(shop.folder, 2)
    (api, *others) = shop.start_line()
    paused = others[LINE.index(part)]
    assert (await shop.send(first.file)).delivery.failed == 0
    await shop.counted_exactly(first.expected)
    shop.ok("pause", part, "--why", "a test")
    await until(lambda: f"has paused {part.work}" in paused.said, paused)
    before = await _how_far(shop, part)
    assert (await shop.send(second.file)).delivery.failed == 0
    assert _refused_to_drain(shop, part)

    paused.kill()
    heir = shop.start(part)
    await until(lambda: f"has paused {part.work}" in heir.said, heir)
    await asyncio.sleep(A_WHILE_S)
    assert await _how_far(shop, part) == before
    assert api.is_alive

    shop.ok("resume", part)
    status = await shop.counted_exactly(second.expected)
    assert sum(one.duplicates for one in status.partitions) == 0
    assert heir.stop() == 0


def _refused_to_drain(shop: Shop, part: Part) -> bool:
    refused = shop.run("drain")
    (line,) = refused.stderr.splitlines()
    return refused.returncode == 1 and f"can't be: {part.work} is paused since" in line


async def test_a_paused_line_is_alive_and_ready_and_stops_when_told(shop: Shop) -> None:
    line = shop.start_line()
    for one in line:
        await one.is_up()
    for part in LINE:
        shop.ok("pause", part, "--why", "a test")
    (_, *others) = line
    for part, one in zip(LINE, others, strict=True):
        await _obeys(one, part)
    for one in line:
        assert await one.answers()
        assert one.stop() == 0


async def _obeys(one: Running, part: Part) -> None:
    await until(lambda: f"has paused {part.work}" in one.said, one)


async def test_a_rebuild_that_is_paused_keeps_its_lease_and_goes_on_where_it_stood(shop: Shop) -> None:
    shop.start_line()
    await shop.send()
    await shop.counted_exactly()
    shop.ok("pause", "rebuild", "--why", "a test")
    rebuilding = shop.start("rebuild", COUNTINGHOUSE_LEASE_TTL_S="3", COUNTINGHOUSE_LEASE_RENEW_S="1")
    await until(lambda: "has paused rebuilding: a test" in rebuilding.said, rebuilding)
    await asyncio.sleep(2 * A_WHILE_S)
    assert rebuilding.is_alive
    refused = shop.run("rebuild")
    assert (refused.returncode, "a rebuild or rollback is running" in refused.stderr) == (1, True)
    shop.ok("resume", "rebuild")
    await until(lambda: not rebuilding.is_alive, rebuilding)
    assert rebuilding.process.returncode == 0
    assert (await shop.counted_exactly()).completeness.generation == 2
