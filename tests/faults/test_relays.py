"""Relays that die or sleep, and the ones that take their lanes."""

from __future__ import annotations

import asyncio

import pytest

from event_store.topics import TOPICS

from .invoices import parts
from .shop import Running, Shop, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

POINTS = [
    "relay.after_claim:1",
    "relay.after_append:1",
    "outbox.before_commit:4",  # of the transaction that marks what was sent
    f"log.before_commit:{len(TOPICS) + 1}",
    f"log.after_commit:{len(TOPICS) + 1}",
]


async def test_another_relay_takes_over_wherever_one_died(shop: Shop) -> None:
    shop.start("api")
    shop.start("consumer")
    for number, (point, part) in enumerate(zip(POINTS, parts(shop.folder, len(POINTS)), strict=True)):
        dying = shop.start("relay", COUNTINGHOUSE_RELAY_NAME=f"dies-{number}", COUNTINGHOUSE_CRASH_AT=point)
        sending = asyncio.create_task(shop.send(part.file))
        await dying.died_at_its_crash_point()
        heir = shop.start("relay", COUNTINGHOUSE_RELAY_NAME=f"heir-{number}")
        assert (await sending).delivery.failed == 0
        status = await shop.counted_exactly(part.expected)
        assert {lane.owner for lane in status.lanes} <= {f"heir-{number}", None}
        await _holds_every_lane(shop, heir, f"heir-{number}")
        assert heir.stop() == 0


async def test_a_relay_that_slept_past_its_lease_sends_again_and_nothing_is_counted_twice(shop: Shop) -> None:
    """It wakes with rows in its hands that the heir has sent: they go into the log again, and are dropped there."""
    (first, second) = parts(shop.folder, 2)
    shop.start("api")
    shop.start("consumer")
    asleep = shop.start("relay", COUNTINGHOUSE_RELAY_NAME="asleep", COUNTINGHOUSE_CRASH_AT="relay.after_claim:2:pause")
    sending = asyncio.create_task(shop.send(first.file))
    await until(lambda: asleep.is_paused, asleep)
    shop.start("relay", COUNTINGHOUSE_RELAY_NAME="heir")
    assert (await sending).delivery.failed == 0
    before = await shop.counted_exactly(first.expected)
    assert {lane.owner for lane in before.lanes} == {"heir"}
    assert sum(one.duplicates for one in before.partitions) == 0

    asleep.wake()
    await until(lambda: _duplicates(shop) > 0, asleep)
    after = await shop.counted_exactly(first.expected)
    assert [(lane.sent, lane.failures, lane.owner) for lane in after.lanes] == [
        (lane.sent, 0, "heir") for lane in before.lanes
    ]
    assert (await shop.send(second.file)).delivery.failed == 0
    await shop.counted_exactly(second.expected)
    assert asleep.is_alive


async def _holds_every_lane(shop: Shop, relay: Running, name: str) -> None:
    async def holds() -> bool:
        return {lane.owner for lane in (await shop.status()).lanes} == {name}

    await until(holds, relay)


def _duplicates(shop: Shop) -> int:
    return int(shop.sql(shop.backoffice_db, "SELECT sum(duplicates) FROM inbox_position")[0][0])
